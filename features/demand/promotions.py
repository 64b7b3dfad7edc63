"""The promotion plan in, shares of series and periods on promotion out; read by `demand`.

The plan is known in advance: it is read whole, before and after `as_of`.
"""

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, materialise, with_attributes
from features.memo import memo
from features.typing import Frame

# Depths are added up as whole multiples of one over this.
_FINE = 1024


@memo("promotions")
def promotion_kinds(dataset: Dataset) -> list[str]:
    """Names of the kinds of promotion in the plan, sorted; none without a plan."""
    if "promotions" not in dataset.tables:
        return []
    found = dataset.table("promotions").select("kind").unique().collect()
    return sorted(found.get_column("kind").drop_nulls().to_list())


def promotion_shares(dataset: Dataset, grain: Grain, day: int, until: int) -> Frame:
    """Say how much of each series and period is on promotion.

    A share is the number of promoted location-days over (locations that appear in the plan
    x days in the period); where a series is several products, over their number too. A
    promotion without a location covers all of them.

    Parameters
    ----------
    dataset, grain
        The plan, and what a series is.
    day
        A period begins here; blocks are numbered as in `series.units_by_period`.
    until
        Promotions are followed to the day before this one.

    Returns
    -------
    narwhals.LazyFrame
        `series`, `block`, a column `share_<kind>` for each kind, and `depth`: the share of the
        price taken off, over all locations and days, by the deepest kind; cells without any
        promotion have no row. Without a plan, or where the grain has no product, no rows.
    """
    return _shares(dataset, grain, day % grain.days, until)


@memo()
def _shares(dataset: Dataset, grain: Grain, phase: int, until: int) -> Frame:
    names = promotion_kinds(dataset)
    index = all_series(dataset, grain).index
    if not names or not grain.product_keys:
        empty = {"series": pl.Int64, "block": pl.Int64} | {f"share_{k}": pl.Float64 for k in names}
        empty["depth"] = pl.Float64
        return nw.from_native(pl.LazyFrame(schema=empty))
    stretches = promotion_intervals(dataset, grain)
    located, everywhere = list(grain.keys), list(grain.product_keys)
    keyed = index.select("series", *grain.keys)
    somewhere = stretches.filter(~nw.col("everywhere")).join(keyed, on=located, how="inner")
    throughout = stretches.filter(nw.col("everywhere")).drop(*grain.location_keys)
    throughout = throughout.join(keyed, on=everywhere, how="inner")
    columns = ["series", "kind", "from_day", "to_day", "covered", "deep", "of"]
    both = nw.concat([somewhere.select(columns), throughout.select(columns)])
    first, _ = dataset.days
    cells = _cells(both, grain.days, phase, first, until)
    share = nw.col("covered") / (nw.col("of") * grain.days)
    long = cells.with_columns(nw.when(share > 1).then(1.0).otherwise(share).alias("share"))
    depth = nw.col("deep") / (nw.col("of") * grain.days * _FINE)
    wide = long.with_columns(
        nw.when(depth > 1).then(1.0).otherwise(depth).alias("depth"),
    ).with_columns(
        nw.when(nw.col("kind") == kind).then(nw.col("share")).otherwise(0.0).alias(f"share_{kind}")
        for kind in names
    )
    columns = [*(f"share_{k}" for k in names), "depth"]
    return materialise(wide.group_by("series", "block").agg(nw.col(*columns).max()))


def promotion_intervals(dataset: Dataset, grain: Grain) -> Frame:
    """Reduce the plan to one row for each stretch of each group of products and locations.

    `covered` counts promoted product-locations, `deep` adds up the depths of their promotions
    (in 1,024ths of the price), `of` counts the product-locations there are.
    """
    return intervals_by_keys(dataset, grain.keys)


