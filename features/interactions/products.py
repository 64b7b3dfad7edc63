"""Sales statistics of each product at an instant: age, recent lines, units and prices.

In: order lines. Out: one row per product.
"""

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import DAY, PRODUCT_ID
from features.dataset import Dataset
from features.interactions.builder import STEP
from features.returns import net_purchases
from features.typing import Frame

RECENT_DAYS = (7, 28)


def product_statistics(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe every product sold before `as_of`, anonymous orders included.

    Returns
    -------
    narwhals.LazyFrame
        product_id, lines (int64), and as float64: first_days and last_days (since the first and
        the last sale), lines_7d and lines_28d; where the dataset records money, also units, spend
        (paid) and discount (given), in total and of the last 7 and 28 days (units_7d, ...).
    """
    today = to_day(as_of)
    sales = net_purchases(dataset, as_of).filter(~nw.col(PRODUCT_ID).is_null())
    amounts = {"lines": nw.lit(1.0)}
    if dataset.has("orders", "revenue"):
        amounts |= {"units": nw.col("quantity"), "spend": nw.col("revenue").fill_null(0.0)}
    if dataset.has("orders", "discount"):
        amounts["discount"] = nw.col("discount").fill_null(0.0)
    sales = sales.with_columns((nw.lit(today) - nw.col(DAY)).cast(nw.Int64).alias("age"))
    sales = sales.with_columns(
        *((amount / STEP).round().cast(nw.Int64).alias(name) for name, amount in amounts.items())
    )
    recent = {
        f"{name}_{days}d": nw.when(nw.col("age") <= days).then(nw.col(name)).otherwise(0)
        for name in amounts
        for days in RECENT_DAYS
    }
    sums = [*amounts, *recent]
    return (
        sales.with_columns(*(amount.alias(name) for name, amount in recent.items()))
        .group_by(PRODUCT_ID)
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
