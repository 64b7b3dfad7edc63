"""Which purchases were made under a promotion: at that place, on that day.

Order lines and the promotions table in, one row a promoted order and product out. It says
of each purchase what was so when it was made, so an instant hides it as it hides the line.
"""

import warnings
from typing import Any

import narwhals as nw

from features.dataset import Dataset
from features.promotions import kinds


def promoted_purchases(dataset: Dataset) -> nw.LazyFrame[Any] | None:
    """Mark purchases of promoted products; None where the dataset has no promotions.

    Returns
    -------
    narwhals.LazyFrame or None
        order_id, product_id, and for each kind of promotion on_<kind>: 1 where the product
        was promoted at the order's location on its day, else 0. What was under no promotion
        is left out. Of stretches that overlap at one place the one begun last counts.
    """
    if "promotions" not in dataset.tables:
        return None
    found: nw.DataFrame[Any] = dataset.derive("promoted_purchases", lambda: _mark(dataset))
    return found.lazy()


def _mark(dataset: Dataset) -> nw.DataFrame[Any]:
    keys = ["order_id", "product_id"]
    orders = dataset.table("orders").filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
    placed = dataset.has("orders", "location_id")
    columns = [nw.col("day").min()] + ([nw.col("location_id").min()] if placed else [])
    bought = orders.group_by(*keys).agg(*columns)
    plan = dataset.table("promotions")
    local = dataset.has("promotions", "location_id")
    everywhere = plan.filter(nw.col("location_id").is_null()) if local else plan
    marks = []
    for kind in kinds(dataset):
        by_place = [(everywhere, ["product_id"])]
        if placed and local:
            somewhere = plan.filter(~nw.col("location_id").is_null())
            by_place.append((somewhere, ["product_id", "location_id"]))
        for stretches, by in by_place:
            of_kind = stretches.filter(nw.col("kind") == kind)
            # Only what was ever sold at a place is looked up there: most plans were not.
            sold = bought.select(*by).unique()
            near = of_kind.join(sold, on=by, how="semi").select(*by, "from_day", "to_day")
            under = (
                bought.sort("day")
                .join_asof(near.sort("from_day"), left_on="day", right_on="from_day", by=by)
                .filter(nw.col("to_day") > nw.col("day"))
            )
            flags = [
                nw.lit(int(name == kind)).cast(nw.Int64).alias(f"on_{name}")
                for name in kinds(dataset)
            ]
            marks.append(under.select(*keys, *flags))
    names = [f"on_{name}" for name in kinds(dataset)]
    together = nw.concat(marks).group_by(*keys).agg(*(nw.col(name).max() for name in names))
    with warnings.catch_warnings():
        # Both sides are sorted above; Polars says that it cannot see so group by group.
        warnings.filterwarnings("ignore", message="Sortedness of columns")
        return together.collect()
