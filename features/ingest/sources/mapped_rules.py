"""Reasons to keep a mapped row out: what the mapping drops, what cannot be read, what cannot be.

Rules speak of the batch that `mapped.Reading.shape` makes, and blame the raw column.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from features.calendar import to_day
from features.ingest.mapping.schema import Drop, TableSource, Where
from features.ingest.sources import parse
from features.ingest.validation import FAULT, RAW, Rule
from features.tables import DAY, TS, Table

IDS = ("customer_id", "product_id", "location_id", "order_id", "campaign_id")
# A letter that could not be read; and what letters in UTF-8 look like to who expects others.
UNREAD = "\ufffd"
DAMAGE = [UNREAD, "Ã¤", "Ã¶", "Ã¼", "ÃŸ", "Ã©", "Ã¨", "Ã±", "Ã§", "Ã³", "â€", "Â£", "Â°"]
DAMAGED = "source.damaged"
# Longer than anything that names a thing: a field that swallowed its neighbours.
ID_BYTES = 500
_FIRST_DAY = to_day("1990-01-01")
# Tables that tell what has happened; the others may hold plans.
_PAST = ("orders", "sales", "touchpoints", "stock")
_PRICES = ("unit_price", "price")

DtypeOf = Callable[[str], pl.DataType | None]


def mapped_rules(table: Table, source: TableSource, dtype: DtypeOf, now: datetime) -> list[Rule]:
    """Rules of one source, those that say most about a row first.

    Parameters
    ----------
    dtype
        Type that a column of the mapping becomes.
    now
        The present instant.
    """
    return [
        Rule(FAULT, "the row cannot be read", pl.col(FAULT).is_not_null()),
        *(_dropping(drop, source.decimal) for drop in source.drop),
        *_unreadable(source, dtype),
        *_impossible(table, source, dtype, now),
        *_absurd(source),
    ]


def matches(where: Where, decimal: str) -> pl.Expr:
    """Whether a row is among those that a condition of the mapping names."""
    column = f"{RAW}{where.column}"
    value = pl.col(column).cast(pl.String).str.strip_chars()
    if where.values is not None:
        return value.is_in([str(value) for value in where.values])
    if where.starts_with is not None:
        return value.str.starts_with(where.starts_with)

    def amount(values: pl.Series) -> pl.Series:
        return parse.number(values, decimal)

    number = pl.col(column).map_batches(amount, return_dtype=pl.Float64)
    return number < where.below if where.below is not None else number > where.above


def _dropping(drop: Drop, decimal: str) -> Rule:
    return Rule(f"{RAW}{drop.column}", drop.reason, matches(drop, decimal), dropped=True)


def _unreadable(source: TableSource, dtype: DtypeOf) -> list[Rule]:
    """Something is written where a number, a date or a yes is expected, and is none."""
    rules = []
    for name, raw in source.columns.items():
        column, kind = f"{RAW}{raw}", dtype(name)
        if name in IDS:
            damaged = pl.col(name).str.contains(UNREAD, literal=True)
            reason = f"{name} holds damaged letters; is the encoding right?"
            rules.append(Rule(column, reason, damaged))
            huge = pl.col(name).str.len_bytes() > ID_BYTES
            rules.append(Rule(column, f"{name} has more than {ID_BYTES} letters", huge))
        if kind is None or kind == pl.String:
            continue
        if kind == TS or (kind == DAY() and name != "line"):
            form = source.date_format or "YYYY-MM-DD[ HH:MM[:SS]]"
            expected = f"a date of the form {form}" if source.first_week is None else "a week"
        else:
            expected = "yes or no" if kind == pl.Boolean else "a number"
        suspect = pl.col(name).is_null() & pl.col(column).is_not_null()
        nothing = pl.col(column).cast(pl.String).str.strip_chars().is_in(parse.NO_NUMBER)
        rules.append(Rule(column, f"{name} is not {expected}", suspect & ~nothing, suspect))
    return rules


def _impossible(table: Table, source: TableSource, dtype: DtypeOf, now: datetime) -> list[Rule]:
    rules = []
    # A day's grace: the retailer's clock and this machine's may stand in different zones.
    end = now + timedelta(days=1)
    for name, raw in source.columns.items():
        kind = dtype(name)
        if name == "line" or kind not in (TS, DAY()):
            continue
        first: datetime | int = datetime(1990, 1, 1) if kind == TS else _FIRST_DAY
        last: datetime | int = end if kind == TS else to_day(end)
        column = f"{RAW}{raw}"
        rules.append(Rule(column, f"{name} is before 1990-01-01", pl.col(name) < first))
        if table.name in _PAST:
            rules.append(Rule(column, f"{name} lies in the future", pl.col(name) > last))
    return rules


def _absurd(source: TableSource) -> list[Rule]:
    """Amounts that no line of a shop holds: a typing mistake or a column that slipped."""
    rules = []
    most, dearest = source.max_quantity, source.max_price
    for name, raw in source.columns.items():
        column = f"{RAW}{raw}"
        if name == "quantity" and source.cap_quantity is None:
            beyond = pl.col(name).abs() > most
            rules.append(Rule(column, f"quantity is beyond max_quantity = {most:,.10g}", beyond))
        elif name in _PRICES:
            beyond = pl.col(name) > dearest
            rules.append(Rule(column, f"{name} is beyond max_price = {dearest:,.10g}", beyond))
        elif name == "revenue":
            units = pl.col("quantity").abs() if "quantity" in source.columns else pl.lit(1.0)
            beyond = pl.col(name).abs() > dearest * pl.max_horizontal(units, 1.0)
            rules.append(
                Rule(column, f"revenue a unit is beyond max_price = {dearest:,.10g}", beyond)
            )
    return rules
