"""Which purchases were made under a promotion: at that place, on that day.

Order lines and the promotions table in, one row a promoted order and product out. It says
of each purchase what was so when it was made, so an instant hides it as it hides the line.
"""

import warnings
from typing import Any

import narwhals as nw

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.promotions import promotion_kinds
from features.errors import MissingData
from features.interactions.promotion_calendar import local_plan, promotion_locations
from features.memo import memo

# Days over which a placement's effect is counted.
LIFT_DAYS = 91
# A placement under which less was bought says little.
PRIOR_PURCHASES = 50.0
# Products promoted nearly always are taken to be without promotion this share of the time.
MIN_FREE = 0.1
# Amounts are added up as integers of this step: the same to the bit in whatever order.
STEP = 2.0**-24


def promoted_purchases(dataset: Dataset) -> nw.LazyFrame[Any] | None:
    """Mark purchases of promoted products; None where the dataset has no promotions.

    Returns
    -------
    narwhals.LazyFrame or None
        order_id, product_id, day, and for each kind of promotion on_<kind>: 1 where the
        product was promoted at the order's location on its day, else 0; and at_<kind>, its
        placement. What was under no promotion is left out. Of stretches that overlap at one
        place the one begun last counts.
    """
    if "promotions" not in dataset.tables:
        return None
    return _mark(dataset).lazy()


