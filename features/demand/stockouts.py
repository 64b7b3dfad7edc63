"""Stockouts: shares of periods in which a series could not sell.

A day without stock is missing data on demand, and no demand of zero.
"""

import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, with_attributes
from features.errors import MissingData
from features.memo import memo
from features.stock import ENTITY, days_out_of_stock


@memo("orders", "sales", "products", "locations", "stock")
def out_of_stock(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame | None:
    """Return `series`, `block` and `out`: the share of product-location-days without stock.

    Blocks are numbered as in `series.units_by_period`; records of `day` and later ones are not
    read. None if the dataset has no table of stock, or one without the grain's keys.
    """
    if not dataset.has("stock", "product_id", "on_hand"):
        return None
    columns = [column for column in ENTITY if column in dataset.columns("stock")]
    pairs = dataset.table("stock").select(columns).unique()
    try:
        keyed = with_attributes(dataset, pairs, grain.keys)
    except MissingData:
        return None
    index = all_series(dataset, grain).index.select("series", *grain.keys)
    entities = keyed.join(index, on=list(grain.keys)).select("series", *columns).collect()
    rows = entities.to_polars()
    possible = rows.group_by("series").agg(pl.len().alias("entities"))
    days = days_out_of_stock(dataset, day).filter(pl.col("day") < day)
    phase = grain.phase(day)
    block = grain.number(pl.col("day"), phase).cast(pl.Int64)
    length = grain.start(pl.col("block") + 1, phase) - grain.start(pl.col("block"), phase)
    return (
        days.join(rows, on=columns, nulls_equal=True)
        .group_by("series", block.alias("block"))
        .agg(pl.len().alias("days"))
        .join(possible, on="series")
        .select("series", "block", (pl.col("days") / (pl.col("entities") * length)).alias("out"))
    )
