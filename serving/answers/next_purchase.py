"""Answers about the next purchase, from what its model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.errors import InvalidInput
from serving.answers.histories import Histories
from training.models.known_customers import KnownCustomers, basis
from training.models.next_purchase import (
    QUANTILES,
    WITHIN_DAYS,
    NextPurchaseModel,
    quantile_name,
    quantile_of,
)
from training.models.unknown_customers import Population

Floats = NDArray[np.float64]
# Of the published answer; which chances and which further quantiles is the request's to say.
CHANCES = tuple(f"p_within_{days}" for days in WITHIN_DAYS)


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
    """

    model: NextPurchaseModel
    customers: KnownCustomers
    curves: Floats
    population: Population

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `NextPurchaseModel.publish` wrote."""
        return cls(
            NextPurchaseModel.load(folder / "model", threads=1),
            KnownCustomers.load(folder),
            np.load(folder / "curves.npy", mmap_mode="r"),
            Population.load(folder),
        )

    def answer(
        self,
        who: Sequence[str] | Histories,
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
            Answer the chance of a purchase within each of these many days.
        quantiles
            Answer these levels of the distribution of days, besides q10, q50 and q90.

        Returns
        -------
        list of dict
            customer_id, expected_days, q10, q50, q90 and the quantiles asked (days from `as_of`,
            at most the horizon), p_within_{n} for each n asked, reasons, contributions, and
            basis, as `training.models.known_customers.basis` has it.

        Raises
        ------
        InvalidInput
            If a number of days is beyond the horizon, or an order lacks what is needed.
        """
        self._check(within_days)
        if isinstance(who, Histories):
            return self._posted(who, within_days, quantiles)
        said = self.customers.of(who)
        rows = [self.customers.rows[one] for one in said]
        further = read(np.asarray(self.curves[rows]), within_days, quantiles)
        answers = {
            one: _lean(row) | more for (one, row), more in zip(said.items(), further, strict=True)
        }
        unknown = self._unknown("", within_days, quantiles)
        return [answers.get(one) or unknown | {"customer_id": one} for one in who]

    def _posted(
        self, who: Histories, within_days: Sequence[int], quantiles: Sequence[float]
    ) -> list[dict[str, Any]]:
        features = self.model.features(who.dataset(self.population), who.as_of)
        answers = self.model.predict_from(features).with_columns(basis(features)).to_dicts()
        further = read(self.model.curves(features), within_days, quantiles)
        both = [_lean(row) | more for row, more in zip(answers, further, strict=True)]
        return who.named(both, lambda one: self._unknown(one, within_days, quantiles))

    def chance(self, customer_ids: Sequence[str], days: int) -> Floats:
        """Return P(purchase within so many days) of each customer, in the order asked.

        Raises
        ------
        InvalidInput
            If customers are not followed for so long.
        """
        self._check([days])
        rows = np.array([self.customers.rows.get(one, -1) for one in customer_ids])
        unknown = self.model.newcomer_curve_[days - 1]
        return np.where(rows < 0, unknown, np.asarray(self.curves[rows, days - 1]))

    def _unknown(
        self, customer_id: str, within_days: Sequence[int], quantiles: Sequence[float]
    ) -> dict[str, Any]:
        row = self.model.newcomers([customer_id]).row(0, named=True)
        curve = self.model.newcomer_curve_[None, :]
        further = read(curve, within_days, quantiles)[0]
        return _lean(row) | further | {"basis": "population"}

    def _check(self, within_days: Sequence[int]) -> None:
        horizon = self.model.horizon_days
        for number, days in enumerate(within_days):
            if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= horizon:
                raise InvalidInput(
                    f"within_days[{number}] = {days!r} cannot be answered; customers are followed "
                    f"for {horizon} days: ask for whole days from 1 to {horizon}.",
                    field=f"within_days[{number}]",
                )


def _lean(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in CHANCES}


def read(
    curves: Floats, within_days: Sequence[int], quantiles: Sequence[float]
) -> list[dict[str, float]]:
    """Read chances and quantiles off curves: for each, what was asked by its name."""
    columns = {f"p_within_{days}": curves[:, days - 1] for days in within_days}
    columns |= {quantile_name(level): quantile_of(curves, level) for level in quantiles}
    values = np.stack(list(columns.values()), axis=1).tolist()
    return [dict(zip(columns, row, strict=True)) for row in values]
