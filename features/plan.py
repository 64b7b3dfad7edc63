"""The promotion calendar by product: how much of the chain promotes a product in given days.

The promotions table in, product x kind out. Plans are in the books before they begin, so
days after `as_of` are read too; nothing here looks at orders.
"""

from typing import Any

import narwhals as nw

from features.calendar import AsOf, to_day
from features.dataset import Dataset

# Windows of the calendar, in days from as_of: first day, and the day after the last.
WEEKS = {"last_week": (-7, 0), "this_week": (0, 7), "next_weeks": (7, 28)}


def promotion_changes(dataset: Dataset) -> nw.LazyFrame[Any]:
    """Condense the promotions table to the days on which it changes.

    Returns
    -------
    narwhals.LazyFrame
        product_id, kind, day, change: locations at which the promotion begins on that day
        less those at which it ends. A promotion of every location counts as all that have any.
    """
    promotions = dataset.table("promotions")
    if "location_id" in promotions.collect_schema().names():
        everywhere = nw.when(nw.col("location_id").is_null()).then(promotion_locations(dataset))
        promotions = promotions.with_columns(everywhere.otherwise(1).cast(nw.Int64).alias("at"))
    else:
        promotions = promotions.with_columns(nw.lit(1).cast(nw.Int64).alias("at"))
    sides = [
        promotions.group_by("product_id", "kind", day)
        .agg((nw.col("at") * sign).sum().alias("change"))
        .rename({day: "day"})
        for day, sign in (("from_day", 1), ("to_day", -1))
    ]
    return nw.concat(sides).group_by("product_id", "kind", "day").agg(nw.col("change").sum())


def promotion_plan(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Say how much of each product's promotion falls into the weeks around `as_of`.

    Returns
    -------
    narwhals.LazyFrame
        product_id, kind, last_week, this_week, next_weeks: the share of locations and days
        with the promotion, 0 to 1; products and kinds without any are left out.
    """
    changes = dataset.derive(
        "promotion_changes", lambda: promotion_changes(dataset).collect()
    ).lazy()
    today = to_day(as_of)
    locations = promotion_locations(dataset)
    # Days that [from, to) shares with [a, b) are clip(to) - clip(from), so they add up.
    shared = {
        name: (nw.col("day").clip(today + a, today + b).cast(nw.Int64) * nw.col("change") * -1)
        .sum()
        .alias(name)
        for name, (a, b) in WEEKS.items()
    }
    near = changes.filter(nw.col("day") <= today + max(b for _, b in WEEKS.values()))
    # A promotion that ends later needs no end here: clip closes it at the window's last day.
    still_open = near.group_by("product_id", "kind").agg(
        nw.col("change").sum().alias("open"), *shared.values()
    )
    plan = still_open.with_columns(
        *(
            (
                (nw.col(name) + nw.col("open") * (today + b)).cast(nw.Float64)
                / float(locations * (b - a))
            ).alias(name)
            for name, (a, b) in WEEKS.items()
        )
    ).drop("open")
    return plan.filter(nw.any_horizontal(*(nw.col(name) > 0 for name in WEEKS), ignore_nulls=True))


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


def promotion_locations(dataset: Dataset) -> int:
    """Count the locations that have promotions of their own; one if all are everywhere."""

    def count() -> int:
        if not dataset.has("promotions", "location_id"):
            return 1
        ids = dataset.table("promotions").select(nw.col("location_id"))
        return max(1, ids.unique().filter(~nw.col("location_id").is_null()).collect().shape[0])

    return dataset.derive("promotion_locations", count)
