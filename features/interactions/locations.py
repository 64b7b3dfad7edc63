"""Where customers buy, and what sells there of late.

Order lines in; customer x location and location x product out. The recommender asks here
which shop's promotions a customer will meet and what is popular in it.
"""

from math import log
from typing import Any

import narwhals as nw

from features.calendar import AsOf, parse_as_of, to_day
from features.dataset import Dataset
from features.interactions.builder import BASKET_DECAY, STEP, baskets

RECENT_DAYS = 28


def usual_locations(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Say how each customer's baskets divide among locations.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, location_id, weight: baskets, each worth 0.95 of the next; orders
        without a location are left out.
    """
    where = (
        dataset.known("orders", as_of)
        .filter(nw.col("kind") == "sale", ~nw.col("location_id").is_null())
        .group_by("customer_id", "order_id")
        .agg(nw.col("location_id").min())
    )
    worth = (nw.col("baskets_ago") * log(BASKET_DECAY)).exp() / STEP
    return (
        baskets(dataset, as_of)
        .join(where, on=["customer_id", "order_id"])
        .with_columns(worth.round().cast(nw.Int64).alias("weight"))
        .group_by("customer_id", "location_id")
        .agg(nw.col("weight").sum())
        .with_columns(nw.col("weight").cast(nw.Float64) * STEP)
    )


def local_sales(dataset: Dataset, as_of: AsOf, days: int = RECENT_DAYS) -> nw.LazyFrame[Any]:
    """Count the orders with each product at each location in the last `days`.

    Returns
    -------
    narwhals.LazyFrame
        location_id, product_id, orders; anonymous orders count, returns do not.
    """
    sold = _sold(dataset, as_of).filter(
        nw.col("day") >= to_day(as_of) - days, ~nw.col("location_id").is_null()
    )
    return (
        sold.select("location_id", "product_id", "order_id")
        .unique()
        .group_by("location_id", "product_id")
        .agg(nw.len().cast(nw.Int64).alias("orders"))
    )


def sales_between(dataset: Dataset, first: AsOf, end: AsOf) -> nw.LazyFrame[Any]:
    """Count the orders with each product from `first` until before `end`.

    Returns
    -------
    narwhals.LazyFrame
        product_id, orders; anonymous orders count, returns do not.
    """
    sold = _sold(dataset, end).filter(nw.col("ts") >= parse_as_of(first))
    return (
        sold.select("product_id", "order_id")
        .unique()
        .group_by("product_id")
        .agg(nw.len().cast(nw.Int64).alias("orders"))
    )


def _sold(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    return dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
