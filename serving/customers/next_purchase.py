"""Answers about the next purchase, from what its model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Floats
from serving.customers.posted_history import PostedCustomers
from serving.customers.survival import Waits, lean
from training.customers.population import Population
from training.customers.published import KnownCustomers, basis
from training.customers.survival import NEWCOMER, QUANTILES, WITHIN_DAYS, check_days
from training.estimators.bg_nbd import purchase_history
from training.models.next_purchase.model import NextPurchaseModel


@dataclass(frozen=True)
class NextPurchaseAnswers:
    """One published version; the distributions stay on disk and are read as they are asked for.

    Attributes
    ----------
    model
        The model, predicting with one thread, which is fastest for few customers.
    customers
        Those that the version knows.
    curves
        P(purchase within d days), d = 1 to the horizon, in the order of `customers`.
    population
        What those it does not know are scored with.
    folder
        Where the features lie, which only chances beyond the follow-up are answered from.
    """

    model: NextPurchaseModel
    customers: KnownCustomers
    curves: Floats
    population: Population
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `NextPurchaseModel.publish` wrote."""
        return cls(
            NextPurchaseModel.load(folder / "model", threads=1),
            KnownCustomers.load(folder),
            np.load(folder / "curves.npy", mmap_mode="r"),
            Population.load(folder),
            folder,
        )

    def answer(
        self,
        who: Sequence[str] | PostedCustomers,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        who
            Customers, by id or by their own orders; one of whom no purchase is known gets the
            newcomers' distribution.
        within_days
            Answer the chance of a purchase within each of these many days. Beyond the follow-up
            BG/NBD says how it goes on, and `extrapolated` names the chance.
        quantiles
            Answer these levels of the distribution of days, besides q10, q50 and q90.

        Returns
        -------
        list of dict
            customer_id, expected_days, q10, q50, q90 and the quantiles asked (days from `as_of`,
            at most the horizon), p_within_{n} for each n asked, extrapolated, reasons,
            contributions, and basis, as `training.customers.published.basis` has it.

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650, or an order lacks what is
            needed.
        """
        check_days(within_days, "within_days")
        if isinstance(who, PostedCustomers):
            return self._posted(who, within_days, quantiles)
        said = self.customers.of(who)
        rows = [self.customers.rows[one] for one in said]
        further = self._waits(rows, within_days).read(within_days, quantiles)
        answers = {
            one: lean(row) | more for (one, row), more in zip(said.items(), further, strict=True)
        }
        unknown = self._unknown("", within_days, quantiles)
        return [answers.get(one) or unknown | {"customer_id": one} for one in who]

    def _posted(
        self, who: PostedCustomers, within_days: Sequence[int], quantiles: Sequence[float]
    ) -> list[dict[str, Any]]:
        features = self.model.features(who.dataset(self.population), who.as_of)
        answers = self.model.predict_from(features).with_columns(basis(features)).to_dicts()
        waits = Waits(self.model.curves(features), self.model.process_, purchase_history(features))
        further = waits.read(within_days, quantiles)
        both = [lean(row) | more for row, more in zip(answers, further, strict=True)]
        return who.named(both, lambda one: self._unknown(one, within_days, quantiles))

    def chance(self, customer_ids: Sequence[str], days: int) -> Floats:
        """Return P(purchase within so many days) of each customer, in the order asked.

        Raises
        ------
        InvalidInput
            If it is not a whole number of days from 1 to 3650.
        """
        check_days([days], "days")
        rows = np.array([self.customers.rows.get(one, -1) for one in customer_ids])
        chances = self._waits(rows, [days]).chance(days)
        return np.where(rows < 0, self._newcomer.chance(days), chances)

    def _waits(self, rows: Sequence[int] | NDArray[np.int64], days: Sequence[int]) -> Waits:
        """Return the curves at some rows, with what goes on beyond them if it is asked for."""
        curves = np.asarray(self.curves[rows])
        if all(one <= self.model.horizon_days for one in days):
            return Waits(curves, self.model.process_, NEWCOMER)
        x, t_x, t = (values[rows] for values in self._history)
        return Waits(curves, self.model.process_, (x, t_x, t))

    @cached_property
    def _history(self) -> tuple[Floats, Floats, Floats]:
        names = ["visits", "tenure", "recency"]
        return purchase_history(pl.read_parquet(self.folder / "features.parquet", columns=names))

    @property
    def _newcomer(self) -> Waits:
        return Waits(self.model.newcomer_curve_[None, :], self.model.process_, NEWCOMER)

    def _unknown(
        self, customer_id: str, within_days: Sequence[int], quantiles: Sequence[float]
    ) -> dict[str, Any]:
        row = self.model.newcomers([customer_id]).row(0, named=True)
        further = self._newcomer.read(within_days, quantiles)[0]
        return lean(row) | further | {"basis": "population"}
