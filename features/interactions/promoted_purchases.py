"""Purchases made under a promotion, and how much promotions lift sales.

In: order lines and the table `promotions`. Out: one row per promoted order and product, marked by
the promotions of its location and day; and the lift of each kind and placement.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import DAY, LOCATION_ID, ORDER_ID, PRODUCT_ID
from features.dataset import Dataset
from features.demand.promotions import promotion_kinds
from features.errors import MissingData
from features.interactions.promotion_calendar import local_plan, promotion_locations
from features.memo import memo
from features.returns import has_returns, net_purchases
from features.typing import Frame

# Days over which the effect of a placement is measured.
LIFT_DAYS = 91
# Prior of a lift of 1, in purchases: shrinks the lift of placements with few purchases.
PRIOR_PURCHASES = 50.0
# Least share of time without promotion that a product is taken to have had.
MIN_FREE = 0.1
# Amounts are summed as integer multiples of this step: the sums do not depend on row order.
STEP = 2.0**-24

KEY = (ORDER_ID, PRODUCT_ID)


def promoted_purchases(dataset: Dataset) -> Frame | None:
    """Mark purchases of promoted products; None where the dataset has no promotions.

    Each row depends only on promotions in force when the purchase was made, so a row may be read
    whenever its order line may.

    Returns
    -------
    narwhals.LazyFrame or None
        order_id, product_id, day, and for each kind of promotion on_<kind>: 1 where the product
        was promoted at the order's location on its day, else 0; and at_<kind>, its placement.
        Purchases under no promotion are left out. Of promotions that overlap at one location, the
        one that began last counts.
    """
    if "promotions" not in dataset.tables:
        return None
    return _promoted_purchases(dataset).lazy()


def placement_lifts(dataset: Dataset, as_of: AsOf) -> Frame:
    """Measure how much more sells under each kind and placement of promotion than without.

    Over the last `LIFT_DAYS` before `as_of`: purchases under the placement, divided by those
    expected from the products' chain-wide sales rate without promotion, over the same number of
    days and locations.

    Returns
    -------
    narwhals.LazyFrame
        kind, placement ("" where the plan has none), lift: 1 for no effect, shrunk towards 1 by
        `PRIOR_PURCHASES`.

    Raises
    ------
    MissingData
        If the dataset has no promotions.
    """
    today = to_day(as_of)
    first = today - LIFT_DAYS
    promoted = promoted_purchases(dataset)
    if promoted is None:
        raise MissingData("There are no promotions.", field="promotions")
    promoted = promoted.filter(nw.col(DAY) >= first, nw.col(DAY) < today)
    if has_returns(dataset):
        kept = net_purchases(dataset, as_of).select(*KEY).unique()
        promoted = promoted.join(kept, on=list(KEY), how="semi")
    sold = _sold_by_placement(promoted, promotion_kinds(dataset))
    covered = _covered_days(dataset, first, today)
    rate = _unpromoted_rate(dataset, as_of, promoted, covered)
    expected = (
        covered.join(rate, on=PRODUCT_ID)
        .group_by("kind", "placement")
        .agg(
            (nw.col("days") * nw.col("rate") / STEP).round().cast(nw.Int64).sum().alias("expected")
        )
        .with_columns(nw.col("expected").cast(nw.Float64) * STEP)
    )
    lift = (nw.col("sold").fill_null(0.0) + PRIOR_PURCHASES) / (
        nw.col("expected") + PRIOR_PURCHASES
    )
    return expected.join(sold, on=["kind", "placement"], how="left").select(
        "kind", "placement", lift.alias("lift")
    )


def _sold_by_placement(promoted: Frame, all_kinds: list[str]) -> Frame:
    """Count the purchases under each kind and placement."""
    return nw.concat(
        [
            promoted.filter(nw.col(f"on_{kind}") == 1)
            .group_by(nw.col(f"at_{kind}").fill_null("").alias("placement"))
            .agg(nw.len().cast(nw.Float64).alias("sold"))
            .with_columns(nw.lit(kind).alias("kind"))
            for kind in all_kinds
        ]
    )


def _covered_days(dataset: Dataset, first: int, end: int) -> Frame:
    """Sum the days times locations of [first, end) that promotions of each product cover."""
    locations = promotion_locations(dataset)
    start = nw.when(nw.col("from_day") < first).then(first).otherwise(nw.col("from_day"))
    stop = nw.when(nw.col("to_day") > end).then(end).otherwise(nw.col("to_day"))
    count = nw.when(nw.col(LOCATION_ID).is_null()).then(locations).otherwise(1)
    return (
        local_plan(dataset, first, end)
        .with_columns(
            nw.col("placement").fill_null(""), ((stop - start).cast(nw.Int64) * count).alias("days")
        )
        .group_by(PRODUCT_ID, "kind", "placement")
        .agg(nw.col("days").sum())
    )


def _unpromoted_rate(dataset: Dataset, as_of: AsOf, promoted: Frame, covered: Frame) -> Frame:
    """Estimate each product's purchases per day and location without promotion."""
    orders = net_purchases(dataset, as_of).filter(
        ~nw.col(PRODUCT_ID).is_null(), nw.col(DAY) >= to_day(as_of) - LIFT_DAYS
    )
    total = float(LIFT_DAYS * promotion_locations(dataset))
    free = total - nw.col("covered").fill_null(0).cast(nw.Float64)
    most = covered.group_by(PRODUCT_ID, "kind").agg(nw.col("days").sum())
    most = most.group_by(PRODUCT_ID).agg(nw.col("days").max().alias("covered"))
    return (
        orders.select(*KEY)
        .unique()
        .join(promoted.select(*KEY), on=list(KEY), how="anti")
        .group_by(PRODUCT_ID)
        .agg(nw.len().cast(nw.Float64).alias("unpromoted"))
        .join(most, on=PRODUCT_ID, how="left")
        .with_columns(
            nw.when(free > total * MIN_FREE).then(free).otherwise(total * MIN_FREE).alias("free")
        )
        .select(PRODUCT_ID, (nw.col("unpromoted") / nw.col("free")).alias("rate"))
    )


