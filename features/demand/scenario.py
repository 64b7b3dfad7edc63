"""Scenarios: a dataset and another plan in, the dataset with that plan out.

The demand features of the returned dataset are computed as those of any other.
"""

from collections.abc import Callable
from typing import Any

import narwhals as nw
import polars as pl

from features.calendar import to_date
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.panel import main_kinds
from features.demand.plan import NONE, OTHER, PlanRow, planned_rows
from features.demand.plan_ends import booked_until, complete_until
from features.demand.prices import has_paid_prices, paid_prices
from features.demand.promotions import (
    has_depths,
    promoted_locations,
    promoted_products,
    promotion_kinds,
)
from features.errors import InvalidInput, MissingData
from features.memo import Result
from features.tables import TABLES
from features.typing import Frame


def with_prices(dataset: Dataset, grain: Grain, day: int) -> Dataset:
    """Return the dataset with prices paid before a day, if it has none of its own but these."""
    if dataset.has("prices") or not has_paid_prices(dataset):
        return dataset
    return dataset.with_tables(dataset.snapshot, {"prices": paid_prices(dataset, grain, day)})


def apply_plan(
    dataset: Dataset, plan: list[PlanRow], grain: Grain, today: int, until: int | None = None
) -> Dataset:
    """Return the dataset with a user's plan in place of its own.

    A promotion replaces promotions of the same product, kind and location on its days. The kind
    `none` cancels promotions of every kind. A price is valid on its days; then the dataset's own
    price returns. All other promotions and prices stay. On the days of a promotion, and of `none`,
    the plan of its product is known; what it does not name is not planned.

    Parameters
    ----------
    dataset
        The dataset, with its promotions and prices as far ahead as they are planned.
    plan
        Rows from `plan.read_plan`, on days from the forecast origin on.
    grain
        Grain of the forecast. Shares of promotion keep the dataset's own denominators.
    today
        Day of the forecast. Without a table of prices, prices paid before it are the dataset's own.
    until
        Day before which the plan is complete: what neither it nor the dataset names is not planned,
        and what the dataset names is cancelled if the plan is empty. None: it is not complete.

    Raises
    ------
    InvalidInput
        If a promotion's kind or a product's price never occurs in the dataset.
    MissingData
        If the dataset has no promotions, no depths of them, or neither prices nor amounts paid.
    """
    if any(row.price is not None for row in plan):
        dataset = with_prices(dataset, grain, today)
    tables: dict[str, Frame] = {}
    results: list[Result] = []
    promotions = [row for row in plan if row.kind is not None]
    prices = [row for row in plan if row.price is not None]
    if promotions:
        _require_table(dataset, "promotions", promotions[0], "kind")
        _check_promotions(dataset, promotions, today)
        tables["promotions"] = _replace_rows(dataset, "promotions", promotions, _promotions)
    elif not plan and until is not None and "promotions" in dataset.tables:
        tables["promotions"] = _without_promotions(dataset.table("promotions"), today, until)
    if "promotions" in dataset.tables:
        results = _promotion_results(dataset, promotions, grain, until)
    if prices:
        _require_table(dataset, "prices", prices[0], "price")
        tables["prices"] = _replace_rows(dataset, "prices", prices, _prices)
    return dataset.with_tables(f"{dataset.snapshot}, scenario", tables).with_results(results)


def _require_table(dataset: Dataset, table: str, row: PlanRow, field: str) -> None:
    if table not in dataset.tables:
        raise MissingData(
            f"{row.label}.{field} cannot be used: dataset {dataset.name} has no table {table!r}, "
            "from which the model would have learned its effect; leave it out.",
            field=f"{row.label}.{field}",
        )


def _check_promotions(dataset: Dataset, promotions: list[PlanRow], today: int) -> None:
    """Refuse kinds and depths from which the model learned nothing."""
    known = promotion_kinds(dataset)
    for row in promotions:
        if row.kind not in (*known, OTHER, NONE):
            raise InvalidInput(
                f"{row.label}.kind = {row.kind!r} is no kind of promotion in the dataset; there is "
                f"{', '.join(known)}. Use {OTHER!r} for the effect of promotions of any kind, and "
                f"{NONE!r} to cancel planned promotions.",
                field=f"{row.label}.kind",
            )
        if row.depth is not None and not has_depths(dataset, today):
            raise MissingData(
                f"{row.label}.depth = {row.depth:g} cannot be used: dataset {dataset.name} records "
                f"no depth of a promotion before {to_date(today)}, from which the model would have "
                "learned its effect; leave it out.",
                field=f"{row.label}.depth",
            )


def _promotion_results(
    dataset: Dataset, promotions: list[PlanRow], grain: Grain, until: int | None
) -> list[Result]:
    """Return results that depend on the plan's completeness, or must not depend on the plan."""
    locations, products = grain.location_keys, grain.product_keys
    kinds = {row.kind for row in promotions if row.kind is not None} - {NONE}
    results = [
        promotion_kinds.result(sorted({*promotion_kinds(dataset), *kinds})),
        main_kinds.result(main_kinds(dataset)),
        promoted_locations.result(promoted_locations(dataset, locations), locations),
        planned_rows.result(tuple(promotions)),
        complete_until(dataset, grain, until)
        if until is not None
        else booked_until.result(booked_until(dataset, locations), locations),
    ]
    results.append(promoted_products.result(promoted_products(dataset, products), products))
    return results


