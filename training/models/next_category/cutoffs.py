"""Customers and categories at past cutoffs, with follow-up to the next purchase from the category.

A dataset and an instant go in; features of customers and categories, and the days to the next
purchase, come out. Nothing at or after the instant is read.
"""

from collections.abc import Sequence
from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import day_start, to_day
from features.customer_records import customer_frame, few_customers
from features.customers.by_category import KEY, category_days, category_features, summarise
from features.dataset import Dataset
from features.memo import memo
from features.returns import has_returns
from training.customers.cutoffs import (
    Cutoff,
    customer_features,
    cutoff_days,
    features_at_cutoff,
)

# Three purchases make two gaps, the fewest that show a cadence.
MIN_PURCHASES = 3
# Features of the customer that are added to those of customer and category.
CUSTOMER_FEATURES = (
    "recency",
    "visits",
    "visits_28",
    "visits_84",
    "visit_rate",
    "gap_median",
    "gap_q90",
    "visits_decayed_14",
    "visits_decayed_56",
    "recency_over_gap_median",
)


def leading_categories(dataset: Dataset, as_of: datetime, count: int) -> list[str]:
    """Return the categories with the most customers of MIN_PURCHASES or more, sorted by name."""
    purchases = _days(dataset, as_of, None).group_by(KEY).agg(pl.len().alias("purchases"))
    repeated = purchases.filter(pl.col("purchases") >= MIN_PURCHASES)
    ranked = repeated.group_by("category").len().sort("len", "category", descending=[True, False])
    return sorted(ranked.head(count).get_column("category").to_list())


def pairs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cutoff: int | None = None,
    statistics: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return features of customers and categories with enough history, ordered by both.

    Columns of the customer begin with `customer_`, those of the category over all customers with
    `category_`.

    Parameters
    ----------
    dataset, as_of, categories
        The records, the instant up to which they are known, and the categories.
    cutoff
        An earlier day at which features are computed; by default `as_of`.
    statistics
        `category_statistics` of all customers, for a dataset of only a few customers.
    """
    names = tuple(categories)
    if cutoff is None and statistics is None:
        return pairs_at(dataset, as_of, names)
    instant = as_of if cutoff is None else day_start(cutoff)
    stored = pairs_at.stored(dataset, instant, names)
    if stored is not None:
        return stored
    frame = _pairs(dataset, as_of, categories, cutoff, statistics)
    return pairs_at.store(dataset, frame, instant, names)


@memo()
def pairs_at(dataset: Dataset, as_of: datetime, categories: tuple[str, ...]) -> pl.DataFrame:
    """Return the pairs at `as_of`; see `pairs`."""
    return _pairs(dataset, as_of, categories, None, None)


def category_statistics(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return gap, recency and number of customers of each category, one row a category.

    Gap and recency are medians over customers with enough history.
    """
    return pairs.group_by("category").agg(
        pl.col("gap_mean").median().alias("category_gap"),
        pl.col("recency").median().alias("category_recency"),
        pl.len().cast(pl.Float64).alias("category_pairs"),
    )


def _pairs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cutoff: int | None,
    statistics: pl.DataFrame | None,
) -> pl.DataFrame:
    if cutoff is None:
        customers = customer_features(dataset, as_of)
    else:
        customers = features_at_cutoff(dataset, as_of, cutoff)
    by_pair = _category_features(dataset, as_of, categories, cutoff)
    by_pair = by_pair.filter(pl.col("purchases") >= MIN_PURCHASES)
    by_customer = customers.select(
        "customer_id", *(pl.col(name).alias(f"customer_{name}") for name in CUSTOMER_FEATURES)
    )
    by_category = category_statistics(by_pair) if statistics is None else statistics
    return (
        by_pair.join(by_category, on="category")
        .join(by_customer, on="customer_id")
        .with_columns(
            (pl.col("purchases") / pl.col("customer_visits")).alias("share_of_visits"),
            (pl.col("recency") / pl.col("gap_mean")).alias("recency_over_gap_mean"),
            (pl.col("gap_mean") / pl.col("category_gap")).alias("gap_over_category"),
        )
        .sort(KEY)
    )


def past_cutoffs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    horizon_days: int,
    *,
    step: int,
    count: int,
) -> list[Cutoff]:
    """Return up to `count` cutoffs, each with follow-up of one horizon or until `as_of`.

    They are `step` days apart, newest first.

    Raises
    ------
    MissingData
        If no cutoff has one horizon of records before it.
    """
    days = cutoff_days(dataset, as_of, latest=step, step=step, count=count, history=horizon_days)
    return [_follow_up(dataset, as_of, categories, day, horizon_days) for day in days]


def _follow_up(
    dataset: Dataset, as_of: datetime, categories: Sequence[str], day: int, horizon_days: int
) -> Cutoff:
    features = pairs(dataset, as_of, categories, day)
    follow_up_days = min(horizon_days, to_day(as_of) - day)
    following = days_to_next_pair(dataset, as_of, categories, day, features)
    days = following.fill_null(follow_up_days).clip(upper_bound=follow_up_days)
    whole_days = days.to_numpy().astype(np.int64)
    return Cutoff(day, features, whole_days, whole_days < follow_up_days, follow_up_days)


def days_to_next_pair(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cutoff: int,
    keys: pl.DataFrame,
    end: int | None = None,
) -> pl.Series:
    """Return whole days from the start of day `cutoff` to each pair's next purchase before `as_of`.

    A purchase on the day itself counts 0; null where there is none before the earlier day `end`.
    """
    ahead = _days(dataset, as_of, categories).filter(pl.col("day") >= cutoff)
    if end is not None:
        ahead = ahead.filter(pl.col("day") < end)
    following = ahead.group_by(KEY).agg(pl.col("day").min() - cutoff)
    joined = keys.select(KEY).join(following, on=KEY, how="left", maintain_order="left")
    return joined.get_column("day")


def _category_features(
    dataset: Dataset, as_of: datetime, categories: Sequence[str], cutoff: int | None
) -> pl.DataFrame:
    if cutoff is None and few_customers(dataset) is not None:
        pairs = customer_frame(category_features, dataset, as_of)
        return pairs.filter(pl.col("category").is_in(list(categories)))
    days = _days(dataset, as_of, categories, cutoff)
    instant = as_of if cutoff is None else day_start(cutoff)
    return summarise(nw.from_native(days).lazy(), instant).collect().to_polars()


@memo()
def _known_days(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    return category_days(dataset, as_of).collect().to_polars()


def _days(
    dataset: Dataset, as_of: datetime, categories: Sequence[str] | None, cutoff: int | None = None
) -> pl.DataFrame:
    """Return the days known at the start of the day `cutoff`, by default at `as_of`."""
    if cutoff is None:
        days = _known_days(dataset, as_of)
    elif has_returns(dataset):
        days = _known_days(dataset, day_start(cutoff))
    else:
        days = _known_days(dataset, as_of).filter(pl.col("day") < cutoff)
    return days if categories is None else days.filter(pl.col("category").is_in(list(categories)))
