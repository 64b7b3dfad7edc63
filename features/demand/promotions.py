"""Promotions: the table of promotions in, shares of series and periods on promotion out.

Promotions are planned in advance and are read in full, before and after `as_of`.
"""

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, with_attributes
from features.frames import materialise
from features.memo import memo
from features.typing import Frame

# Depths are summed as whole multiples of 1 / _DEPTH_UNITS.
_DEPTH_UNITS = 1024


@memo("promotions")
def promotion_kinds(dataset: Dataset) -> list[str]:
    """Return the kinds of promotion, sorted; empty if the dataset has no promotions."""
    if "promotions" not in dataset.tables:
        return []
    kinds = dataset.table("promotions").select("kind").unique().collect()
    return sorted(kinds.get_column("kind").drop_nulls().to_list())


def promotes(dataset: Dataset, grain: Grain) -> bool:
    """Whether promotions can be assigned to the series of a grain; not to channels of orders."""
    located = all(k == "location_id" or dataset.has("locations", k) for k in grain.location_keys)
    return bool(promotion_kinds(dataset)) and (bool(grain.product_keys) or located)


@memo("promotions")
def has_depths(dataset: Dataset, day: int) -> bool:
    """Whether the depth of a promotion that began before a day is recorded."""
    if not dataset.has("promotions", "depth"):
        return False
    rows = dataset.table("promotions").filter(nw.col("from_day") < day, nw.col("depth") > 0)
    return bool(rows.select(nw.len()).collect().item())


def promotion_shares(dataset: Dataset, grain: Grain, day: int, until: int) -> Frame:
    """Compute the share of each series and period on promotion.

    A share is the number of promoted location-days over (locations with promotions x days in the
    period); for a series of several products also over the number of promoted products. A
    promotion without a location covers all locations.

    Parameters
    ----------
    dataset, grain
        The promotions, and the definition of a series.
    day
        First day of a period; blocks are numbered as in `series.units_by_period`.
    until
        Promotions are read up to the day before this one.

    Returns
    -------
    narwhals.LazyFrame
        `series`, `block`, a column `share_<kind>` for each kind, and `depth`: the share of the
        price taken off, over all locations and days, of the deepest kind. Series and periods
        without promotion have no row.
    """
    return _shares(dataset, grain, grain.phase(day), until)


@memo("promotions", "orders", "sales", "products", "locations")
def _shares(dataset: Dataset, grain: Grain, phase: int, until: int) -> Frame:
    names = promotion_kinds(dataset)
    index = all_series(dataset, grain).index
    if not promotes(dataset, grain):
        empty = {"series": pl.Int64, "block": pl.Int64} | {f"share_{k}": pl.Float64 for k in names}
        empty["depth"] = pl.Float64
        return nw.from_native(pl.LazyFrame(schema=empty))
    intervals = promotion_intervals(dataset, grain)
    keyed = index.select("series", *grain.keys)
    located = intervals.filter(~nw.col("everywhere")).join(keyed, on=list(grain.keys), how="inner")
    everywhere = intervals.filter(nw.col("everywhere")).drop(*grain.location_keys)
    if grain.product_keys:
        everywhere = everywhere.join(keyed, on=list(grain.product_keys), how="inner")
    else:  # a location has the promotions of the whole chain
        everywhere = everywhere.join(keyed, how="cross")
    columns = ["series", "kind", "from_day", "to_day", "covered", "depth_sum", "total"]
    both = nw.concat([located.select(columns), everywhere.select(columns)])
    first, _ = dataset.days
    cells = _cells(both, grain, phase, first, until)
    share = nw.col("covered") / (nw.col("total") * nw.col("length"))
    long = cells.with_columns(nw.when(share > 1).then(1.0).otherwise(share).alias("share"))
    depth = nw.col("depth_sum") / (nw.col("total") * nw.col("length") * _DEPTH_UNITS)
    wide = long.with_columns(
        nw.when(depth > 1).then(1.0).otherwise(depth).alias("depth"),
    ).with_columns(
        nw.when(nw.col("kind") == kind).then(nw.col("share")).otherwise(0.0).alias(f"share_{kind}")
        for kind in names
    )
    columns = [*(f"share_{k}" for k in names), "depth"]
    return materialise(wide.group_by("series", "block").agg(nw.col(*columns).max()))


def promotion_intervals(dataset: Dataset, grain: Grain) -> Frame:
    """Aggregate promotions by the grain's keys, kind and interval of days.

    `covered` is the number of promoted product-locations, `depth_sum` the sum of their depths
    (in 1,024ths of the price), `total` the number of product-locations that could be promoted.
    `everywhere` marks promotions without a location.
    """
    return intervals_by_keys(dataset, grain.keys)