def _without_promotions(promotions: Frame, today: int, until: int) -> Frame:
    """Cancel the promotions on the days from `today` to before `until`."""
    start, end = nw.col("from_day"), nw.col("to_day")
    cut = nw.when(end > today).then(today).otherwise(end).cast(nw.Int32)
    rest = nw.when(start < until).then(until).otherwise(start).cast(nw.Int32)
    before = promotions.with_columns(cut.alias("to_day"))
    after = promotions.with_columns(rest.alias("from_day"))
    return nw.concat([before, after]).filter(start < end)


def _replace_rows(
    dataset: Dataset,
    table: str,
    plan: list[PlanRow],
    merge: Callable[[pl.DataFrame, list[PlanRow]], pl.DataFrame],
) -> Frame:
    """Merge a plan into the rows of its products; rows of other products are not collected."""
    frame = dataset.table(table)
    dtypes: dict[Any, Any] = {name: column.dtype for name, column in TABLES[table].columns.items()}
    native = frame.to_native()
    if not isinstance(native, pl.LazyFrame):
        native = frame.collect().to_polars().lazy()
    native = native.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in dtypes.items()
        if name not in frame.collect_schema().names()
    ).select(pl.col(name).cast(dtype) for name, dtype in dtypes.items())
    planned = pl.col("product_id").is_in(sorted({row.product_id for row in plan}))
    rows = merge(native.filter(planned).collect(), plan)
    merged: pl.LazyFrame = pl.concat([native.filter(~planned), rows.cast(dtypes).lazy()])
    return nw.from_native(merged)


def _promotions(existing: pl.DataFrame, plan: list[PlanRow]) -> pl.DataFrame:
    """Remove the days of the plan from the existing promotions, then add the plan."""
    first = min(row.start for row in plan)
    past = existing.filter(pl.col("to_day") <= first)
    by_product: dict[str, list[dict[str, Any]]] = {}
    for promotion in existing.filter(pl.col("to_day") > first).iter_rows(named=True):
        by_product.setdefault(promotion["product_id"], []).append(promotion)
    for row in plan:
        promotions = []
        for promotion in by_product.get(row.product_id, []):
            promotions += _without_days(promotion, row)
        if row.kind != NONE:
            promotions.append(
                {
                    "product_id": row.product_id,
                    "location_id": row.location_id,
                    "kind": row.kind,
                    "from_day": row.start,
                    "to_day": row.end,
                    "depth": row.depth,
                }
            )
        by_product[row.product_id] = promotions
    rows = [promotion for promotions in by_product.values() for promotion in promotions]
    return pl.concat([past, pl.DataFrame(rows, schema=existing.schema)])


def _without_days(promotion: dict[str, Any], row: PlanRow) -> list[dict[str, Any]]:
    """Return what remains of an existing promotion outside the days of a planned one."""
    assert row.end is not None  # noqa: S101 - promotions have an end, see `PlanRow.parse`
    start, end = promotion["from_day"], promotion["to_day"]
    if row.end <= start or row.start >= end or row.kind not in (NONE, promotion["kind"]):
        return [promotion]
    if row.location_id is not None and promotion["location_id"] != row.location_id:
        if promotion["location_id"] is None and row.kind == NONE:
            raise InvalidInput(
                f"{row.label}.location_id = {row.location_id!r}: the promotion of product "
                f"{row.product_id!r} covers every location; cancel it everywhere by leaving "
                "location_id out.",
                field=f"{row.label}.location_id",
            )
        return [promotion]
    pieces = [(start, min(end, row.start)), (max(start, row.end), end)]
    return [{**promotion, "from_day": a, "to_day": b} for a, b in pieces if a < b]


def _prices(existing: pl.DataFrame, plan: list[PlanRow]) -> pl.DataFrame:
    """Insert planned prices between the existing price changes."""
    changes: dict[tuple[str, str | None], list[tuple[int, float]]] = {}
    for change in existing.sort("from_day").iter_rows(named=True):
        key = (change["product_id"], change["location_id"])
        changes.setdefault(key, []).append((change["from_day"], change["price"]))
    for row in plan:
        keys = [
            (product, location)
            for product, location in changes
            if product == row.product_id and row.location_id in (None, location)
        ]
        if not keys:
            raise InvalidInput(
                f"{row.label}.price: product {row.product_id!r} has no price in the dataset"
                + (f" at location {row.location_id!r}" if row.location_id else "")
                + ", so there is none to compare it with.",
                field=f"{row.label}.price",
            )
        for key in keys:
            changes[key] = _with_price(changes[key], row)
    rows = [
        (product, location, day, price)
        for (product, location), prices in changes.items()
        for day, price in prices
    ]
    names = ("product_id", "location_id", "from_day", "price")
    schema = {name: existing.schema[name] for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row").select(existing.columns)


def _with_price(changes: list[tuple[int, float]], row: PlanRow) -> list[tuple[int, float]]:
    """Insert a planned price into the changes of one price list.

    A planned price equal to the valid one adds no change.
    """
    assert row.price is not None  # noqa: S101 - `_prices` gets rows with a price
    end = row.end
    kept = [c for c in changes if c[0] < row.start or (end is not None and c[0] >= end)]
    replaced = any(day == row.start for day, _ in changes)
    if replaced or _valid_price(changes, row.start) != row.price:
        kept.append((row.start, row.price))
    if end is not None and all(day != end for day, _ in changes):
        after = _valid_price(changes, end)
        if after is not None and after != row.price:
            kept.append((end, after))
    return sorted(kept)


def _valid_price(changes: list[tuple[int, float]], day: int) -> float | None:
    """Return the price valid on a day; None before the first change."""
    return next((price for since, price in reversed(changes) if since <= day), None)
