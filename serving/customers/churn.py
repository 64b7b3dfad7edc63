"""Answers about churn, from what the churn model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from features.errors import InvalidInput
from serving.customers.next_purchase import NextPurchaseAnswers
from serving.customers.posted_history import PostedCustomers
from training.customers.population import Population
from training.customers.published import KnownCustomers, basis
from training.models.churn.model import ChurnModel


@dataclass(frozen=True)
class ChurnAnswers:
    """One published version, in memory.

    Attributes
    ----------
    model
        The model, predicting with one thread, which is fastest for few customers.
    customers
        Those that the version knows.
    population
        What those it does not know are scored with.
    """

    model: ChurnModel
    customers: KnownCustomers
    population: Population

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `ChurnModel.publish` wrote."""
        model = ChurnModel.load(folder / "model", threads=1)
        return cls(model, KnownCustomers.load(folder), Population.load(folder))

    def answer(
        self,
        who: Sequence[str] | PostedCustomers,
        horizon_days: int | None = None,
        next_purchase: NextPurchaseAnswers | None = None,
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        who
            Customers, by id or by their own orders; one of whom no purchase is known gets the
            newcomers' rate and says so.
        horizon_days
            By default the horizon that the model was trained for.
        next_purchase
            Answers for another horizon: no purchase within it is what churn means.

        Returns
        -------
        list of dict
            The columns that `ChurnModel.predict` names; basis, as
            `training.customers.published.basis` has it; answered_by, `churn`, `next-purchase`,
            or `next-purchase, extrapolated` beyond its follow-up.

        Raises
        ------
        InvalidInput
            If the horizon is another and nothing answers for it, or an order lacks what is needed.
        """
        rows = [row | {"answered_by": "churn"} for row in self._rows(who)]
        if horizon_days is None or horizon_days == self.model.horizon_days:
            return rows
        chances = self._instead(next_purchase, horizon_days).answer(who, [horizon_days])
        return [
            row
            | {
                "churn_probability": 1 - chance[f"p_within_{horizon_days}"],
                "horizon_days": horizon_days,
                "explanations": chance["explanations"],
                # Of buying there, of leaving here.
                "contributions": [0.0 - value for value in chance["contributions"]],
                "answered_by": "next-purchase" + ", extrapolated" * bool(chance["extrapolated"]),
            }
            for row, chance in zip(rows, chances, strict=True)
        ]

    def _rows(self, who: Sequence[str] | PostedCustomers) -> list[dict[str, Any]]:
        if isinstance(who, PostedCustomers):
            features = self.model.features(who.dataset(self.population), who.as_of)
            answers = self.model.predict_from(features).with_columns(basis(features))
            return who.named(answers.iter_rows(named=True), self._unknown)
        said, unknown = self.customers.of(who), self._unknown("")
        return [said.get(one) or unknown | {"customer_id": one} for one in who]

    def _instead(
        self, next_purchase: NextPurchaseAnswers | None, horizon_days: int
    ) -> NextPurchaseAnswers:
        if next_purchase is None:
            raise InvalidInput(
                f"horizon_days = {horizon_days} is not served; this model was trained for "
                f"{self.model.horizon_days} days: ask for {self.model.horizon_days}, or leave it "
                "out. Other horizons are answered where next-purchase is published.",
                field="horizon_days",
            )
        return next_purchase

    def _unknown(self, customer_id: str) -> dict[str, Any]:
        answer = self.model.newcomers([customer_id]).row(0, named=True)
        return answer | {"basis": "population"}