@memo()
def _promoted_purchases(dataset: Dataset) -> nw.DataFrame[Any]:
    """Match purchases with the promotions of each kind; see `promoted_purchases`."""
    bought = _bought(dataset)
    plan = dataset.table("promotions")
    if not dataset.has("promotions", "placement"):
        plan = plan.with_columns(nw.lit(None, dtype=nw.String).alias("placement"))
    names = plan.select(nw.col("placement").fill_null("")).unique().collect()
    codes = _PlacementCodes(tuple(sorted(names.get_column("placement").to_list())))
    all_kinds = promotion_kinds(dataset)
    matches = [
        _with_flags(codes.matches(bought, promotions, by), kind, all_kinds)
        for kind in all_kinds
        for promotions, by in _promotions_by_key(dataset, plan.filter(nw.col("kind") == kind))
    ]
    columns = [f"{part}_{kind}" for part in ("on", "at") for kind in all_kinds]
    purchases = (
        nw.concat(matches)
        .group_by(*KEY)
        .agg(nw.col(DAY).min(), *(nw.col(name).max() for name in columns))
    )
    with warnings.catch_warnings():
        # Both sides of the join are sorted; Polars warns that it cannot verify this by group.
        warnings.filterwarnings("ignore", message="Sortedness of columns")
        return purchases.collect()


def _bought(dataset: Dataset) -> Frame:
    """Return one row per order and product sold, with its day and, if recorded, its location."""
    sales = dataset.table("orders").filter(nw.col("kind") == "sale", ~nw.col(PRODUCT_ID).is_null())
    columns = [nw.col(DAY).min()]
    if dataset.has("orders", LOCATION_ID):
        columns.append(nw.col(LOCATION_ID).min())
    return sales.group_by(*KEY).agg(*columns)


def _promotions_by_key(dataset: Dataset, plan: Frame) -> Iterator[tuple[Frame, list[str]]]:
    """Yield the promotions at all locations and those at one, each with its columns to join by."""
    if not dataset.has("promotions", LOCATION_ID):
        yield plan, [PRODUCT_ID]
        return
    everywhere = nw.col(LOCATION_ID).is_null()
    yield plan.filter(everywhere), [PRODUCT_ID]
    if dataset.has("orders", LOCATION_ID):
        yield plan.filter(~everywhere), [PRODUCT_ID, LOCATION_ID]


def _with_flags(matches: Frame, kind: str, all_kinds: list[str]) -> Frame:
    """Lay out the matches of one kind in the columns on_... and at_... of all kinds."""
    flags = [nw.lit(int(name == kind)).cast(nw.Int64).alias(f"on_{name}") for name in all_kinds]
    placements = [
        (nw.col("placement") if name == kind else nw.lit(None, dtype=nw.String)).alias(f"at_{name}")
        for name in all_kinds
    ]
    return matches.select(*KEY, DAY, *flags, *placements)


@dataclass(frozen=True)
class _PlacementCodes:
    """Integers that hold a promotion's end and its placement: end times number, plus position.

    The maximum of such integers is the promotion that ends last, so that one window function over
    millions of promotions finds its end and its placement together.

    Attributes
    ----------
    placements
        The distinct placements, sorted.
    """

    placements: tuple[str, ...]

    def matches(self, bought: Frame, promotions: Frame, by: list[str]) -> Frame:
        """Return the purchases under a promotion, with its `placement` (null where it has none)."""
        count = len(self.placements)
        # Most planned promotions are of products that never sold at their location.
        sold = bought.select(*by).unique()
        near = promotions.join(sold, on=by, how="semi").select(
            *by, "placement", "from_day", "to_day"
        )
        return (
            bought.sort(DAY)
            .join_asof(self._ends(near, by), left_on=DAY, right_on="from_day", by=by)
            .filter(nw.col("last_end") // count > nw.col(DAY))
            .with_columns(
                nw.when(nw.col("end") // count > nw.col(DAY))
                .then(nw.col("end"))
                .otherwise(nw.col("last_end"))
                .alias("coded")
            )
            .with_columns(
                (nw.col("coded") % count)
                .replace_strict(list(range(count)), list(self.placements), return_dtype=nw.String)
                .alias("placement")
            )
            .with_columns(nw.when(nw.col("placement") != "").then(nw.col("placement")))
        )

    def _ends(self, promotions: Frame, by: list[str]) -> Frame:
        """Return the coded ends of promotions by first day; one may end within another.

        Returns
        -------
        narwhals.LazyFrame
            The columns `by`, from_day; end, of the promotion begun on that day that ends last;
            last_end, of those begun by then the one that ends last.
        """
        position = (
            nw.col("placement")
            .fill_null("")
            .replace_strict(
                list(self.placements), list(range(len(self.placements))), return_dtype=nw.Int64
            )
        )
        coded = nw.col("to_day").cast(nw.Int64) * len(self.placements) + position
        return (
            promotions.with_columns(coded.alias("coded"))
            .group_by(*by, "from_day")
            .agg(nw.col("coded").max().alias("end"))
            .with_columns(nw.col("end").cum_max().over(*by, order_by="from_day").alias("last_end"))
            .sort("from_day")
        )
