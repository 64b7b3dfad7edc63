"""Curves of the time to the next purchase: the one source of every answer about timing.

Probabilities of a purchase within some days go in. From `PurchaseCurves` come P(purchase within h
days) and P(no purchase within h days) for any h (`within`; `survival`, which is churn), quantiles
of the days (`quantile`), the expected days and date of the next order (`expected_days`,
`next_order`: the median), the columns of answers (`columns`, `answers`) and the curves of some of
the customers (`select`). They agree, because they are read off one curve that never decreases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from features.calendar import to_day
from features.typing import Bools, Floats, Ints
from training.customers.survival import MAX_DAYS, QUANTILES, TINY, WITHIN_DAYS, quantile_name
from training.estimators.bg_nbd import BgNbd

# Frequency, recency and age of customers, in days, as a buy-till-you-die model reads them.
History = tuple[Floats, Floats, Floats]
# Lower bound of probabilities that are divided by.
SMALLEST = 1e-300


@dataclass(frozen=True)
class PurchaseCurves:
    """Distributions of the days to the next purchase, one a customer (or customer and category).

    The purchase is uniformly distributed between `days`. Beyond the last of them, the end of
    follow-up, survival is multiplied by the process's probability of no purchase, given none in
    the follow-up.

    Attributes
    ----------
    days
        Days ahead, ascending; the last is the end of follow-up.
    probabilities
        P(purchase within each of `days`), shape (customers, days).
    process, history
        The buy-till-you-die model that extrapolates, and what it reads of each customer. Without
        them, nothing beyond the follow-up is answered.
    """

    days: Ints
    probabilities: Floats
    process: BgNbd | None = None
    history: History | None = None

    @classmethod
    def daily(
        cls, probabilities: Floats, process: BgNbd | None = None, history: History | None = None
    ) -> Self:
        """Make curves from P(purchase within d days), d = 1 to the end of follow-up."""
        days = np.arange(1, probabilities.shape[1] + 1)
        return cls(days, probabilities, process, history)

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.probabilities)

    @property
    def follow_up_days(self) -> int:
        """Days ahead beyond which answers are extrapolated."""
        return int(self.days[-1])

    def select(self, positions: ArrayLike) -> Self:
        """Return some of the curves."""
        rows = np.asarray(positions, dtype=np.int64)
        history = self.history
        if history is not None:
            history = (history[0][rows], history[1][rows], history[2][rows])
        return type(self)(self.days, np.asarray(self.probabilities[rows]), self.process, history)

    def replaced(self, rows: Bools, others: Self) -> Self:
        """Return the curves with those at `rows` replaced by as many others of the same model."""

        def merged(own: Floats, other: Floats) -> Floats:
            values = own.copy()
            values[rows] = other
            return values

        history = self.history
        if history is not None and others.history is not None:
            frequency, recency, age = map(merged, history, others.history)
            history = (frequency, recency, age)
        probabilities = merged(self.probabilities, others.probabilities)
        return type(self)(self.days, probabilities, self.process, history)

    def within(self, days: float) -> Floats:
        """Return P(purchase within so many days); NaN if they cannot be answered."""
        right = int(np.searchsorted(self.days[:-1], min(days, self.follow_up_days)))
        start, low, high = self._interval(np.full(len(self), right))
        share = (min(days, self.follow_up_days) - start) / (self.days[right] - start)
        # Rounding must not make a curve decrease.
        inside = np.minimum(low + (high - low) * share, high)
        if days <= self.follow_up_days:
            return np.asarray(inside)
        beyond = np.minimum(self._inactivity(days) / self._inactivity(self.follow_up_days), 1.0)
        return np.asarray(1 - (1 - inside) * beyond)

    def survival(self, days: float) -> Floats:
        """Return P(no purchase within so many days), which is churn at that horizon."""
        return 1 - self.within(days)

    def quantile(self, level: float) -> Floats:
        """Return the days within which the purchase has probability `level`.

        NaN if they are more than MAX_DAYS or cannot be answered.
        """
        reached = (self.probabilities < level).sum(axis=1)
        right = np.minimum(reached, len(self.days) - 1)
        start, low, high = self._interval(right)
        share = np.clip((level - low) / np.maximum(high - low, TINY), 0, 1)
        quantile = start + (self.days[right] - start) * share
        beyond = np.flatnonzero(reached == len(self.days))
        if len(beyond):
            quantile[beyond] = self.select(beyond)._quantile_beyond(level)
        return np.asarray(np.where(quantile <= MAX_DAYS, quantile, np.nan))

    def expected_days(self) -> Floats:
        """Return the median days to the next purchase, NaN as in `quantile`.

        A customer who may never return has no mean.
        """
        return self.quantile(0.5)

    def next_order(self, as_of: datetime) -> pl.Series:
        """Return the date of each expected next order; null where `expected_days` is NaN."""
        # NumPy writes a missing date for NaN.
        days = np.floor(self.expected_days()).astype("timedelta64[D]")
        return pl.Series("expected_next_order", np.datetime64(to_day(as_of), "D") + days)

    def columns(
        self, within_days: Sequence[int] = WITHIN_DAYS, quantiles: Sequence[float] = QUANTILES
    ) -> pl.DataFrame:
        """Return expected days, quantiles and probabilities.

        Returns
        -------
        polars.DataFrame
            expected_days; for each quantile a column such as q10, null beyond MAX_DAYS; for each
            number of days a column such as p_within_7; and extrapolated, the names of those
            columns that lie beyond the follow-up.
        """
        days = {"expected_days": self.expected_days()}
        days |= {quantile_name(level): self.quantile(level) for level in quantiles}
        probabilities = {f"p_within_{ahead}": self.within(ahead) for ahead in within_days}
        late = [f"p_within_{ahead}" for ahead in within_days if ahead > self.follow_up_days]
        # A comparison with NaN is true here: NaN is the largest number of Polars.
        extrapolated = [
            *(pl.when(pl.col(name) > self.follow_up_days).then(pl.lit(name)) for name in days),
            *(pl.lit(name) for name in late),
        ]
        return (
            pl.DataFrame(days | probabilities)
            .with_columns(pl.concat_list(extrapolated).list.drop_nulls().alias("extrapolated"))
            .with_columns(pl.col(*days).fill_nan(None))
        )

    def answers(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the default `columns` beside the keys of the customers."""
        return pl.concat([keys, self.columns()], how="horizontal")

    def _interval(self, right: Ints) -> tuple[Floats, Floats, Floats]:
        """Return start, and probabilities at both ends, of the interval that ends at `right`."""
        rows, left = np.arange(len(self)), np.maximum(right - 1, 0)
        start = np.where(right > 0, self.days[left], 0).astype(np.float64)
        low = np.where(right > 0, self.probabilities[rows, left], 0.0)
        return start, low, np.asarray(self.probabilities[rows, right], dtype=np.float64)

    def _inactivity(self, days: float) -> Floats:
        if self.process is None or self.history is None:
            return np.full(len(self), np.nan)
        return np.maximum(self.process.inactivity(*self.history, days), SMALLEST)

    def _quantile_beyond(self, level: float) -> Floats:
        if self.process is None or self.history is None:
            return np.full(len(self), np.nan)
        remaining = (1 - level) / (1 - self.probabilities[:, -1])
        inactivity = remaining * self._inactivity(self.follow_up_days)
        days = self.process.inverse_inactivity(*self.history, inactivity)
        return np.maximum(days, self.follow_up_days)
