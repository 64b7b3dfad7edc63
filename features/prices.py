"""The price list in, planned prices of the periods ahead out; read by `demand`.

Prices that are booked for the future are plans: they are read whole.
"""

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.grain import Grain
from features.series import Frame, held, with_attributes

# Periods before the origin whose mean price a planned price is compared with.
RECENT = {"day": 56, "week": 8}


def planned_prices(dataset: Dataset, grain: Grain, origin: int, steps: int, index: Frame) -> Frame:
    """Compare each period's planned price with the recent one.

    Parameters
    ----------
    dataset, grain
        The price list and what a series is; prices of several locations are averaged.
    origin, steps
        Day on which period 0 begins, and how many periods are wanted.
    index
        The series wanted: `series` and the grain's keys.

    Returns
    -------
    narwhals.LazyFrame
        `series`, `step`, `price_planned` (in the dataset's currency) and `price_relative`
        (over the mean of the periods before the origin); null before the first known price.
    """
    listed = dataset.derive(("prices", str(grain)), lambda: _listed(dataset, grain))
    keyed = listed.join(index.select("series", *grain.keys), on=list(grain.keys), how="inner")
    recent = RECENT[grain.freq]
    grid = pl.DataFrame({"step": range(-recent, steps)}, schema={"step": pl.Int64})
    grid = grid.with_columns(from_day=(origin + pl.col("step") * grain.days).cast(pl.Int32))
    wanted = index.select("series").join(nw.from_native(grid.lazy()), how="cross")
    changes = keyed.select(
        "series", nw.lit(None, dtype=nw.Int64).alias("step"), "from_day", "price"
    )
    asked = wanted.with_columns(nw.lit(None, dtype=nw.Float64).alias("price"))
    # Each period takes the price of the last change up to its first day. A change on that very
    # day comes before it: it has no step, and so the lower order.
    both = nw.concat([changes, asked.select("series", "step", "from_day", "price")])
    both = both.with_columns(nw.when(nw.col("step").is_null()).then(0).otherwise(1).alias("asked"))
    filled = nw.col("price").fill_null(strategy="forward")
    priced = both.with_columns(filled.over("series", order_by=["from_day", "asked"]).alias("price"))
    priced = held(priced.filter(nw.col("asked") == 1))
    # Prices in whole cents of cents: the mean does not depend on the order of rows.
    cents = (nw.col("price") * 10_000).round().cast(nw.Int64)
    before = priced.filter(nw.col("step") < 0, ~nw.col("price").is_null())
    usual = (
        before.with_columns(cents.alias("cents"))
        .group_by("series")
        .agg(nw.col("cents").sum(), nw.len().alias("n"))
    )
    usual = usual.select("series", (nw.col("cents") / nw.col("n") / 10_000).alias("usual"))
    ahead = priced.filter(nw.col("step") >= 0).join(usual, on="series", how="left")
    return ahead.select(
        "series",
        "step",
        nw.col("price").alias("price_planned"),
        nw.when(nw.col("usual") > 0)
        .then(nw.col("price") / nw.col("usual"))
        .alias("price_relative"),
    )


def _listed(dataset: Dataset, grain: Grain) -> Frame:
    prices = with_attributes(dataset, dataset.table("prices"), grain.keys)
    cents = (nw.col("price") * 10_000).round().cast(nw.Int64)
    means = (
        prices.with_columns(cents.alias("cents"))
        .group_by(*grain.keys, "from_day")
        .agg(nw.col("cents").sum(), nw.len().alias("n"))
    )
    price = (nw.col("cents") / nw.col("n") / 10_000).alias("price")
    return held(means.select(*grain.keys, "from_day", price))
