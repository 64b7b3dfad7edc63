"""Churn answers from a published churn model, and for other horizons from next purchase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from features.errors import InvalidInput
from serving.customers.next_purchase import NextPurchaseReader
from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import CustomerReader, Customers, Row
from training.customers.prediction import basis
from training.customers.published import KnownCustomers
from training.models.churn import publish
from training.models.churn.model import ChurnModel


@dataclass(frozen=True)
class ChurnReader(CustomerReader[ChurnModel, None]):
    """One published version of the churn model, in memory.

    Attributes
    ----------
    customers
        Published answers for known customers.
    """

    customers: KnownCustomers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the churn task."""
        published = publish.load(folder)
        return cls(published, KnownCustomers.index(published.answers()))

    def answer(
        self,
        customers: Customers,
        horizon_days: int | None = None,
        next_purchase: NextPurchaseReader | None = None,
    ) -> list[Row]:
        """Answer for each customer, in request order.

        Parameters
        ----------
        customers
            Customers, by id or by their posted orders. A customer without a purchase gets the
            rate of new customers.
        horizon_days
            By default the horizon of the churn model.
        next_purchase
            The reader that answers for other horizons: churn is no purchase within the horizon.

        Returns
        -------
        list of dict
            The columns of `ChurnModel.predict`; `basis` (see
            `training.customers.prediction.basis`); `answered_by`: `churn`, `next-purchase`, or
            `next-purchase, extrapolated` beyond the follow-up of that model.

        Raises
        ------
        InvalidInput
            If another horizon is requested and there is no `next_purchase`, or if a posted order
            lacks a column that the model needs.
        """
        rows = [row | {"answered_by": "churn"} for row in self.rows(customers, None)]
        if horizon_days is None or horizon_days == self.model.horizon_days:
            return rows
        if next_purchase is None:
            raise InvalidInput(
                f"horizon_days = {horizon_days} is not served; this model was trained for "
                f"{self.model.horizon_days} days: ask for {self.model.horizon_days}, or leave it "
                "out. Other horizons are answered where next-purchase is published.",
                field="horizon_days",
            )
        purchases = next_purchase.answer(customers, [horizon_days])
        return [
            row | _churn_of(purchase, horizon_days)
            for row, purchase in zip(rows, purchases, strict=True)
        ]

    def known_rows(self, customer_ids: Sequence[str], options: None) -> Mapping[str, Row]:  # noqa: ARG002
        """Look up the published answers."""
        return self.customers.rows(customer_ids)

    def posted_rows(self, customers: PostedCustomers, options: None) -> list[Row]:  # noqa: ARG002
        """Score posted customers."""
        features = self.model.features(customers.dataset(self.population), customers.as_of)
        return self.model.predict_from(features).with_columns(basis(features)).to_dicts()

    def new_row(self, as_of: datetime, options: None) -> Row:  # noqa: ARG002
        """Return the answer for a customer without a purchase."""
        return self.model.predict_new([""]).row(0, named=True)


def _churn_of(purchase: Row, horizon_days: int) -> Row:
    """Turn an answer about the next purchase into churn at a horizon."""
    return {
        "churn_probability": 1 - purchase[f"p_within_{horizon_days}"],
        "horizon_days": horizon_days,
        "explanations": purchase["explanations"],
        # Contributions to buying become contributions to churn.
        "contributions": [0.0 - value for value in purchase["contributions"]],
        "answered_by": "next-purchase" + ", extrapolated" * bool(purchase["extrapolated"]),
    }
