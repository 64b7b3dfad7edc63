"""Past instants as training examples: customers as they were at a cut, and what they did next.

A dataset and an `as_of` go in; feature frames of earlier cuts and the days to each customer's
next purchase come out. Nothing at or after `as_of` is read. Churn and next purchase learn from it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import day_start, to_day
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

# Of fewer days nothing is said: what comes once a month was not seen to come back.
FEWEST_DAYS = 28


@dataclass(frozen=True)
class Cutoff:
    """Customers as they were at a cut, followed to their next visit.

    Attributes
    ----------
    day
        The cut: what happened on it or later is not in the features.
    features
        What `features_at_cut` returns.
    days
        Whole days to the next visit or to the end of follow-up, one a row of `features`.
    bought
        Whether the visit was seen.
    until
        Days of follow-up.
    """

    day: int
    features: pl.DataFrame
    days_to_purchase: NDArray[np.int64]
    purchased: NDArray[np.bool_]
    follow_up_days: int

    def churned(self, horizon_days: int) -> NDArray[np.float64]:
        """Return 1 where no visit was seen within so many days, which were followed, else 0."""
        return (~self.purchased | (self.days_to_purchase >= horizon_days)).astype(np.float64)

    def censored_at(self, day: int) -> Self:
        """Return them as far as they were followed by the start of a day."""
        follow_up_days = max(min(self.follow_up_days, day - self.day), 0)
        return replace(
            self,
            days_to_purchase=np.minimum(self.days_to_purchase, follow_up_days),
            purchased=self.purchased & (self.days_to_purchase < follow_up_days),
            follow_up_days=follow_up_days,
        )

    def select(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the chosen customers."""
        return replace(
            self,
            features=self.features.filter(pl.Series(chosen)),
            days_to_purchase=self.days_to_purchase[chosen],
            purchased=self.purchased[chosen],
        )


