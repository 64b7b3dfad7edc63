"""Each product at an instant: since when it is sold, and at what price of late.

Order lines in, one row a product out; for the recommender's ranker and its new products.
"""

from typing import Any

import narwhals as nw

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.interactions.builder import STEP

# What is recent of a price, in days.
RECENT_DAYS = (7, 28)


def product_statistics(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Describe every product sold before `as_of`, anonymous orders included.

    Returns
    -------
    narwhals.LazyFrame
        product_id, lines (int64), and as float64: first_days and last_days (since the first and
        the last sale), lines_7d and lines_28d; where the dataset records money, units,
        units_7d, spend_7d, discount_7d, ...: units, paid and given off in the last days, and
        in all.
    """
    today = to_day(as_of)
    sales = dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
    age = (nw.lit(today) - nw.col("day")).cast(nw.Int64)
    amounts = {"lines": nw.lit(1.0)}
    if dataset.has("orders", "revenue"):
        amounts |= {"units": nw.col("quantity"), "spend": nw.col("revenue").fill_null(0.0)}
    if dataset.has("orders", "discount"):
        amounts["discount"] = nw.col("discount").fill_null(0.0)
    sales = sales.with_columns(age.alias("age"))
    sales = sales.with_columns(
        *((v / STEP).round().cast(nw.Int64).alias(name) for name, v in amounts.items())
    )
    recent = {
        f"{name}_{days}d": nw.when(nw.col("age") <= days).then(nw.col(name)).otherwise(0)
        for name in amounts
        for days in RECENT_DAYS
    }
    sums = [*amounts, *recent]
    return (
        sales.with_columns(*(v.alias(name) for name, v in recent.items()))
        .group_by("product_id")
        .agg(
            nw.col("age").max().alias("first_days"),
            nw.col("age").min().alias("last_days"),
            *(nw.col(name).sum() for name in sums),
        )
        .with_columns(
            *(nw.col(name).cast(nw.Float64) for name in ("first_days", "last_days")),
            *((nw.col(name).cast(nw.Float64) * STEP).alias(name) for name in sums),
        )
        .with_columns(nw.col("lines").round().cast(nw.Int64))
    )
