"""Past instants as examples of customer x category: how they bought, and when they did again.

A dataset and an `as_of` go in; frames of customers and categories at earlier cuts, with the
customers' own rhythm beside, and the days to the next purchase come out. Nothing at or after
`as_of` is read. The model of the next purchase from a category and its baselines learn from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import day_start, to_day
from features.customers.by_category import KEY, category_days, summarise
from features.dataset import Dataset
from features.memo import memo
from training.customers.cutoffs import customer_features, cutoff_days, features_at_cutoff

# A rhythm needs two gaps to show.
FEWEST_PURCHASES = 3
# Of the customer, beside what is known of the pair.
OF_CUSTOMER = (
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


@dataclass(frozen=True)
class FollowedPairs:
    """Customers and categories as they were at a cut, followed to their next purchase.

    Attributes
    ----------
    features
        What `pairs` returns for the cut.
    days
        Whole days to the next purchase or to the end of follow-up, one a row.
    bought
        Whether the purchase was seen.
    until
        Days of follow-up.
    """

    features: pl.DataFrame
    days: NDArray[np.int64]
    bought: NDArray[np.bool_]
    until: int


def leading_categories(dataset: Dataset, as_of: datetime, count: int) -> list[str]:
    """Return the categories that most customers buy from time and again, in order of name."""
    purchases = _days(dataset, as_of, None).group_by(KEY).agg(pl.len().alias("purchases"))
    often = purchases.filter(pl.col("purchases") >= FEWEST_PURCHASES)
    ranked = often.group_by("category").len().sort("len", "category", descending=[True, False])
    return sorted(ranked.head(count).get_column("category").to_list())


def pairs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cut: int | None = None,
    norms: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return customers and categories with enough history, at `as_of` or at an earlier day `cut`.

    Ordered by customer and category; columns of the customer begin with `customer_`, those of the
    category over all customers with `category_`.

    Parameters
    ----------
    norms
        What `norms_of` returned for all customers, for a dataset that holds but a few.
    """
    names = tuple(categories)
    if cut is None and norms is None:
        return pairs_at(dataset, as_of, names)
    instant = as_of if cut is None else day_start(cut)
    stored = pairs_at.stored(dataset, instant, names)
    if stored is not None:
        return stored
    return pairs_at.store(dataset, _pairs(dataset, as_of, categories, cut, norms), instant, names)


@memo()
def pairs_at(dataset: Dataset, as_of: datetime, categories: tuple[str, ...]) -> pl.DataFrame:
    """Return the pairs at `as_of`; see `pairs`."""
    return _pairs(dataset, as_of, categories, None, None)


def norms_of(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return what is usual in each category, from customers with enough history."""
    return pairs.group_by("category").agg(
        pl.col("gap_mean").median().alias("category_gap"),
        pl.col("recency").median().alias("category_recency"),
        pl.len().cast(pl.Float64).alias("category_pairs"),
    )


def _pairs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cut: int | None,
    norms: pl.DataFrame | None,
) -> pl.DataFrame:
    days = _days(dataset, as_of, categories)
    if cut is None:
        instant, customers = as_of, customer_features(dataset, as_of)
    else:
        instant, customers = day_start(cut), features_at_cutoff(dataset, as_of, cut)
        days = days.filter(pl.col("day") < cut)
    found = summarise(nw.from_native(days).lazy(), instant).collect().to_polars()
    found = found.filter(pl.col("purchases") >= FEWEST_PURCHASES)
    of_customer = customers.select(
        "customer_id", *(pl.col(name).alias(f"customer_{name}") for name in OF_CUSTOMER)
    )
    return (
        found.join(norms_of(found) if norms is None else norms, on="category")
        .join(of_customer, on="customer_id")
        .with_columns(
            (pl.col("purchases") / pl.col("customer_visits")).alias("share_of_visits"),
            (pl.col("recency") / pl.col("gap_mean")).alias("recency_over_gap_mean"),
            (pl.col("gap_mean") / pl.col("category_gap")).alias("gap_over_category"),
        )
        .sort(KEY)
    )


def followed_pairs(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    horizon_days: int,
    *,
    step: int,
    count: int,
) -> list[FollowedPairs]:
    """Return up to `count` cuts, each followed for one horizon or until `as_of`, newest first.

    Raises
    ------
    MissingData
        If there is no cut with one horizon of records before it.
    """
    found = []
    for day in cutoff_days(
        dataset, as_of, latest=step, step=step, count=count, history=horizon_days
    ):
        features = pairs(dataset, as_of, categories, day)
        follow = min(horizon_days, to_day(as_of) - day)
        following = days_to_next_pair(dataset, as_of, categories, day, features)
        days = following.fill_null(follow).clip(upper_bound=follow).to_numpy().astype(np.int64)
        found.append(FollowedPairs(features, days, days < follow, follow))
    return found


def days_to_next_pair(
    dataset: Dataset,
    as_of: datetime,
    categories: Sequence[str],
    cut: int,
    wanted: pl.DataFrame,
) -> pl.Series:
    """Return whole days from the start of day `cut` to each pair's next purchase before `as_of`.

    A purchase on the day itself counts 0; null where there is none.
    """
    ahead = _days(dataset, as_of, categories).filter(pl.col("day") >= cut)
    following = ahead.group_by(KEY).agg(pl.col("day").min() - cut)
    joined = wanted.select(KEY).join(following, on=KEY, how="left", maintain_order="left")
    return joined.get_column("day")


@memo()
def _known_days(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    return category_days(dataset, as_of).collect().to_polars()


def _days(dataset: Dataset, as_of: datetime, categories: Sequence[str] | None) -> pl.DataFrame:
    days = _known_days(dataset, as_of)
    return days if categories is None else days.filter(pl.col("category").is_in(list(categories)))