def placement_lifts(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Say how much more was sold under each kind and placement of promotion than without.

    Counted over the last `LIFT_DAYS` before `as_of`: purchases under the placement over those
    that the products' pace without promotion, chain-wide, would have made in as many days at
    as many locations.

    Returns
    -------
    narwhals.LazyFrame
        kind, placement ("" where the plan says none), lift: 1 for no effect; drawn towards it
        by `PRIOR_PURCHASES`.
    """
    today = to_day(as_of)
    first = today - LIFT_DAYS
    marked = promoted_purchases(dataset)
    if marked is None:
        raise MissingData("There are no promotions.", field="promotions")
    marked = marked.filter(nw.col("day") >= first, nw.col("day") < today)
    sold = nw.concat(
        [
            marked.filter(nw.col(f"on_{kind}") == 1)
            .group_by(nw.col(f"at_{kind}").fill_null("").alias("placement"))
            .agg(nw.len().cast(nw.Float64).alias("sold"))
            .with_columns(nw.lit(kind).alias("kind"))
            for kind in promotion_kinds(dataset)
        ]
    )
    near = local_plan(dataset, first, today)
    locations = promotion_locations(dataset)
    start = nw.when(nw.col("from_day") < first).then(first).otherwise(nw.col("from_day"))
    end = nw.when(nw.col("to_day") > today).then(today).otherwise(nw.col("to_day"))
    at = nw.when(nw.col("location_id").is_null()).then(locations).otherwise(1)
    covered = (
        near.with_columns(
            nw.col("placement").fill_null(""), ((end - start).cast(nw.Int64) * at).alias("days")
        )
        .group_by("product_id", "kind", "placement")
        .agg(nw.col("days").sum())
    )
    orders = dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null(), nw.col("day") >= first
    )
    # The pace without promotion: purchases under none, over the days and places without any.
    whole = float(LIFT_DAYS * locations)
    free = whole - nw.col("covered").fill_null(0).cast(nw.Float64)
    most = covered.group_by("product_id", "kind").agg(nw.col("days").sum())
    most = most.group_by("product_id").agg(nw.col("days").max().alias("covered"))
    pace = (
        orders.select("order_id", "product_id")
        .unique()
        .join(marked.select("order_id", "product_id"), on=["order_id", "product_id"], how="anti")
        .group_by("product_id")
        .agg(nw.len().cast(nw.Float64).alias("plain"))
        .join(most, on="product_id", how="left")
        .with_columns(
            nw.when(free > whole * MIN_FREE).then(free).otherwise(whole * MIN_FREE).alias("free")
        )
        .select("product_id", (nw.col("plain") / nw.col("free")).alias("pace"))
    )
    expected = (
        covered.join(pace, on="product_id")
        .group_by("kind", "placement")
        .agg(
            (nw.col("days") * nw.col("pace") / STEP).round().cast(nw.Int64).sum().alias("expected")
        )
        .with_columns(nw.col("expected").cast(nw.Float64) * STEP)
    )
    lift = (nw.col("sold").fill_null(0.0) + PRIOR_PURCHASES) / (
        nw.col("expected") + PRIOR_PURCHASES
    )
    return expected.join(sold, on=["kind", "placement"], how="left").select(
        "kind", "placement", lift.alias("lift")
    )


def _reaching(
    stretches: nw.LazyFrame[Any], by: list[str], placements: list[str]
) -> nw.LazyFrame[Any]:
    """Say of each first day how far stretches begun so far reach: one within another ends first.

    Returns
    -------
    narwhals.LazyFrame
        by, from_day; own, of the longest that begins then, and reach, of the last to end of
        those begun by then: its end times the number of `placements`, plus the place of its
        placement among these. One window over millions of stretches answers both.
    """
    place = nw.col("placement").fill_null("")
    place = place.replace_strict(placements, list(range(len(placements))), return_dtype=nw.Int64)
    coded = nw.col("to_day").cast(nw.Int64) * len(placements) + place
    return (
        stretches.with_columns(coded.alias("coded"))
        .group_by(*by, "from_day")
        .agg(nw.col("coded").max().alias("own"))
        .with_columns(nw.col("own").cum_max().over(*by, order_by="from_day").alias("reach"))
        .sort("from_day")
    )


@memo()
def _mark(dataset: Dataset) -> nw.DataFrame[Any]:
    keys = ["order_id", "product_id"]
    orders = dataset.table("orders").filter(
        nw.col("kind") == "sale", ~nw.col("product_id").is_null()
    )
    placed = dataset.has("orders", "location_id")
    columns = [nw.col("day").min()] + ([nw.col("location_id").min()] if placed else [])
    bought = orders.group_by(*keys).agg(*columns)
    plan = dataset.table("promotions")
    if not dataset.has("promotions", "placement"):
        plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias("placement"))
    named = plan.select(nw.col("placement").fill_null("")).unique().collect()
    placements = sorted(named.get_column("placement").to_list())
    local = dataset.has("promotions", "location_id")
    everywhere = plan.filter(nw.col("location_id").is_null()) if local else plan
    marks = []
    for kind in promotion_kinds(dataset):
        by_place = [(everywhere, ["product_id"])]
        if placed and local:
            somewhere = plan.filter(~nw.col("location_id").is_null())
            by_place.append((somewhere, ["product_id", "location_id"]))
        for stretches, by in by_place:
            of_kind = stretches.filter(nw.col("kind") == kind)
            # Only what was ever sold at a place is looked up there: most plans were not.
            sold = bought.select(*by).unique()
            near = of_kind.join(sold, on=by, how="semi").select(
                *by, "placement", "from_day", "to_day"
            )
            under = (
                bought.sort("day")
                .join_asof(
                    _reaching(near, by, placements), left_on="day", right_on="from_day", by=by
                )
                .filter(nw.col("reach") // len(placements) > nw.col("day"))
                .with_columns(
                    nw.when(nw.col("own") // len(placements) > nw.col("day"))
                    .then(nw.col("own"))
                    .otherwise(nw.col("reach"))
                    .alias("coded")
                )
                .with_columns(
                    (nw.col("coded") % len(placements))
                    .replace_strict(
                        list(range(len(placements))), placements, return_dtype=nw.String
                    )
                    .alias("placement")
                )
                .with_columns(nw.when(nw.col("placement") != "").then(nw.col("placement")))
            )
            flags = [
                nw.lit(int(name == kind)).cast(nw.Int64).alias(f"on_{name}")
                for name in promotion_kinds(dataset)
            ]
            places = [
                (nw.col("placement") if name == kind else nw.lit(None, dtype=nw.String)).alias(
                    f"at_{name}"
                )
                for name in promotion_kinds(dataset)
            ]
            marks.append(under.select(*keys, "day", *flags, *places))
    names = [f"{part}_{name}" for part in ("on", "at") for name in promotion_kinds(dataset)]
    together = (
        nw.concat(marks)
        .group_by(*keys)
        .agg(nw.col("day").min(), *(nw.col(name).max() for name in names))
    )
    with warnings.catch_warnings():
        # Both sides are sorted above; Polars says that it cannot see so group by group.
        warnings.filterwarnings("ignore", message="Sortedness of columns")
        return together.collect()
