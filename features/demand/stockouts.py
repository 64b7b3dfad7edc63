"""The stock table in, shares of periods in which a series could not sell out; read by `panel`.

A day that begins with nothing on hand says nothing of demand: it is not a demand of zero.
"""

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, with_attributes
from features.errors import MissingData
from features.memo import memo


def out_of_stock(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame | None:
    """Return `series`, `block` and `out`: the share of product, location and days without stock.

    Blocks are numbered as in `series.units_by_period`; there is nothing where the dataset has no
    stock table, or one that does not know the grain's keys. Rows of days at or after an instant
    belong to blocks after it, which no feature reads.
    """
    return stockouts_by_phase(dataset, grain, day % grain.days)


@memo("orders", "sales", "products", "locations", "stock")
def stockouts_by_phase(dataset: Dataset, grain: Grain, phase: int) -> pl.DataFrame | None:
    """Measure the shares for periods that begin on days of one remainder."""
    if not dataset.has("stock", "product_id", "on_hand"):
        return None
    try:
        rows = with_attributes(dataset, dataset.table("stock"), grain.keys)
    except MissingData:
        return None
    spots = [c for c in ("product_id", "location_id") if c in dataset.columns("stock")]
    block = ((nw.col("day") - phase) // grain.days).cast(nw.Int64).alias("block")
    empty = nw.when(nw.col("on_hand") <= 0).then(1).otherwise(0).alias("empty")
    keyed = rows.with_columns(block, empty)
    each = list(dict.fromkeys([*grain.keys, *spots]))
    places = keyed.select(*each).unique().group_by(*grain.keys).agg(nw.len().alias("spots"))
    sums = keyed.group_by(*grain.keys, "block").agg(
        nw.col("empty").sum(), nw.len().alias("reported")
    )
    sums = sums.filter(nw.col("empty") > 0).join(places, on=list(grain.keys), how="left")
    index = all_series(dataset, grain).index.select("series", *grain.keys)
    found = sums.join(index, on=list(grain.keys), how="inner").collect().to_polars()
    # A table may list every day or the empty ones alone: the larger count is what there was.
    possible = pl.max_horizontal(pl.col("spots") * grain.days, "reported")
    return found.select(
        "series",
        pl.col("block"),
        (pl.col("empty") / possible).cast(pl.Float64).alias("out"),
    )
