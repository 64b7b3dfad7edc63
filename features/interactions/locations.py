"""Where customers buy.

In: order lines. Out: one row per customer and location.
"""

from math import log

import narwhals as nw

from features.calendar import AsOf
from features.columns import CUSTOMER_ID, LOCATION_ID
from features.dataset import Dataset
from features.interactions.builder import BASKET, BASKET_DECAY, STEP, baskets
from features.returns import net_purchases
from features.typing import Frame


def usual_locations(dataset: Dataset, as_of: AsOf) -> Frame:
    """Weigh the locations of each customer by their baskets there.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, location_id, weight: number of baskets, each weighted 0.95 times the next
        one. Orders without a location are left out.
    """
    locations = (
        net_purchases(dataset, as_of)
        .filter(~nw.col(LOCATION_ID).is_null())
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
