"""What, where and through which channel each customer buys most, by name.

In: order lines and the catalogue. Out: one row per customer.
"""

import narwhals as nw

from features.calendar import AsOf
from features.columns import CUSTOMER_ID, DAY, LOCATION_ID, PRODUCT_ID
from features.dataset import Dataset
from features.returns import net_purchases
from features.typing import Frame

TOP_CATEGORIES = 3
# Columns of favourites by the column of `orders` whose most frequent value they hold.
FAVOURITES = {"channel": "favourite_channel", LOCATION_ID: "favourite_location"}


def favourites(dataset: Dataset, as_of: AsOf) -> Frame:
    """Return each customer's favourite categories, channel and location, known at `as_of`.

    Parameters
    ----------
    dataset
        Requires `orders` with `customer_id`; uses channel, location_id, product_id and the table
        `products` where there are any.
    as_of
        Records before it are read; records at or after it are not.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, first_day, last_day, and, where the records have them, favourite_channel,
        favourite_location and top_category_1 to 3. Values are ranked by days with a purchase, ties
        by name.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    dataset.require("orders", CUSTOMER_ID, by="The builder of favourites")
    bought = net_purchases(dataset, as_of).filter(~nw.col(CUSTOMER_ID).is_null())
    customers = bought.group_by(CUSTOMER_ID).agg(
        nw.col(DAY).min().alias("first_day"), nw.col(DAY).max().alias("last_day")
    )
    columns = dataset.columns("orders")
    for column, name in FAVOURITES.items():
        if column in columns:
            first = _ranked(bought, column).filter(nw.col("rank") == 1)
            favourite = first.select(CUSTOMER_ID, nw.col(column).alias(name))
            customers = customers.join(favourite, on=CUSTOMER_ID, how="left")
    if PRODUCT_ID in columns and dataset.has("products", "category"):
        catalogue = dataset.table("products").select(PRODUCT_ID, "category")
        ranked = _ranked(bought.join(catalogue, on=PRODUCT_ID), "category")
        for rank in range(1, TOP_CATEGORIES + 1):
            top = ranked.filter(nw.col("rank") == rank)
            named = top.select(CUSTOMER_ID, nw.col("category").alias(f"top_category_{rank}"))
            customers = customers.join(named, on=CUSTOMER_ID, how="left")
    return customers


def _ranked(bought: Frame, column: str) -> Frame:
    """Rank each customer's values of a column by days with a purchase, most days first."""
    days = bought.filter(~nw.col(column).is_null()).select(CUSTOMER_ID, column, DAY).unique()
    counts = days.group_by(CUSTOMER_ID, column).agg(nw.len().cast(nw.Int64).alias("days"))
    return counts.with_columns((-nw.col("days")).alias("order")).with_columns(
        nw.col("order").cum_count().over(CUSTOMER_ID, order_by=["order", column]).alias("rank")
    )
