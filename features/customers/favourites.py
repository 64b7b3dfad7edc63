"""Customer x as_of: what, where and when a customer mostly buys, by name.

Order lines go in, one row a customer comes out; profiles, audiences and clusters read it.
"""

import narwhals as nw

from features.calendar import AsOf
from features.columns import CUSTOMER_ID
from features.dataset import Dataset
from features.typing import Frame

TOP_CATEGORIES = 3
# The column of a habit, by the column of `orders` whose most frequent value it names.
FAVOURITES = {"channel": "favourite_channel", "location_id": "favourite_location"}


def favourites(dataset: Dataset, as_of: AsOf) -> Frame:
    """Name what each customer mostly buys, and where, from what was known at `as_of`.

    Parameters
    ----------
    dataset
        Needs `orders` with `customer_id`; uses channel, location_id, product_id and the table
        `products` where there are any.
    as_of
        Everything before it is used, nothing at or after it.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, first_day, last_day, and, where the records have them, favourite_channel,
        favourite_location and top_category_1 to 3. What is bought on the most days comes first;
        of equals, the first by name.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    dataset.require("orders", CUSTOMER_ID, by="The builder of habits")
    bought = dataset.known("orders", as_of).filter(
        ~nw.col(CUSTOMER_ID).is_null(), nw.col("kind") != "return"
    )
    found = bought.group_by(CUSTOMER_ID).agg(
        nw.col("day").min().alias("first_day"), nw.col("day").max().alias("last_day")
    )
    columns = dataset.columns("orders")
    for column, name in FAVOURITES.items():
        if column in columns:
            first = _ranked(bought, column).filter(nw.col("place") == 1)
            favourite = first.select(CUSTOMER_ID, nw.col(column).alias(name))
            found = found.join(favourite, on=CUSTOMER_ID, how="left")
    if "product_id" in columns and dataset.has("products", "category"):
        catalogue = dataset.table("products").select("product_id", "category")
        ranked = _ranked(bought.join(catalogue, on="product_id"), "category")
        for place in range(1, TOP_CATEGORIES + 1):
            here = ranked.filter(nw.col("place") == place)
            named = here.select(CUSTOMER_ID, nw.col("category").alias(f"top_category_{place}"))
            found = found.join(named, on=CUSTOMER_ID, how="left")
    return found


def _ranked(bought: Frame, column: str) -> Frame:
    """Rank each customer's values of a column, the one bought on the most days first."""
    days = bought.filter(~nw.col(column).is_null()).select(CUSTOMER_ID, column, "day").unique()
    counts = days.group_by(CUSTOMER_ID, column).agg(nw.len().cast(nw.Int64).alias("days"))
    return counts.with_columns((-nw.col("days")).alias("fewest")).with_columns(
        nw.col("fewest").cum_count().over(CUSTOMER_ID, order_by=["fewest", column]).alias("place")
    )
