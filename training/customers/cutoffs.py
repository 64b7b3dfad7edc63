"""Past instants as training examples: customers at a cutoff and their purchases after it.

In: a dataset and an `as_of`. Out: customer features at earlier cutoffs and the days to each
customer's next purchase. Records at or after `as_of` are not read. Features are net of the returns
known at the cutoff, outcomes net of all that are known at `as_of`.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import day_start, to_day
from features.columns import CUSTOMER_ID, DAY
from features.customer_records import customer_frame
from features.customers.builder import (
    customer_days,
    customers,
    summarise,
    typical_spend_units,
)
from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.errors import MissingData
from features.memo import memo
from features.returns import has_returns
from features.typing import Bools, Floats, Ints

# Least days of records for predictions: customers who buy monthly need so many to be seen twice.
MIN_DAYS = 28


@dataclass(frozen=True)
class Cutoff:
    """Customers at a cutoff, and their next purchase within a follow-up.

    Attributes
    ----------
    day
        Day of the cutoff: features are of records before it.
    features
        What `features_at_cutoff` returns.
    days_to_purchase
        Whole days to the next visit or to the end of follow-up, one per row of `features`.
    purchased
        Whether the visit was observed within the follow-up.
    follow_up_days
        Days of follow-up.
    """

    day: int
    features: pl.DataFrame
    days_to_purchase: Ints
    purchased: Bools
    follow_up_days: int

    def churned(self, horizon_days: int) -> Floats:
        """Return 1 for customers without a visit within the horizon, else 0.

        The follow-up must be at least the horizon.
        """
        return (~self.purchased | (self.days_to_purchase >= horizon_days)).astype(np.float64)

    def censored_at(self, day: int) -> Self:
        """Return the cutoff with the follow-up ended at the start of a day."""
        follow_up_days = max(min(self.follow_up_days, day - self.day), 0)
        return replace(
            self,
            days_to_purchase=np.minimum(self.days_to_purchase, follow_up_days),
            purchased=self.purchased & (self.days_to_purchase < follow_up_days),
            follow_up_days=follow_up_days,
        )

    def select(self, chosen: Bools) -> Self:
        """Return the cutoff with the chosen customers."""
        return replace(
            self,
            features=self.features.filter(pl.Series(chosen)),
            days_to_purchase=self.days_to_purchase[chosen],
            purchased=self.purchased[chosen],
        )


def half_horizon(horizon_days: int) -> int:
    """Return half a horizon, at least a day."""
    return max(horizon_days // 2, 1)


def min_history_days(horizon_days: int, needed: int) -> int:
    """Return the days of records required for a buy-till-you-die model, the simplest fallback.

    Parameters
    ----------
    horizon_days
        Days ahead to predict; at most twice the days of records.
    needed
        Days of records required to train on cutoffs.
    """
    return min(needed, max(half_horizon(horizon_days), MIN_DAYS))


def history_days(dataset: Dataset, as_of: datetime) -> int:
    """Return the days from the first purchase of a known customer to `as_of`."""
    days = known_customer_days(dataset, as_of).filter(pl.col("lines") > 0)
    if days.is_empty():
        return 0
    return to_day(as_of) - int(days.get_column(DAY).min())  # type: ignore[arg-type]


def has_enough_history(dataset: Dataset, as_of: datetime, horizon_days: int, needed: int) -> bool:
    """Whether the records before `as_of` cover `needed` days.

    Raises
    ------
    MissingData
        If they do not even cover `min_history_days`.
    """
    days, least = history_days(dataset, as_of), min_history_days(horizon_days, needed)
    if days == 0:
        raise MissingData(
            f"Dataset {dataset.name} has no purchase by a known customer before {as_of.date()} "
            "that was not returned; choose a later as_of, or import orders with a customer_id.",
            field="orders",
        )
    if days < least:
        raise MissingData(
            f"Dataset {dataset.name} has {days} days of orders before {as_of.date()}, but {least} "
            f"are needed to look {horizon_days} days ahead; choose a later as_of, or a shorter "
            "horizon.",
            field="orders",
        )
    return days >= needed


@memo()
def customer_features(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return the features of all customers at `as_of`, ordered by customer_id."""
    frame = customer_frame(customers, dataset, as_of)
    # For a single row, sorting takes as long as some of the features.
    return frame if frame.height == 1 else frame.sort(CUSTOMER_ID)


def features_at_cutoff(dataset: Dataset, as_of: datetime, cutoff: int) -> pl.DataFrame:
    """Return `customer_features` at the start of the day `cutoff`, not after `as_of`.

    Without returns, order lines are collapsed once for all cutoffs of the same `as_of`.
    """
    instant = day_start(cutoff)
    stored = customer_features.stored(dataset, instant)
    if stored is not None:
        return stored
    days = nw.from_native(days_before(dataset, as_of, cutoff)).lazy()
    frame = summarise(days, dataset, instant).collect().to_polars().sort(CUSTOMER_ID)
    return customer_features.store(dataset, frame, instant)