@memo()
def intervals_by_keys(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Reduce the plan for the groups that columns name; see `promotion_stretches`."""
    return materialise(_stretches(dataset, Grain(keys, "day")))


def _stretches(dataset: Dataset, grain: Grain) -> Frame:
    plan = dataset.table("promotions")
    if "location_id" not in dataset.columns("promotions"):
        plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias("location_id"))
    where = grain.location_keys
    attributes = tuple(k for k in grain.keys if k not in ("product_id", "location_id"))

    def reduced() -> Frame:
        plain = plan.with_columns(nw.col("location_id").is_null().alias("everywhere"))
        rows = with_attributes(dataset, plain, attributes)
        if dataset.has("promotions", "depth"):
            # Whole numbers: their sums do not depend on the order of rows.
            depth = (nw.col("depth").fill_null(0.0) * _FINE).round().cast(nw.Int64)
        else:
            depth = nw.lit(0, dtype=nw.Int64)
        rows = rows.with_columns(depth.alias("deep"))
        return materialise(
            rows.group_by(*grain.keys, "everywhere", "kind", "from_day", "to_day").agg(
                nw.len().cast(nw.Int64).alias("covered"), nw.col("deep").sum()
            )
        )

    locations = promoted_locations(dataset, where)
    if where:
        counted = locations.group_by(*where).agg(nw.len().cast(nw.Int64).alias("locations"))
        rows = reduced().join(counted, on=list(where), how="left")
        rows = rows.with_columns(nw.col("locations").fill_null(1))
        # Everywhere is all of a series' locations, however many there are.
        rows = rows.with_columns(
            nw.when(nw.col("everywhere")).then(1).otherwise(nw.col("locations")).alias("locations")
        )
    else:
        count = max(int(locations.select(nw.len()).collect().item()), 1)
        each = nw.when(nw.col("everywhere")).then(count).otherwise(1)
        rows = reduced().with_columns(
            *((each * nw.col(c)).alias(c) for c in ("covered", "deep")),
            nw.lit(count).alias("locations"),
        )
    if "product_id" in grain.keys:
        return rows.with_columns(nw.col("locations").alias("of"))
    counts = promoted_products(dataset, grain.product_keys)
    rows = rows.join(counts, on=list(grain.product_keys), how="left")
    return rows.with_columns((nw.col("locations") * nw.col("products")).alias("of"))


@memo("promotions", "locations")
def promoted_locations(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Return the locations that appear in the plan, with the attributes `keys`."""
    if "location_id" not in dataset.columns("promotions"):
        return nw.from_native(pl.LazyFrame(schema=dict.fromkeys(("location_id", *keys), pl.String)))
    ids = dataset.table("promotions").select("location_id")
    placed = ids.filter(~nw.col("location_id").is_null()).unique()
    return materialise(with_attributes(dataset, placed, keys))


@memo("promotions", "products")
def promoted_products(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    """Count the products in the plan for each value of the product attributes `keys`."""
    ids = dataset.table("promotions").select("product_id").unique()
    groups = with_attributes(dataset, ids, keys).group_by(*keys)
    return materialise(groups.agg(nw.len().cast(nw.Int64).alias("products")))


def _cells(stretches: Frame, length: int, phase: int, first: int, until: int) -> Frame:
    """Spread stretches over the periods that they touch; what they cover counts by the day."""
    start = nw.when(nw.col("from_day") < first).then(first).otherwise(nw.col("from_day"))
    end = nw.when(nw.col("to_day") > until).then(until).otherwise(nw.col("to_day"))
    cut = stretches.with_columns(start.alias("start"), end.alias("end"))
    cut = cut.filter(nw.col("start") < nw.col("end"))
    head = (nw.col("start") - phase) // length
    tail = (nw.col("end") - 1 - phase) // length
    touched = cut.with_columns(head.alias("head"), (tail - head + 1).cast(nw.Int64).alias("n"))
    # A stretch over n periods meets n rows here, numbered 0 to n - 1: an explode by join,
    # which every engine can do.
    longest = (until - first) // length + 2
    counts = pl.DataFrame({"n": range(1, longest + 1)}, schema={"n": pl.Int64})
    steps = counts.with_columns(step=pl.int_ranges("n", dtype=pl.Int32)).explode("step")
    rows = touched.join(nw.from_native(steps.lazy()), on="n", how="inner")
    rows = rows.with_columns((nw.col("head") + nw.col("step")).cast(nw.Int64).alias("block"))
    opens = nw.col("block") * length + phase
    since = nw.when(nw.col("start") > opens).then(nw.col("start")).otherwise(opens)
    closes = opens + length
    till = nw.when(nw.col("end") < closes).then(nw.col("end")).otherwise(closes)
    days = (till - since).cast(nw.Int64)
    return (
        rows.with_columns((days * nw.col(c)).alias(c) for c in ("covered", "deep"))
        .group_by("series", "kind", "block")
        .agg(nw.col("covered", "deep").sum(), nw.col("of").max())
    )
