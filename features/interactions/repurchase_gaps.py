"""Gaps between a customer's successive purchases of a product, the last one censored.

In: order lines before an instant. Out: one row per purchase.
"""

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID, DAY, ORDER_ID, PRODUCT_ID
from features.dataset import Dataset
from features.returns import net_purchases
from features.typing import Frame

PAIR = (CUSTOMER_ID, PRODUCT_ID)


def repurchases(dataset: Dataset, as_of: AsOf, *, most_customers: int | None = None) -> Frame:
    """Describe each purchase of a product by a customer, and the gap to the next one.

    Several lines of an order with the same product are one purchase. Orders without a customer
    and returns are left out.

    Parameters
    ----------
    most_customers
        Sample at most so many customers, evenly by id; by default all.

    Returns
    -------
    narwhals.LazyFrame
        product_id
        number
            Number of the purchase in the customer's sequence, 1 for the first.
        span_days
            Days from the first purchase to this one.
        gap_days
            Days to the next purchase, or to `as_of` where none was seen.
        repurchased
            Whether the next purchase was seen.
    """
    lines = net_purchases(dataset, as_of).filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col(PRODUCT_ID).is_null()
    )
    if most_customers is not None:
        sample = _even_sample(lines, most_customers)
        lines = lines.join(sample, on=CUSTOMER_ID, how="semi")
    order = [DAY, ORDER_ID]
    bought = lines.group_by(*PAIR, ORDER_ID).agg(nw.col(DAY).min())
    following = nw.col(DAY).shift(-1).over(*PAIR, order_by=order)
    end = nw.col("following").fill_null(to_day(as_of))
    return bought.with_columns(
        nw.col(DAY).cum_count().over(*PAIR, order_by=order).cast(nw.Int64).alias("number"),
        (nw.col(DAY) - nw.col(DAY).min().over(*PAIR)).cast(nw.Int64).alias("span_days"),
        following.alias("following"),
    ).select(
        PRODUCT_ID,
        "number",
        "span_days",
        (end - nw.col(DAY)).cast(nw.Int64).alias("gap_days"),
        (~nw.col("following").is_null()).alias("repurchased"),
    )


def _even_sample(lines: Frame, most: int) -> Frame:
    """Choose at most `most` customers, evenly spaced in the order of their ids."""
    customers = lines.select(CUSTOMER_ID).unique()
    number = nw.col(CUSTOMER_ID).cum_count().over(order_by=CUSTOMER_ID).cast(nw.Int64)
    total = nw.len().cast(nw.Int64)
    numbered = customers.with_columns(number.alias("number"), total.alias("total"))
    # Customers are divided into `most` bins of equal size; the first of each bin is chosen.
    bin_number = ((nw.col("number") * most) // nw.col("total")).cast(nw.Int64)
    previous_bin = (((nw.col("number") - 1) * most) // nw.col("total")).cast(nw.Int64)
    chosen = (bin_number > previous_bin) | (nw.col("total") <= most)
    return numbered.filter(chosen).select(CUSTOMER_ID)