def cutoff_days(
    dataset: Dataset, as_of: datetime, *, latest: int, step: int, count: int, history: int
) -> list[int]:
    """Return the days of up to `count` cutoffs, newest first.

    Parameters
    ----------
    dataset, as_of
        The records before `as_of` are known.
    latest
        Days from the newest cutoff to `as_of`.
    step
        Days between cutoffs.
    count
        Largest number of cutoffs.
    history
        Days of records required before the oldest cutoff.

    Raises
    ------
    MissingData
        If there is no such cutoff.
    """
    days = history_days(dataset, as_of)
    first, newest = to_day(as_of) - days, to_day(as_of) - latest
    candidates = (newest - step * number for number in range(count))
    cutoffs = [day for day in candidates if day - first >= history]
    if not cutoffs:
        raise MissingData(
            f"Dataset {dataset.name} has {days} days of orders before {as_of.date()}, but "
            f"{latest + history} are needed to learn from; choose a later as_of, or a shorter "
            "horizon.",
            field="orders",
        )
    return cutoffs


def days_to_next(
    dataset: Dataset, as_of: datetime, cutoff: int, ids: pl.Series, end: int | None = None
) -> pl.Series:
    """Return whole days from the start of the day `cutoff` to each customer's next visit.

    A visit on that day counts as 0; null for customers without a visit before `as_of`, or before
    the earlier day `end`.
    """
    visits = known_customer_days(dataset, as_of).filter(pl.col("lines") > 0, pl.col(DAY) >= cutoff)
    if end is not None:
        visits = visits.filter(pl.col(DAY) < end)
    following = visits.group_by(CUSTOMER_ID).agg(pl.col(DAY).min() - cutoff)
    rows = ids.alias(CUSTOMER_ID).to_frame()
    return rows.join(following, on=CUSTOMER_ID, how="left", maintain_order="left").get_column(DAY)


def typical_spend(dataset: Dataset, as_of: datetime, cutoff: int | None = None) -> float:
    """Return the median spend of a visit known at `as_of`, or before the earlier day `cutoff`.

    It is the unit of money of the features at that instant; 0 without money.
    """
    units = None if dataset.population is None else dataset.population.typical_spend
    if units is None:
        days = days_before(dataset, as_of, cutoff)
        units = typical_spend_units(nw.from_native(days).lazy())
    return (units or 0.0) / MONEY_UNIT


def orders_and_spend(
    dataset: Dataset, as_of: datetime, cutoff: int, horizon_days: int, ids: pl.Series
) -> tuple[Floats, Floats]:
    """Return each customer's orders and spend in the `horizon_days` from the day `cutoff` on.

    Spend is in units of the typical spend at the cutoff. Of a window that ends after `as_of`, the
    part before it counts.
    """
    window = known_customer_days(dataset, as_of).filter(
        pl.col("lines") > 0, pl.col(DAY) >= cutoff, pl.col(DAY) < cutoff + horizon_days
    )
    unit = typical_spend(dataset, as_of, cutoff) * MONEY_UNIT
    sums = window.group_by(CUSTOMER_ID).agg(
        pl.len().cast(pl.Float64).alias("orders"),
        (pl.col("spend_units").sum() / unit if unit > 0 else pl.lit(0.0)).alias("spend"),
    )
    rows = ids.alias(CUSTOMER_ID).to_frame()
    rows = rows.join(sums, on=CUSTOMER_ID, how="left", maintain_order="left").fill_null(0.0)
    return rows.get_column("orders").to_numpy(), rows.get_column("spend").to_numpy()


def past_cutoffs(
    dataset: Dataset, as_of: datetime, horizon_days: int, *, step: int, count: int
) -> list[Cutoff]:
    """Return up to `count` cutoffs, each with a follow-up of one horizon or until `as_of`.

    The newest lies `step` days before `as_of`, so the newer ones have a short follow-up.

    Raises
    ------
    MissingData
        If there is no cutoff with one horizon of records before it.
    """
    days = cutoff_days(dataset, as_of, latest=step, step=step, count=count, history=horizon_days)
    return [follow_up(dataset, as_of, day, horizon_days) for day in days]


def follow_up(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cutoff:
    """Return the customers at a day with a follow-up of one horizon or until `as_of`."""
    features = features_at_cutoff(dataset, as_of, day)
    length = min(horizon_days, to_day(as_of) - day)
    following = days_to_next(dataset, as_of, day, features.get_column(CUSTOMER_ID))
    days = following.fill_null(length).clip(upper_bound=length).to_numpy().astype(np.int64)
    return Cutoff(day, features, days, days < length, length)


@memo()
def known_customer_days(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return what `features.customers.builder.customer_days` returns at `as_of`, collected."""
    return customer_days(dataset, as_of).collect().to_polars()


def days_before(dataset: Dataset, as_of: datetime, cutoff: int | None) -> pl.DataFrame:
    """Return the customer-days known at the start of the day `cutoff`, by default at `as_of`."""
    if cutoff is None or cutoff > to_day(as_of):
        return known_customer_days(dataset, as_of)
    if has_returns(dataset):
        return known_customer_days(dataset, day_start(cutoff))
    return known_customer_days(dataset, as_of).filter(pl.col(DAY) < cutoff)
