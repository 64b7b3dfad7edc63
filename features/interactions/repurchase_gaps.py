"""How long customers waited from one purchase of a product to the next.

Order lines before an instant in, one row a purchase out; clocks of repurchase are learned
from it.
"""

from typing import Any

import narwhals as nw

from features.calendar import AsOf, to_day
from features.dataset import Dataset


def repurchases(
    dataset: Dataset, as_of: AsOf, *, most_customers: int | None = None
) -> nw.LazyFrame[Any]:
    """Describe each purchase of a product by a customer, and how it went on.

    A product on several lines of an order was bought once. Orders without a customer and
    returns are left out.

    Parameters
    ----------
    most_customers
        Look at no more customers than these, an even pick by id; at all by default.

    Returns
    -------
    narwhals.LazyFrame
        product_id
        times
            Purchases of the customer up to this one, 1 for the first.
        span
            Days from the first to this one.
        waited
            Days to the next, or to `as_of` where none has come.
        came
            Whether it has.
    """
    lines = dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale",
        ~nw.col("customer_id").is_null(),
        ~nw.col("product_id").is_null(),
    )
    if most_customers is not None:
        lines = lines.join(_even_pick(lines, most_customers), on="customer_id", how="semi")
    pair, order = ("customer_id", "product_id"), ["day", "order_id"]
    purchases = lines.group_by(*pair, "order_id").agg(nw.col("day").min())
    after = nw.col("day").shift(-1).over(*pair, order_by=order)
    return purchases.with_columns(
        nw.col("day").cum_count().over(*pair, order_by=order).cast(nw.Int64).alias("times"),
        (nw.col("day") - nw.col("day").min().over(*pair)).cast(nw.Int64).alias("span"),
        after.alias("after"),
    ).select(
        "product_id",
        "times",
        "span",
        (nw.col("after").fill_null(to_day(as_of)) - nw.col("day")).cast(nw.Int64).alias("waited"),
        (~nw.col("after").is_null()).alias("came"),
    )


def _even_pick(lines: nw.LazyFrame[Any], most: int) -> nw.LazyFrame[Any]:
    customers = lines.select("customer_id").unique()
    number = nw.col("customer_id").cum_count().over(order_by="customer_id").cast(nw.Int64)
    total = nw.len().cast(nw.Int64)
    numbered = customers.with_columns(number.alias("number"), total.alias("total"))
    # The number of the pick that each customer falls to; the first who does is picked.
    falls = ((nw.col("number") * most) // nw.col("total")).cast(nw.Int64)
    before = (((nw.col("number") - 1) * most) // nw.col("total")).cast(nw.Int64)
    picked = (falls > before) | (nw.col("total") <= most)
    return numbered.filter(picked).select("customer_id")
