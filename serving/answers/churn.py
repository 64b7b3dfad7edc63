"""Answers about churn, from what the churn model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from features.errors import InvalidInput
from features.segments import FEW_VISITS, NEW
from training.models.churn import NEWCOMER_REASON, ChurnModel
from training.models.known_customers import KnownCustomers


@dataclass(frozen=True)
class ChurnAnswers:
    """One published version, in memory.

    Attributes
    ----------
    model
        The model, predicting with one thread, which is fastest for few customers.
    customers
        Those that the version knows.
    """

    model: ChurnModel
    customers: KnownCustomers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `ChurnModel.publish` wrote."""
        return cls(ChurnModel.load(folder / "model", threads=1), KnownCustomers.load(folder))

    def answer(
        self, customer_ids: Sequence[str], horizon_days: int | None = None
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        customer_ids
            Customers; an unknown one gets the newcomers' rate and says so.
        horizon_days
            None, or the horizon that the model was trained for.

        Returns
        -------
        list of dict
            The columns that `ChurnModel.predict` names, and basis: `history`,
            `few_purchases` (fewer than three visits) or `population` (none known).

        Raises
        ------
        InvalidInput
            If the horizon is another.
        """
        trained = self.model.horizon_days
        if horizon_days is not None and horizon_days != trained:
            raise InvalidInput(
                f"horizon_days = {horizon_days} is not served; this model was trained for "
                f"{trained} days: ask for {trained}, or leave it out.",
                field="horizon_days",
            )
        known = self.customers.of(customer_ids)
        few = known.get_column("visits") < FEW_VISITS
        said = {
            row["customer_id"]: row | {"basis": "few_purchases" if rare else "history"}
            for row, rare in zip(
                self.model.predict_from(known).iter_rows(named=True), few, strict=True
            )
        }
        return [said[one] if one in said else self._unknown(one) for one in customer_ids]

    def _unknown(self, customer_id: str) -> dict[str, Any]:
        return {
            "customer_id": customer_id,
            "churn_probability": self.model.newcomer_rate_,
            "horizon_days": self.model.horizon_days,
            "segment": NEW,
            "reasons": [NEWCOMER_REASON],
            "contributions": [0.0],
            "stage": NEW,
            "rfm_segment": None,
            "rfm_score": None,
            "basis": "population",
        }