@memo("promotions", "products", "locations")
def intervals_by_keys(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Aggregate promotions by some keys; see `promotion_intervals`."""
    return materialise(_intervals(dataset, Grain(keys, "day")))


def _intervals(dataset: Dataset, grain: Grain) -> Frame:
    promoted = _promoted(dataset, grain)
    locations = promoted_locations(dataset, grain.location_keys)
    if grain.location_keys:
        keys = list(grain.location_keys)
        counts = locations.group_by(*keys).agg(nw.len().cast(nw.Int64).alias("locations"))
        rows = promoted.join(counts, on=keys, how="left")
        rows = rows.with_columns(nw.col("locations").fill_null(1))
        # A promotion without a location covers all locations of a series, whatever their number.
        rows = rows.with_columns(
            nw.when(nw.col("everywhere")).then(1).otherwise(nw.col("locations")).alias("locations")
        )
    else:
        count = max(int(locations.select(nw.len()).collect().item()), 1)
        factor = nw.when(nw.col("everywhere")).then(count).otherwise(1)
        rows = promoted.with_columns(
            *((factor * nw.col(column)).alias(column) for column in ("covered", "depth_sum")),
            nw.lit(count).alias("locations"),
        )
    if "product_id" in grain.keys:
        return rows.with_columns(nw.col("locations").alias("total"))
    products = promoted_products(dataset, grain.product_keys)
    if grain.product_keys:
        rows = rows.join(products, on=list(grain.product_keys), how="left")
    else:
        rows = rows.join(products, how="cross")
    return rows.with_columns((nw.col("locations") * nw.col("products")).alias("total"))


def _promoted(dataset: Dataset, grain: Grain) -> Frame:
    """Count promotions and sum their depths by the grain's keys, kind and interval of days."""
    plan = dataset.table("promotions")
    if "location_id" not in dataset.columns("promotions"):
        plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias("location_id"))
    plan = plan.with_columns(nw.col("location_id").is_null().alias("everywhere"))
    attributes = tuple(key for key in grain.keys if key not in ("product_id", "location_id"))
    rows = with_attributes(dataset, plan, attributes)
    if dataset.has("promotions", "depth"):
        # Sums of whole numbers do not depend on the order of rows.
        depth = (nw.col("depth").fill_null(0.0) * _DEPTH_UNITS).round().cast(nw.Int64)
    else:
        depth = nw.lit(0, dtype=nw.Int64)
    rows = rows.with_columns(depth.alias("depth_sum"))
    groups = rows.group_by(*grain.keys, "everywhere", "kind", "from_day", "to_day")
    count = nw.len().cast(nw.Int64).alias("covered")
    return materialise(groups.agg(count, nw.col("depth_sum").sum()))


@memo("promotions", "locations")
def promoted_locations(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Return the locations with a promotion of their own, with the attributes `keys`."""
    if "location_id" not in dataset.columns("promotions"):
        return nw.from_native(pl.LazyFrame(schema=dict.fromkeys(("location_id", *keys), pl.String)))
    ids = dataset.table("promotions").select("location_id")
    located = ids.filter(~nw.col("location_id").is_null()).unique()
    return materialise(with_attributes(dataset, located, keys))


@memo("promotions", "products")
def promoted_products(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Count the products with promotions by the product attributes `keys`, or all of them."""
    ids = dataset.table("promotions").select("product_id").unique()
    if not keys:
        return materialise(ids.select(nw.len().cast(nw.Int64).alias("products")))
    groups = with_attributes(dataset, ids, keys).group_by(*keys)
    return materialise(groups.agg(nw.len().cast(nw.Int64).alias("products")))


def _cells(intervals: Frame, grain: Grain, phase: int, first: int, until: int) -> Frame:
    """Split intervals by period and sum them, weighted by their days of the period's `length`."""
    start = nw.when(nw.col("from_day") < first).then(first).otherwise(nw.col("from_day"))
    end = nw.when(nw.col("to_day") > until).then(until).otherwise(nw.col("to_day"))
    clipped = intervals.with_columns(start.alias("start"), end.alias("end"))
    clipped = clipped.filter(nw.col("start") < nw.col("end"))
    head = grain.number(nw.col("start"), phase)
    tail = grain.number(nw.col("end") - 1, phase)
    spans = clipped.with_columns(head.alias("head"), (tail - head + 1).cast(nw.Int64).alias("n"))
    # An interval over n periods joins n rows of `steps`, numbered 0 to n - 1. Every engine can
    # join, and not every engine can explode.
    longest = (until - first) // min(grain.days, 28) + 2
    counts = pl.DataFrame({"n": range(1, longest + 1)}, schema={"n": pl.Int64})
    steps = counts.with_columns(step=pl.int_ranges("n", dtype=pl.Int32)).explode("step")
    rows = spans.join(nw.from_native(steps.lazy()), on="n", how="inner")
    rows = rows.with_columns((nw.col("head") + nw.col("step")).cast(nw.Int64).alias("block"))
    opens, closes = grain.start(nw.col("block"), phase), grain.start(nw.col("block") + 1, phase)
    since = nw.when(nw.col("start") > opens).then(nw.col("start")).otherwise(opens)
    till = nw.when(nw.col("end") < closes).then(nw.col("end")).otherwise(closes)
    days = (till - since).cast(nw.Int64)
    sums = ("covered", "depth_sum")
    return (
        rows.with_columns((days * nw.col(column)).alias(column) for column in sums)
        .with_columns((closes - opens).alias("length"))
        .group_by("series", "kind", "block")
        .agg(nw.col(*sums).sum(), nw.col("total", "length").max())
    )
