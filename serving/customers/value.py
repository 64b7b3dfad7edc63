"""Value answers from a published model: orders and spend of customers over days ahead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import Customers, Row
from serving.customers.timing import TimedReader
from training.customers.prediction import basis
from training.customers.published import KnownCustomers, load_curves
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import check_days
from training.models.value import publish
from training.models.value.model import ValueModel

# Days ahead that a request chooses; None stands for the published ones.
HorizonsDays = Sequence[int] | None


@dataclass(frozen=True)
class ValueReader(TimedReader[ValueModel, HorizonsDays]):
    """One published version of the value model."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the value task."""
        published = publish.load(folder)
        return cls(published, KnownCustomers.index(published.answers()), load_curves(published))

    def answer(
        self,
        customers: Customers,
        horizons_days: HorizonsDays = None,
        timing: TimedReader[Any, Any] | None = None,
    ) -> list[Row]:
        """Answer for each customer, in request order.

        Parameters
        ----------
        customers
            Customers, by id or by their posted orders. A customer without a purchase gets the
            expectation of a new customer.
        horizons_days
            Days ahead, by default the published ones.
        timing
            The reader whose curves give the expected next order, by default this one.

        Returns
        -------
        list of dict
            The fields of `schemas.Value`.

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650, or if a posted order lacks a
            column that the model needs.
        """
        check_days(horizons_days or (), "horizons_days")
        source = timing or self
        dates = source.curves(customers).next_order(source.instant(customers))
        days = horizons_days or self.model.horizons
        return [
            _with_horizons(row, days) | {dates.name: date}
            for row, date in zip(self.rows(customers, horizons_days), dates, strict=True)
        ]

    def known_rows(self, customer_ids: Sequence[str], options: HorizonsDays) -> Mapping[str, Row]:
        """Look up the published answers, or score for other horizons."""
        if options is None or list(options) == self.model.horizons:
            return self.customers.rows(customer_ids)
        positions = self.customers.select(customer_ids)
        curves = self.known_curves.select(positions)
        rows = self._score(self._features[positions], curves, self.as_of, options)
        return {row["customer_id"]: row for row in rows}

    def posted_rows(self, customers: PostedCustomers, options: HorizonsDays) -> list[Row]:
        """Score posted customers."""
        features, curves = self.posted_features(customers), self.posted_curves(customers)
        return self._score(features, curves, customers.as_of, options)

    def new_row(self, as_of: datetime, options: HorizonsDays) -> Row:
        """Return the answer for a customer without a purchase."""
        return self.model.predict_new([""], as_of, options).row(0, named=True)

    @cached_property
    def _features(self) -> pl.DataFrame:
        return self.published.features()

    def _score(
        self,
        features: pl.DataFrame,
        curves: PurchaseCurves,
        as_of: datetime,
        horizons: HorizonsDays,
    ) -> list[Row]:
        answers = self.model.predict_from(features, as_of, horizons, curves)
        return answers.hstack([basis(features)]).to_dicts()


def _with_horizons(row: Row, days: Sequence[int]) -> Row:
    """Gather the columns of each number of days ahead, such as `value_90_q10`, in `horizons`."""
    kept = {
        name: value for name, value in row.items() if not name.startswith(("orders_", "value_"))
    }
    kept["horizons"] = [
        {
            "days": ahead,
            "orders": row[f"orders_{ahead}"],
            "value": row[f"value_{ahead}"],
            "low": row[f"value_{ahead}_q10"],
            "high": row[f"value_{ahead}_q90"],
        }
        for ahead in days
    ]
    return kept
