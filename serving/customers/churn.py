"""Churn answers: a published churn model explains, and the version's curves give probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import Customers, Row
from serving.customers.timing import TimedReader
from training.customers.prediction import basis
from training.customers.published import KnownCustomers, load_curves
from training.models.churn import publish
from training.models.churn.model import ChurnModel


@dataclass(frozen=True)
class ChurnReader(TimedReader[ChurnModel, None]):
    """One published version of the churn model."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the churn task."""
        published = publish.load(folder)
        return cls(published, KnownCustomers.index(published.answers()), load_curves(published))

    def answer(
        self,
        customers: Customers,
        horizon_days: int | None = None,
        timing: TimedReader[Any, Any] | None = None,
    ) -> list[Row]:
        """Answer for each customer, in request order.

        Parameters
        ----------
        customers
            Customers, by id or by their posted orders. A customer without a purchase gets the
            probability of a newcomer.
        horizon_days
            Days from 1 to 3650, by default the horizon of the churn model.
        timing
            The reader whose curves answer, by default this one.

        Returns
        -------
        list of dict
            The columns of `ChurnModel.predict`, of which stage and explanations belong to the
            horizon of the model; `extrapolated`, whether the horizon is beyond the follow-up; and
            `basis` (see `training.customers.prediction.basis`).

        Raises
        ------
        InvalidInput
            If a posted order lacks a column that the model needs.
        """
        horizon = self.model.horizon_days if horizon_days is None else horizon_days
        curves = (timing or self).curves(customers)
        churn = curves.survival(horizon).tolist()
        read = {"horizon_days": horizon, "extrapolated": horizon > curves.follow_up_days}
        return [
            row | read | {"churn_probability": probability}
            for row, probability in zip(self.rows(customers, None), churn, strict=True)
        ]

    def known_rows(self, customer_ids: Sequence[str], options: None) -> Mapping[str, Row]:  # noqa: ARG002
        """Look up the published answers."""
        return self.customers.rows(customer_ids)

    def posted_rows(self, customers: PostedCustomers, options: None) -> list[Row]:  # noqa: ARG002
        """Score posted customers."""
        features, curves = self.posted_features(customers), self.posted_curves(customers)
        answers = self.model.predict_from(features, curves, self.posted_contributions(customers))
        return answers.hstack([basis(features)]).to_dicts()

    def new_row(self, as_of: datetime, options: None) -> Row:  # noqa: ARG002
        """Return the answer for a customer without a purchase."""
        return self.model.predict_new([""]).row(0, named=True)
