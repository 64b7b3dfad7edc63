"""The promotion calendar: which promotions of which places touch given days.

Plans are in the books before they begin, so days after `as_of` are read too; nothing here looks
at orders.
"""

from typing import Any

import narwhals as nw

from features.dataset import Dataset
from features.memo import memo

# Windows of the calendar, in days from as_of: first day, and the day after the last.
WEEKS = {"last_week": (-7, 0), "this_week": (0, 7), "next_weeks": (7, 28)}


def local_plan(dataset: Dataset, first_day: int, end_day: int) -> nw.LazyFrame[Any]:
    """List the promotions by place that touch the days [first_day, end_day).

    Returns
    -------
    narwhals.LazyFrame
        product_id, location_id (null: everywhere), kind, placement (null where the plan says
        none), from_day, to_day.
    """
    plan = dataset.table("promotions").filter(
        nw.col("from_day") < end_day, nw.col("to_day") > first_day
    )
    for column in ("location_id", "placement"):
        if not dataset.has("promotions", column):
            plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias(column))
    return plan.select("product_id", "location_id", "kind", "placement", "from_day", "to_day")


@memo("promotions")
def promotion_locations(dataset: Dataset) -> int:
    """Count the locations that have promotions of their own; one if all are everywhere."""
    if not dataset.has("promotions", "location_id"):
        return 1
    ids = dataset.table("promotions").select(nw.col("location_id"))
    return max(1, ids.unique().filter(~nw.col("location_id").is_null()).collect().shape[0])
