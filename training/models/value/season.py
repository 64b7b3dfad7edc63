"""Season by days ahead: what followed a year before, over what is predicted for the same customers.

Predictions for customers at a cutoff and their outcomes go in, factors of periods ahead come out: 1
unless the shop has a season, or has changed its level since.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import features_at_cutoff, history_days, orders_and_spend
from training.customers.seasonal_calibration import YEAR_DAYS

# Last days of the periods ahead that have a factor of their own.
PERIOD_ENDS = (30, 60, 90, 135, 182, 273, 364)

# Relative difference below which a level is no season, and in standard errors.
MIN_LEVEL_BIAS, MIN_STANDARD_ERRORS = 0.05, 3.0
# A season is rejected if it moves a known total so much further from what was observed.
REJECTED_BIAS = 0.1
TINY = 1e-9

# From days ahead to what each customer orders, or spends, within them.
WithinDays = Callable[[int], Floats]
# From days ahead to the orders and the spend of each customer.
Outcomes = Callable[[int], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Season:
    """Factors of what customers are expected to order, or spend, in periods ahead.

    Attributes
    ----------
    ends
        Last day of each period.
    factors
        Factor of each period.
    later
        Factor after the last period: that of all periods together.
    """

    ends: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()
    later: float = 1.0

    @classmethod
    def fit(
        cls, observed: WithinDays, predicted: WithinDays, days: int, level_error: float = 0.0
    ) -> Self:
        """Compare what followed a cutoff, which is known for so many days, with predictions.

        `level_error` is the relative standard error of the level of the predictions.
        """
        ends = (*(end for end in PERIOD_ENDS if end < days), min(days, PERIOD_ENDS[-1]))
        before = (np.zeros(1), np.zeros(1))
        factors = []
        for end in ends:
            until = observed(end), predicted(end)
            parts = until[0] - before[0], until[1] - before[1]
            factors.append(_factor(*parts, level_error))
            before = until
        return cls(ends, tuple(factors), _factor(*before, level_error))

    def expected(self, predicted: WithinDays, days: int) -> Floats:
        """Return what is expected within days ahead; it never falls as they grow."""
        total, before = np.zeros(1), np.zeros(1)
        for end, factor in zip((*self.ends, days), (*self.factors, self.later), strict=True):
            until = predicted(min(end, days))
            total = total + factor * (until - before)
            if end >= days:
                break
            before = until
        return total

    def is_worse(self, observed: Floats, predicted: WithinDays, days: int) -> bool:
        """Whether the season puts the total further from what was observed, beyond noise."""
        without = predicted(days)
        error, plain = (
            abs(float((observed - expected).sum()))
            for expected in (self.expected(predicted, days), without)
        )
        noise = MIN_STANDARD_ERRORS * _standard_error(observed, without)
        return error - plain > max(REJECTED_BIAS * float(observed.sum()), noise)


@dataclass(frozen=True)
class Seasons:
    """Season of the orders, and of the spend.

    Attributes
    ----------
    orders, spend
        The seasons.
    """

    orders: Season = field(default_factory=Season)
    spend: Season = field(default_factory=Season)

    @classmethod
    def year_before(
        cls,
        dataset: Dataset,
        as_of: datetime,
        fitted_days: int,
        predict: Callable[[pl.DataFrame], tuple[WithinDays, Floats]],
    ) -> Self:
        """Compare what followed a year before `as_of` with what is predicted for then.

        Predictions for then are first brought to the level that they have now, in the newest window
        of `fitted_days` that is known: customers a year before may differ in more than the season.

        Parameters
        ----------
        dataset, as_of
            The records before `as_of` are known.
        fitted_days
            Days ahead that the predictions are fitted to; with less than twice as many days of
            records before the year, there are no seasons.
        predict
            Returns from features orders by days ahead, and the spend per order.
        """
        if history_days(dataset, as_of) < YEAR_DAYS + 2 * fitted_days:
            return cls()

        def at(cutoff: int) -> tuple[Outcomes, WithinDays, Floats]:
            features = features_at_cutoff(dataset, as_of, cutoff)
            ids = features.get_column("customer_id")
            observed = partial(_outcomes, dataset, as_of, cutoff, ids)
            return observed, *predict(features)

        today = to_day(as_of)
        now, then = (
            _levels(*at(day - fitted_days), fitted_days) for day in (today, today - YEAR_DAYS)
        )
        observed, orders, per_order = at(today - YEAR_DAYS)

        def season(number: int, unit: Floats) -> Season:
            level, error = then[number][0] / now[number][0], (then[number][1], now[number][1])
            return Season.fit(
                lambda days: observed(days)[number],
                lambda days: orders(days) * unit * level,
                YEAR_DAYS,
                float(np.hypot(*error)),
            )

        return cls(season(0, np.ones(1)), season(1, per_order))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the seasons from the dictionary that `dataclasses.asdict` returns for them."""
        orders, spend = (
            Season(tuple(of["ends"]), tuple(of["factors"]), of["later"])
            for of in (content["orders"], content["spend"])
        )
        return cls(orders, spend)

    def are_worse(
        self,
        observed: tuple[Floats, Floats],
        orders: WithinDays,
        spend_per_order: Floats,
        days: int,
    ) -> bool:
        """Whether orders or spend are further from what was observed than without seasons."""
        ordered, spent = observed
        return self.orders.is_worse(ordered, orders, days) or self.spend.is_worse(
            spent, lambda ahead: orders(ahead) * spend_per_order, days
        )

    def expected(self, orders: WithinDays, at_least: WithinDays) -> tuple[WithinDays, WithinDays]:
        """Return expected orders, and orders weighted by the spend of their season.

        Parameters
        ----------
        orders
            Expected orders without seasons.
        at_least
            Lower bound of both: the probability of an order.
        """

        def within(season: Season, days: int) -> Floats:
            return np.maximum(season.expected(orders, days), at_least(days))

        return partial(within, self.orders), partial(within, self.spend)


def _factor(observed: Floats, predicted: Floats, level_error: float) -> float:
    """Return observed over predicted, 1 if they differ by no more than both limits."""
    total = float(predicted.sum())
    difference = abs(float(observed.sum()) - total)
    noise = MIN_STANDARD_ERRORS * np.hypot(
        _standard_error(observed, predicted), level_error * total
    )
    if difference <= max(MIN_LEVEL_BIAS * total, noise):
        return 1.0
    return float(observed.sum()) / max(total, TINY)


def _standard_error(observed: Floats, predicted: Floats) -> float:
    return float(np.sqrt(((observed - predicted) ** 2).sum()))


def _outcomes(
    dataset: Dataset, as_of: datetime, cutoff: int, ids: pl.Series, days: int
) -> tuple[Floats, Floats]:
    return orders_and_spend(dataset, as_of, cutoff, days, ids)


def _levels(
    observed: Outcomes, orders: WithinDays, spend_per_order: Floats, days: int
) -> list[tuple[float, float]]:
    """Return observed over predicted orders and spend, each with its relative standard error."""
    levels = []
    for actual, unit in zip(observed(days), (np.ones(1), spend_per_order), strict=True):
        predicted = orders(days) * unit
        total = max(float(predicted.sum()), TINY)
        level = max(float(actual.sum()) / total, TINY)
        levels.append((level, _standard_error(actual, predicted) / total))
    return levels
