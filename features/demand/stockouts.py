"""Stockouts: the table of stock in, shares of periods in which a series could not sell out.

A day that begins without stock is missing data on demand, and no demand of zero.
"""

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, with_attributes
from features.errors import MissingData
from features.memo import memo


def out_of_stock(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame | None:
    """Return `series`, `block` and `out`: the share of product-location-days without stock.

    Blocks are numbered as in `series.units_by_period`. None if the dataset has no table of stock,
    or one without the grain's keys. Days from a forecast origin on are in blocks that no feature
    reads.
    """
    return stockouts_by_phase(dataset, grain, day % grain.days)


@memo("orders", "sales", "products", "locations", "stock")
def stockouts_by_phase(dataset: Dataset, grain: Grain, phase: int) -> pl.DataFrame | None:
    """Compute the shares for periods whose first day has a remainder modulo the period."""
    if not dataset.has("stock", "product_id", "on_hand"):
        return None
    try:
        stock = with_attributes(dataset, dataset.table("stock"), grain.keys)
    except MissingData:
        return None
    entities = [c for c in ("product_id", "location_id") if c in dataset.columns("stock")]
    block = ((nw.col("day") - phase) // grain.days).cast(nw.Int64).alias("block")
    empty = nw.when(nw.col("on_hand") <= 0).then(1).otherwise(0).alias("empty")
    keyed = stock.with_columns(block, empty)
    columns = list(dict.fromkeys([*grain.keys, *entities]))
    counts = keyed.select(*columns).unique().group_by(*grain.keys).agg(nw.len().alias("entities"))
    sums = keyed.group_by(*grain.keys, "block").agg(
        nw.col("empty").sum(), nw.len().alias("reported")
    )
    sums = sums.filter(nw.col("empty") > 0).join(counts, on=list(grain.keys), how="left")
    index = all_series(dataset, grain).index.select("series", *grain.keys)
    rows = sums.join(index, on=list(grain.keys), how="inner").collect().to_polars()
    # The table may list all days or only those without stock: the larger count is the denominator.
    possible = pl.max_horizontal(pl.col("entities") * grain.days, "reported")
    return rows.select(
        "series",
        pl.col("block"),
        (pl.col("empty") / possible).cast(pl.Float64).alias("out"),
    )
