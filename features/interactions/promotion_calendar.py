"""The promotion calendar: promotions of products and locations that touch given days.

In: the table `promotions`. Out: its rows that overlap a window of days. Promotions are planned
before they begin, so days after an instant may be read; order lines are not.
"""

import narwhals as nw

from features.columns import LOCATION_ID, PRODUCT_ID
from features.dataset import Dataset
from features.memo import memo
from features.typing import Frame

# Windows relative to an instant, in days: first day, and the day after the last.
WEEKS = {"last_week": (-7, 0), "this_week": (0, 7), "next_weeks": (7, 28)}


def local_plan(dataset: Dataset, first_day: int, end_day: int) -> Frame:
    """Return the promotions that touch the days [first_day, end_day).

    Returns
    -------
    narwhals.LazyFrame
        product_id, location_id (null: all locations), kind, placement (null where the plan has
        none), from_day, to_day.
    """
    plan = dataset.table("promotions").filter(
        nw.col("from_day") < end_day, nw.col("to_day") > first_day
    )
    for column in (LOCATION_ID, "placement"):
        if not dataset.has("promotions", column):
            plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias(column))
    return plan.select(PRODUCT_ID, LOCATION_ID, "kind", "placement", "from_day", "to_day")


@memo("promotions")
def promotion_locations(dataset: Dataset) -> int:
    """Count the locations named by promotions; 1 if all promotions hold at all locations."""
    if not dataset.has("promotions", LOCATION_ID):
        return 1
    ids = dataset.table("promotions").select(nw.col(LOCATION_ID))
    return max(1, ids.unique().filter(~nw.col(LOCATION_ID).is_null()).collect().shape[0])
