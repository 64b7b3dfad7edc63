"""A dataset and another plan in, the dataset as if that plan were in the books out.

Read by whoever asks what would sell under a plan of promotions and prices: scoring in batch,
and serving on the small part of the books that was published. The demand features then are
those of any other dataset.
"""

from typing import Any

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.panel import told_apart
from features.demand.plan import NONE, OTHER, Planned
from features.demand.promotions import kinds, promoted_locations, promoted_products
from features.errors import InvalidInput, MissingData
from features.tables import TABLES


def what_if(dataset: Dataset, plan: list[Planned], grain: Grain) -> Dataset:
    """Lay a plan over the books.

    A planned promotion replaces what is booked for the same product, kind and location on its
    days, one of the kind `none` takes off promotions of every kind, and a planned price holds
    on its days, after which the booked one returns. The rest of the books stays as it is.

    Parameters
    ----------
    dataset
        The books; promotions and prices have to be in it as far as they are planned.
    plan
        As `plan_rows.read_plan` gives it: it lies at or after the instant that is forecast from.
    grain
        What is forecast: shares of promotion go by the locations and products of the books.

    Raises
    ------
    NotFound
        If a product or a location is unknown.
    InvalidInput
        If a kind of promotion or a product's price never was in the books.
    MissingData
        If the books have no promotions or prices at all.
    """
    tables, results = {}, []
    promotions = [row for row in plan if row.kind is not None]
    prices = [row for row in plan if row.price is not None]
    if promotions:
        names = _booked(dataset, "promotions", promotions[0], "kind", lambda: kinds(dataset))
        for row in promotions:
            if row.kind not in (*names, OTHER, NONE):
                raise InvalidInput(
                    f"{row.place}.kind = {row.kind!r} never was in the books; there is "
                    f"{', '.join(names)}. For what promotions of any kind did, plan {OTHER!r}; "
                    f"{NONE!r} takes off what is booked.",
                    field=f"{row.place}.kind",
                )
        # What a share is a share of does not depend on what is planned.
        where, what = grain.location_keys, grain.product_keys
        planned = {row.kind for row in promotions if row.kind is not None}
        results += [
            kinds.result(sorted({*names, *planned} - {NONE})),
            told_apart.result(told_apart(dataset)),
            promoted_locations.result(promoted_locations(dataset, where), where),
        ]
        if what:
            results.append(promoted_products.result(promoted_products(dataset, what), what))
        tables["promotions"] = _replaced(dataset, "promotions", promotions, _promotions)
    if prices:
        _booked(dataset, "prices", prices[0], "price", lambda: None)
        tables["prices"] = _replaced(dataset, "prices", prices, _prices)
    snapshot = f"{dataset.snapshot} under a plan"
    return dataset.with_tables(snapshot, tables).with_results(results)


def _booked(dataset: Dataset, table: str, row: Planned, field: str, then: Any) -> Any:
    if table not in dataset.tables:
        raise MissingData(
            f"{row.place}.{field} cannot be used: dataset {dataset.name} has no table {table!r}, "
            "from which the model would have learned what it does; leave it out.",
            field=f"{row.place}.{field}",
        )
    return then()


def _replaced(dataset: Dataset, table: str, plan: list[Planned], lay: Any) -> nw.LazyFrame[Any]:
    """Rewrite the rows of the products that are planned; the others are passed on unread."""
    booked = dataset.table(table)
    ids = sorted({row.product_id for row in plan})
    columns = {name: TABLES[table].columns[name].dtype for name in TABLES[table].columns}
    native = booked.to_native()
    if not isinstance(native, pl.LazyFrame):
        native = booked.collect().to_polars().lazy()
    native = native.with_columns(
        pl.lit(None, dtype=kind).alias(name)
        for name, kind in columns.items()
        if name not in booked.collect_schema().names()
    ).select(pl.col(name).cast(kind) for name, kind in columns.items())
    planned = pl.col("product_id").is_in(ids)
    rows = lay(native.filter(planned).collect(), plan)
    laid: pl.LazyFrame = pl.concat([native.filter(~planned), rows.cast(dict(columns)).lazy()])
    return nw.from_native(laid)


