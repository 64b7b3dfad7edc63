"""Next-purchase answers from a published model: when customers buy again, anything at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Floats
from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import CustomerReader, Customers, Row
from serving.customers.survival import PurchaseCurves, SurvivalOptions, with_options
from training.customers.prediction import basis
from training.customers.published import KnownCustomers
from training.customers.survival import NEW_CUSTOMER, QUANTILES, WITHIN_DAYS, check_days
from training.estimators.bg_nbd import purchase_history
from training.models.next_purchase import publish
from training.models.next_purchase.model import NextPurchaseModel


@dataclass(frozen=True)
class NextPurchaseReader(CustomerReader[NextPurchaseModel, SurvivalOptions]):
    """One published version of the next-purchase model; curves are memory-mapped.

    Attributes
    ----------
    customers
        Published answers for known customers.
    curves
        P(purchase within d days), d = 1 to the horizon, in the order of `customers`.
    """

    customers: KnownCustomers
    curves: Floats

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the next-purchase task."""
        published = publish.load(folder)
        customers = KnownCustomers.index(published.answers())
        return cls(published, customers, publish.load_curves(published))

    def answer(
        self,
        customers: Customers,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> list[Row]:
        """Answer for each customer, in request order.

        Parameters
        ----------
        customers
            Customers, by id or by their posted orders. A customer without a purchase gets the
            distribution of new customers.
        within_days
            For each, the probability of a purchase within so many days. Beyond the follow-up it
            is extrapolated by BG/NBD, and `extrapolated` names it.
        quantiles
            Levels of the distribution of days, besides q10, q50 and q90.

        Returns
        -------
        list of dict
            customer_id, expected_days, q10, q50, q90 and the chosen quantiles (days from `as_of`,
            at most the horizon), the chosen p_within_{n}, extrapolated, explanations,
            contributions, and basis (see `training.customers.prediction.basis`).

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650, or if a posted order lacks a
            column that the model needs.
        """
        options = SurvivalOptions(within_days, quantiles)
        options.check()
        return self.rows(customers, options)

    def known_rows(
        self, customer_ids: Sequence[str], options: SurvivalOptions
    ) -> Mapping[str, Row]:
        """Look up the published answers, and read the chosen columns off the curves."""
        rows = self.customers.rows(customer_ids)
        positions = [self.customers.positions[name] for name in rows]
        chosen = self._curves(positions, options.within_days).rows(options)
        return {
            name: with_options(row, columns)
            for (name, row), columns in zip(rows.items(), chosen, strict=True)
        }

    def posted_rows(self, customers: PostedCustomers, options: SurvivalOptions) -> list[Row]:
        """Score posted customers."""
        features = self.model.features(customers.dataset(self.population), customers.as_of)
        rows = self.model.predict_from(features).with_columns(basis(features)).to_dicts()
        curves = PurchaseCurves(
            self.model.curves(features), self.model.process_, purchase_history(features)
        )
        return [
            with_options(row, columns)
            for row, columns in zip(rows, curves.rows(options), strict=True)
        ]

    def new_row(self, as_of: datetime, options: SurvivalOptions) -> Row:  # noqa: ARG002
        """Return the answer for a customer without a purchase."""
        row = self.model.predict_new([""]).row(0, named=True)
        return with_options(row, self._new_customer.rows(options)[0])

    def probability_within(self, customer_ids: Sequence[str], days: int) -> Floats:
        """Return P(purchase within so many days) of each customer, in request order.

        Raises
        ------
        InvalidInput
            If it is not a whole number of days from 1 to 3650.
        """
        check_days([days], "days")
        positions = np.array([self.customers.positions.get(name, -1) for name in customer_ids])
        known = self._curves(positions, [days]).probability_within(days)
        return np.where(positions < 0, self._new_customer.probability_within(days), known)

    def _curves(
        self, positions: Sequence[int] | NDArray[np.int64], within_days: Sequence[int]
    ) -> PurchaseCurves:
        """Return the curves at positions, with their histories if days lie beyond the follow-up."""
        curves = np.asarray(self.curves[positions])
        if all(days <= self.model.horizon_days for days in within_days):
            return PurchaseCurves(curves, self.model.process_, NEW_CUSTOMER)
        frequency, recency, age = (values[positions] for values in self._history)
        return PurchaseCurves(curves, self.model.process_, (frequency, recency, age))

    @cached_property
    def _history(self) -> tuple[Floats, Floats, Floats]:
        return publish.load_history(self.published)

    @property
    def _new_customer(self) -> PurchaseCurves:
        curve = self.model.new_customer_curve_[None, :]
        return PurchaseCurves(curve, self.model.process_, NEW_CUSTOMER)
