"""Customer x category features at an instant: recency, frequency and gaps within a category.

In: order lines and the catalogue. Out: one row per customer and category bought from. As in
`features.customers.builder`, lines are first collapsed to days and summed as integers.
"""

import math
from collections.abc import Sequence

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID, DAY, PRODUCT_ID
from features.customers.integer_sums import WEIGHT_UNIT, fixed_point, ratio
from features.dataset import Dataset
from features.returns import net_purchases
from features.typing import Frame

KEY = [CUSTOMER_ID, "category"]
HALF_LIVES_DAYS = (14, 56, 168)


def category_features(
    dataset: Dataset, as_of: AsOf, categories: Sequence[str] | None = None
) -> Frame:
    """Describe how each customer buys from each category, from what was known at `as_of`.

    Parameters
    ----------
    dataset
        Requires `orders` with `customer_id` and `product_id`, and `products` with `category`.
    as_of
        Records before it are read; records at or after it are not.
    categories
        Categories to describe, by default all.

    Returns
    -------
    narwhals.LazyFrame
        One row per customer and category bought from, in no particular order. A purchase is a day
        on which something of the category was bought. Features that need more purchases than
        there are are null.

    Raises
    ------
    MissingData
        If there are no customers, products or categories.
    """
    return summarise(category_days(dataset, as_of, categories), as_of)


def category_days(dataset: Dataset, as_of: AsOf, categories: Sequence[str] | None = None) -> Frame:
    """Collapse order lines known at `as_of` to one row per customer, category and day.

    Raises
    ------
    MissingData
        If there are no customers, products or categories.
    """
    for table, column in (
        ("orders", CUSTOMER_ID),
        ("orders", PRODUCT_ID),
        ("products", "category"),
    ):
        dataset.require(table, column, by="The next purchase by category")
    catalogue = dataset.table("products").select(PRODUCT_ID, "category")
    catalogue = catalogue.filter(~nw.col("category").is_null())
    if categories is not None:
        catalogue = catalogue.filter(nw.col("category").is_in(list(categories)))
    lines = net_purchases(dataset, as_of).filter(~nw.col(CUSTOMER_ID).is_null())
    return (
        lines.select(CUSTOMER_ID, PRODUCT_ID, DAY)
        .join(catalogue, on=PRODUCT_ID, how="inner")
        .group_by(*KEY, DAY)
        .agg(nw.len().alias("lines"))
    )


def summarise(days: Frame, as_of: AsOf) -> Frame:
    """Compute the features of each customer and category from days known at `as_of`.

    Parameters
    ----------
    days
        What `category_days` returns for `as_of`.
    """
    decayed = [f"decayed_{half_life}" for half_life in HALF_LIVES_DAYS]
    aggregates = (
        _purchases(days, to_day(as_of))
        .group_by(KEY)
        .agg(
            nw.len().alias("purchases"),
            nw.col("age").max().alias("tenure"),
            *(nw.col(name).sum() for name in ("lines", "gap", "gap_squared", "longer", *decayed)),
            *(nw.col(name).max() for name in ("recency", "gap_last", "lines_last")),
            nw.col("gap").median().alias("gap_median"),
            nw.col("gap").max().alias("gap_max"),
        )
    )
    numbers = [name for name in aggregates.collect_schema().names() if name not in KEY]
    aggregates = aggregates.with_columns(nw.col(*numbers).cast(nw.Float64))
    gaps = nw.col("purchases") - 1
    mean = ratio(nw.col("gap"), gaps)
    variance = ratio(nw.col("gap_squared"), gaps) - mean * mean
    return aggregates.select(
        *KEY,
        nw.col("purchases", "recency", "tenure", "gap_last", "gap_median", "gap_max"),
        mean.alias("gap_mean"),
        variance.clip(lower_bound=0.0).sqrt().alias("gap_sd"),
        ratio(nw.col("longer"), gaps).alias("gaps_longer"),
        (nw.col("lines") / nw.col("purchases")).alias("lines_per_purchase"),
        (nw.col("lines_last") * nw.col("purchases") / nw.col("lines")).alias("lines_last_relative"),
        *((nw.col(name) / WEIGHT_UNIT).alias(name) for name in decayed),
    )


def _purchases(days: Frame, today: int) -> Frame:
    """Add to each purchase its age, its gap to the one before, and what is aggregated."""
    purchases = days.with_columns(
        (nw.lit(today) - nw.col(DAY)).cast(nw.Int64).alias("age"),
        (nw.col(DAY) - nw.col(DAY).shift(1).over(*KEY, order_by=DAY)).cast(nw.Int64).alias("gap"),
        nw.col("lines").cast(nw.Int64),
    ).with_columns(nw.col("age").min().over(*KEY).alias("recency"))
    age, gap, recency = nw.col("age"), nw.col("gap"), nw.col("recency")
    return purchases.with_columns(
        (gap * gap).alias("gap_squared"),
        (gap > recency).cast(nw.Int64).alias("longer"),
        nw.when(age == recency).then(gap).alias("gap_last"),
        nw.when(age == recency).then(nw.col("lines")).alias("lines_last"),
        *(
            fixed_point((age * (-math.log(2) / days)).exp()).alias(f"decayed_{days}")
            for days in HALF_LIVES_DAYS
        ),
    )