def _promotions(booked: pl.DataFrame, plan: list[Planned]) -> pl.DataFrame:
    """Cut the planned days out of what is booked, then add what is planned."""
    first = min(row.start for row in plan)
    past = booked.filter(pl.col("to_day") <= first)
    by_product: dict[str, list[dict[str, Any]]] = {}
    for one in booked.filter(pl.col("to_day") > first).iter_rows(named=True):
        by_product.setdefault(one["product_id"], []).append(one)
    for row in plan:
        kept = []
        for one in by_product.get(row.product_id, []):
            kept += _cut(one, row)
        if row.kind != NONE:
            kept.append(
                {
                    "product_id": row.product_id,
                    "location_id": row.location_id,
                    "kind": row.kind,
                    "from_day": row.start,
                    "to_day": row.end,
                    "depth": row.depth,
                }
            )
        by_product[row.product_id] = kept
    rows = [one for of_product in by_product.values() for one in of_product]
    return pl.concat([past, pl.DataFrame(rows, schema=booked.schema)])


def _cut(one: dict[str, Any], row: Planned) -> list[dict[str, Any]]:
    """Take a planned row's days off a booked promotion that it replaces."""
    assert row.end is not None  # noqa: S101 - promotions have an end, see `Planned.read`
    start, end = one["from_day"], one["to_day"]
    if row.end <= start or row.start >= end or row.kind not in (NONE, one["kind"]):
        return [one]
    if row.location_id is not None and one["location_id"] != row.location_id:
        if one["location_id"] is None and row.kind == NONE:
            raise InvalidInput(
                f"{row.place}.location_id = {row.location_id!r}: the promotion that is booked for "
                f"product {row.product_id!r} is of every location; take it off everywhere, by "
                "leaving location_id out.",
                field=f"{row.place}.location_id",
            )
        return [one]
    pieces = [(start, min(end, row.start)), (max(start, row.end), end)]
    return [{**one, "from_day": a, "to_day": b} for a, b in pieces if a < b]


def _prices(booked: pl.DataFrame, plan: list[Planned]) -> pl.DataFrame:
    """Put planned prices between the changes that are booked."""
    changes: dict[tuple[str, str | None], list[tuple[int, float]]] = {}
    for one in booked.sort("from_day").iter_rows(named=True):
        place = (one["product_id"], one["location_id"])
        changes.setdefault(place, []).append((one["from_day"], one["price"]))
    for row in plan:
        places = [
            place
            for place in changes
            if place[0] == row.product_id and row.location_id in (None, place[1])
        ]
        if not places:
            raise InvalidInput(
                f"{row.place}.price: product {row.product_id!r} has no price in the books"
                + (f" at location {row.location_id!r}" if row.location_id else "")
                + ", so there is none to compare it with.",
                field=f"{row.place}.price",
            )
        for place in places:
            changes[place] = _repriced(changes[place], row)
    rows = [
        (product, location, day, price)
        for (product, location), of_place in changes.items()
        for day, price in of_place
    ]
    names = ("product_id", "location_id", "from_day", "price")
    schema = {name: booked.schema[name] for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row").select(booked.columns)


def _repriced(changes: list[tuple[int, float]], row: Planned) -> list[tuple[int, float]]:
    """Let a planned price hold on its days; a change to the price that holds already is none."""
    assert row.price is not None  # noqa: S101 - rows with a price are given
    end = row.end
    found = [c for c in changes if c[0] < row.start or (end is not None and c[0] >= end)]
    replaced = any(day == row.start for day, _ in changes)
    if replaced or _holding(changes, row.start) != row.price:
        found.append((row.start, row.price))
    if end is not None and all(day != end for day, _ in changes):
        after = _holding(changes, end)
        if after is not None and after != row.price:
            found.append((end, after))
    return sorted(found)


def _holding(changes: list[tuple[int, float]], day: int) -> float | None:
    """Return the price that holds on a day."""
    return next((price for since, price in reversed(changes) if since <= day), None)
