"""Next-purchase answers: when customers buy again, anything at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import Customers, Row
from serving.customers.survival import SurvivalOptions, with_options
from serving.customers.timing import TimedReader
from training.customers.prediction import basis
from training.customers.published import KnownCustomers, load_curves
from training.customers.survival import QUANTILES, WITHIN_DAYS
from training.models.next_purchase import publish
from training.models.next_purchase.model import NextPurchaseModel


@dataclass(frozen=True)
class NextPurchaseReader(TimedReader[NextPurchaseModel, None]):
    """One published version of the next-purchase model."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the next-purchase task."""
        published = publish.load(folder)
        return cls(published, KnownCustomers.index(published.answers()), load_curves(published))

    def answer(
        self,
        customers: Customers,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
        timing: TimedReader[Any, Any] | None = None,
    ) -> list[Row]:
        """Answer for each customer, in request order.

        Parameters
        ----------
        customers
            Customers, by id or by their posted orders. A customer without a purchase gets the
            distribution of newcomers.
        within_days
            For each, the probability of a purchase within so many days.
        quantiles
            Levels of the distribution of days.
        timing
            The reader whose curves answer, by default this one.

        Returns
        -------
        list of dict
            The fields of `schemas.NextPurchase`; days count from `as_of`.

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650, or if a posted order lacks a
            column that the model needs.
        """
        options = SurvivalOptions(within_days, quantiles)
        options.check()
        chosen = options.read((timing or self).curves(customers))
        return [
            with_options(row, columns)
            for row, columns in zip(self.rows(customers, None), chosen, strict=True)
        ]

    def known_rows(self, customer_ids: Sequence[str], options: None) -> Mapping[str, Row]:  # noqa: ARG002
        """Look up the published answers."""
        return self.customers.rows(customer_ids)

    def posted_rows(self, customers: PostedCustomers, options: None) -> list[Row]:  # noqa: ARG002
        """Explain posted customers; `answer` reads the rest off their curves."""
        features = self.posted_features(customers)
        answers = self.model.explained(features, self.posted_contributions(customers))
        return answers.hstack([basis(features)]).to_dicts()

    def new_row(self, as_of: datetime, options: None) -> Row:  # noqa: ARG002
        """Return the answer for a customer without a purchase."""
        return self.model.predict_new([""]).row(0, named=True)
