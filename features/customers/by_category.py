"""Customer x category: when each customer buys from each category of the catalogue.

Order lines and the catalogue go in, one row a customer and category comes out; the model of the
next purchase from a category reads it. As with `features.customers.builder`, lines are first
collapsed to
days, and sums are those of integers.
"""

import math
from collections.abc import Sequence

import narwhals as nw

from features.calendar import AsOf, to_day
from features.customers.builder import WEIGHT_UNIT
from features.dataset import Dataset
from features.typing import Frame

KEY = ["customer_id", "category"]
HALF_LIVES_DAYS = (14, 56, 168)


def category_features(
    dataset: Dataset, as_of: AsOf, categories: Sequence[str] | None = None
) -> Frame:
    """Describe how each customer buys from each category, from what was known at `as_of`.

    Parameters
    ----------
    dataset
        Needs `orders` with `customer_id` and `product_id`, and `products` with `category`.
    as_of
        Everything before it is used, nothing at or after it.
    categories
        Only these, by default all.

    Returns
    -------
    narwhals.LazyFrame
        One row a customer and category bought from, in no particular order. A purchase is a day
        on which something of the category was bought. What there is too little history for is
        null.

    Raises
    ------
    MissingData
        If there are no customers, products or categories.
    """
    return summarise(category_days(dataset, as_of, categories), as_of)


def category_days(dataset: Dataset, as_of: AsOf, categories: Sequence[str] | None = None) -> Frame:
    """Collapse order lines known at `as_of` to one row a customer, category and day.

    Raises
    ------
    MissingData
        If there are no customers, products or categories.
    """
    for table, column in (
        ("orders", "customer_id"),
        ("orders", "product_id"),
        ("products", "category"),
    ):
        dataset.require(table, column, by="The next purchase by category")
    catalogue = dataset.table("products").select("product_id", "category")
    catalogue = catalogue.filter(~nw.col("category").is_null())
    if categories is not None:
        catalogue = catalogue.filter(nw.col("category").is_in(list(categories)))
    lines = dataset.known("orders", as_of).filter(
        ~nw.col("customer_id").is_null(), nw.col("kind") != "return"
    )
    return (
        lines.select("customer_id", "product_id", "day")
        .join(catalogue, on="product_id", how="inner")
        .group_by(*KEY, "day")
        .agg(nw.len().alias("lines"))
    )


def summarise(days: Frame, as_of: AsOf) -> Frame:
    """Turn days known at `as_of` into one row of features a customer and category.

    Parameters
    ----------
    days
        What `category_days` returns for `as_of`.
    """
    today = to_day(as_of)
    purchases = days.with_columns(
        (nw.lit(today) - nw.col("day")).cast(nw.Int64).alias("age"),
        (nw.col("day") - nw.col("day").shift(1).over(*KEY, order_by="day"))
        .cast(nw.Int64)
        .alias("gap"),
        nw.col("lines").cast(nw.Int64),
    ).with_columns(nw.col("age").min().over(*KEY).alias("recency"))
    age, gap, recency = nw.col("age"), nw.col("gap"), nw.col("recency")
    purchases = purchases.with_columns(
        (gap * gap).alias("gap_squared"),
        (gap > recency).cast(nw.Int64).alias("longer"),
        nw.when(age == recency).then(gap).alias("gap_last"),
        nw.when(age == recency).then(nw.col("lines")).alias("lines_last"),
        *(
            ((age * (-math.log(2) / days)).exp() * WEIGHT_UNIT)
            .round(0)
            .cast(nw.Int64)
            .alias(f"decayed_{days}")
            for days in HALF_LIVES_DAYS
        ),
    )
    sums = ["lines", "gap", "gap_squared", "longer", *(f"decayed_{d}" for d in HALF_LIVES_DAYS)]
    measured = purchases.group_by(KEY).agg(
        nw.len().alias("purchases"),
        nw.col("age").max().alias("tenure"),
        *(nw.col(name).sum() for name in sums),
        *(nw.col(name).max() for name in ("recency", "gap_last", "lines_last")),
        nw.col("gap").median().alias("gap_median"),
        gap.max().alias("gap_max"),
    )
    numbers = [name for name in measured.collect_schema().names() if name not in KEY]
    measured = measured.with_columns(nw.col(*numbers).cast(nw.Float64))
    gaps = nw.col("purchases") - 1
    mean = nw.when(gaps > 0).then(nw.col("gap") / gaps)
    variance = nw.when(gaps > 0).then(nw.col("gap_squared") / gaps) - mean * mean
    return measured.select(
        *KEY,
        nw.col("purchases", "recency", "tenure", "gap_last", "gap_median", "gap_max"),
        mean.alias("gap_mean"),
        variance.clip(lower_bound=0.0).sqrt().alias("gap_sd"),
        nw.when(gaps > 0).then(nw.col("longer") / gaps).alias("gaps_longer"),
        (nw.col("lines") / nw.col("purchases")).alias("lines_per_purchase"),
        (nw.col("lines_last") * nw.col("purchases") / nw.col("lines")).alias("lines_last_relative"),
        *((nw.col(f"decayed_{d}") / WEIGHT_UNIT).alias(f"decayed_{d}") for d in HALF_LIVES_DAYS),
    )