def half_horizon(horizon_days: int) -> int:
    """Return half a horizon: what happens in it is known sooner."""
    return max(horizon_days // 2, 1)


def min_history_days(horizon_days: int, needed: int) -> int:
    """Return the days of records without which not even a process of buying is fitted.

    Parameters
    ----------
    horizon_days
        How far ahead it is asked; it reaches no further than twice the records.
    needed
        Days from which on something can be learnt.
    """
    return min(needed, max(half_horizon(horizon_days), FEWEST_DAYS))


def history_days(dataset: Dataset, as_of: datetime) -> int:
    """Return the days from the first purchase of a known customer to `as_of`."""
    visits = known_customer_days(dataset, as_of)
    if visits.is_empty():
        return 0
    return to_day(as_of) - int(visits.get_column("day").min())  # type: ignore[arg-type]


def has_enough_history(dataset: Dataset, as_of: datetime, horizon_days: int, needed: int) -> bool:
    """Say whether the records reach back far enough to learn from: `needed` days.

    Raises
    ------
    MissingData
        If not even a process of buying can be fitted to them.
    """
    days, least = history_days(dataset, as_of), min_history_days(horizon_days, needed)
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
    """Return all customers' features at `as_of`, ordered by customer_id."""
    return customers(dataset, as_of).collect().to_polars().sort("customer_id")


def features_at_cutoff(dataset: Dataset, as_of: datetime, cut: int) -> pl.DataFrame:
    """Return what `customer_features` returns for the first instant of day `cut` before `as_of`.

    The order lines are collapsed once for all cuts rather than once for each.
    """
    instant = day_start(cut)
    stored = customer_features.stored(dataset, instant)
    if stored is not None:
        return stored
    days = nw.from_native(known_customer_days(dataset, as_of)).lazy().filter(nw.col("day") < cut)
    frame = summarise(days, dataset, instant).collect().to_polars().sort("customer_id")
    return customer_features.store(dataset, frame, instant)


def cutoff_days(
    dataset: Dataset, as_of: datetime, *, latest: int, step: int, count: int, history: int
) -> list[int]:
    """Return the days of up to `count` cuts, newest first, `step` days apart.

    Parameters
    ----------
    dataset, as_of
        What is known.
    latest
        Days from the newest cut to `as_of`.
    step
        Days between cuts.
    count
        Number of cuts at most.
    history
        Days of records that the oldest cut has before it at least.

    Raises
    ------
    MissingData
        If there is no such cut.
    """
    days = history_days(dataset, as_of)
    first, newest = to_day(as_of) - days, to_day(as_of) - latest
    cuts = [newest - step * k for k in range(count) if newest - step * k - first >= history]
    if not cuts:
        raise MissingData(
            f"Dataset {dataset.name} has {days} days of orders before {as_of.date()}, but "
            f"{latest + history} are needed to learn from; choose a later as_of, or a shorter "
            "horizon.",
            field="orders",
        )
    return cuts


def days_to_next(dataset: Dataset, as_of: datetime, cut: int, ids: pl.Series) -> pl.Series:
    """Return whole days from the start of day `cut` to each customer's next visit.

    A visit on the day itself counts 0; null where there is none before `as_of`.
    """
    visits = known_customer_days(dataset, as_of).filter(pl.col("lines") > 0, pl.col("day") >= cut)
    following = visits.group_by("customer_id").agg(pl.col("day").min() - cut)
    wanted = ids.alias("customer_id").to_frame()
    return wanted.join(following, on="customer_id", how="left", maintain_order="left").get_column(
        "day"
    )


def typical_spend(dataset: Dataset, as_of: datetime, cut: int | None = None) -> float:
    """Return the unit of money at `as_of`, or at the earlier day `cut`: a visit's median spend."""
    given = None if dataset.population is None else dataset.population.typical_spend
    if given is None:
        known = known_customer_days(dataset, as_of)
        days = known if cut is None else known.filter(pl.col("day") < cut)
        given = typical_spend_units(nw.from_native(days).lazy())
    return (given or 0.0) / MONEY_UNIT


def orders_and_spend(
    dataset: Dataset, as_of: datetime, cut: int, horizon_days: int, ids: pl.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each customer's orders and spend in the `horizon_days` from day `cut` on.

    Spend is in units of the typical spend at the cut. A window that ends after `as_of` counts as
    far as it is known.
    """
    ahead = known_customer_days(dataset, as_of).filter(
        pl.col("lines") > 0, pl.col("day") >= cut, pl.col("day") < cut + horizon_days
    )
    unit = typical_spend(dataset, as_of, cut) * MONEY_UNIT
    sums = ahead.group_by("customer_id").agg(
        pl.len().cast(pl.Float64).alias("orders"),
        (pl.col("spend_units").sum() / unit if unit > 0 else pl.lit(0.0)).alias("spend"),
    )
    wanted = ids.alias("customer_id").to_frame()
    found = wanted.join(sums, on="customer_id", how="left", maintain_order="left").fill_null(0.0)
    return found.get_column("orders").to_numpy(), found.get_column("spend").to_numpy()


def past_cutoffs(
    dataset: Dataset, as_of: datetime, horizon_days: int, *, step: int, count: int
) -> list[Cutoff]:
    """Return up to `count` cuts, each followed for one horizon or until `as_of`.

    The newest lies `step` days before `as_of`, so the follow-up of the newer ones is short.

    Raises
    ------
    MissingData
        If there is no cut with one horizon of records before it.
    """
    days = cutoff_days(dataset, as_of, latest=step, step=step, count=count, history=horizon_days)
    return [follow_up(dataset, as_of, day, horizon_days) for day in days]


def follow_up(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cutoff:
    """Follow customers from a day for one horizon or until `as_of`."""
    features = features_at_cutoff(dataset, as_of, day)
    follow = min(horizon_days, to_day(as_of) - day)
    following = days_to_next(dataset, as_of, day, features.get_column("customer_id"))
    days = following.fill_null(follow).clip(upper_bound=follow).to_numpy().astype(np.int64)
    return Cutoff(day, features, days, days < follow, follow)


@memo()
def known_customer_days(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return customer-days known at `as_of` (`builder.customer_days`)."""
    return customer_days(dataset, as_of).collect().to_polars()
