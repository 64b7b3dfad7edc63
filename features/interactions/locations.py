"""Where customers buy, and what sells at each location.

In: order lines. Out: one row per customer and location, location and product, or product.
"""

from math import log

import narwhals as nw

from features.calendar import AsOf, parse_as_of, to_day
from features.columns import CUSTOMER_ID, DAY, LOCATION_ID, ORDER_ID, PRODUCT_ID
from features.dataset import Dataset
from features.interactions.builder import BASKET, BASKET_DECAY, STEP, baskets
from features.typing import Frame

RECENT_DAYS = 28


def usual_locations(dataset: Dataset, as_of: AsOf) -> Frame:
    """Weigh the locations of each customer by their baskets there.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, location_id, weight: number of baskets, each weighted 0.95 times the next
        one. Orders without a location are left out.
    """
    locations = (
        dataset.known("orders", as_of)
        .filter(nw.col("kind") == "sale", ~nw.col(LOCATION_ID).is_null())
        .group_by(*BASKET)
        .agg(nw.col(LOCATION_ID).min())
    )
    weight = (nw.col("baskets_ago") * log(BASKET_DECAY)).exp() / STEP
    return (
        baskets(dataset, as_of)
        .join(locations, on=list(BASKET))
        .with_columns(weight.round().cast(nw.Int64).alias("weight"))
        .group_by(CUSTOMER_ID, LOCATION_ID)
        .agg(nw.col("weight").sum())
        .with_columns(nw.col("weight").cast(nw.Float64) * STEP)
    )


def local_sales(dataset: Dataset, as_of: AsOf, days: int = RECENT_DAYS) -> Frame:
    """Count the orders with each product at each location in the last `days`.

    Returns
    -------
    narwhals.LazyFrame
        location_id, product_id, orders; anonymous orders count, returns do not.
    """
    sales = _sales(dataset, as_of).filter(
        nw.col(DAY) >= to_day(as_of) - days, ~nw.col(LOCATION_ID).is_null()
    )
    return (
        sales.select(LOCATION_ID, PRODUCT_ID, ORDER_ID)
        .unique()
        .group_by(LOCATION_ID, PRODUCT_ID)
        .agg(nw.len().cast(nw.Int64).alias("orders"))
    )


def sales_between(dataset: Dataset, first: AsOf, end: AsOf) -> Frame:
    """Count the orders with each product from `first` until before `end`.

    Returns
    -------
    narwhals.LazyFrame
        product_id, orders; anonymous orders count, returns do not.
    """
    sales = _sales(dataset, end).filter(nw.col("ts") >= parse_as_of(first))
    return (
        sales.select(PRODUCT_ID, ORDER_ID)
        .unique()
        .group_by(PRODUCT_ID)
        .agg(nw.len().cast(nw.Int64).alias("orders"))
    )


def _sales(dataset: Dataset, as_of: AsOf) -> Frame:
    return dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col(PRODUCT_ID).is_null()
    )
