"""Rules of a mapped source: rows to drop, unreadable values, impossible dates and amounts.

The rules apply to batches of `mapped.SourceReader.canonical` and report the raw column.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import polars as pl

from features.calendar import to_day
from features.ingest.mapping.schema import Drop, TableSource, Where
from features.ingest.source_columns import FAULT, RAW_PREFIX
from features.ingest.sources import parse
from features.ingest.sources.decimal_marks import only_with_mark
from features.ingest.sources.numbers import MISSING_NUMBER, Notation, number
from features.ingest.validation import Rule
from features.tables import DAY, PAST_TABLES, TS, Column, Table

ID_COLUMNS = ("customer_id", "product_id", "location_id", "order_id", "campaign_id")
# Replaces a character that could not be decoded.
REPLACEMENT = "\ufffd"
# Text in UTF-8 that was decoded as another encoding contains such sequences.
DAMAGED_TEXTS = [
    REPLACEMENT, "Ã¤", "Ã¶", "Ã¼", "ÃŸ", "Ã©", "Ã¨", "Ã±", "Ã§", "Ã³", "â€", "Â£", "Â°",
]  # fmt: skip
DAMAGED = "source.damaged"
# A longer id is a field that contains its neighbours.
ID_BYTES = 500
_FIRST_DAY = to_day("1990-01-01")
# Reason for records that a later import may accept.
IN_FUTURE = "lies in the future"
_PRICES = ("unit_price", "price")

_TOTAL_WORDS = (
    "total", "totals", "grand total", "subtotal", "sub total", "sum", "gesamt", "gesamtsumme",
    "summe", "zwischensumme", "endsumme", "insgesamt", "total général", "sous-total", "somme",
    "suma", "total general", "totale", "totaal", "total geral", "razem", "итого", "всего",
    "合計", "总计",
)  # fmt: skip
_TOTALS = [
    f"{form}{end}"
    for word in _TOTAL_WORDS
    for form in dict.fromkeys((word, word.upper(), word.title(), word.capitalize()))
    for end in ("", ":")
]

DtypeOf = Callable[[str], pl.DataType | None]
NotationOf = Callable[[str], Notation]


def mapped_rules(
    table: Table,
    source: TableSource,
    dtype: DtypeOf,
    notation: NotationOf,
    now: datetime,
    *,
    local: str | None,
) -> list[Rule]:
    """Return the rules of one source, those with the most specific reasons first.

    Parameters
    ----------
    dtype
        Returns the type of a column of the mapping.
    notation
        Returns how a column of the source writes its numbers.
    now
        The present time.
    local
        The retailer's time zone.
    """
    return [
        *_row_rules(table, source),
        *(_drop_rule(drop, notation) for drop in source.drop),
        *_parse_rules(source, dtype, notation, local),
        *_date_rules(table, source, dtype, now),
        *_amount_rules(source),
    ]


def _row_rules(table: Table, source: TableSource) -> list[Rule]:
    """Reject unreadable rows; drop repeated headers and, among order lines and sales, totals."""
    columns = [f"{RAW_PREFIX}{raw}" for raw in source.source_columns]
    texts = [pl.col(column).cast(pl.String).str.strip_chars() for column in columns]
    names = [column.removeprefix(RAW_PREFIX) for column in columns]
    are_names = [text == name for text, name in zip(texts, names, strict=True)]
    first, rules = columns[0], []
    if len(columns) > 1:
        again = pl.all_horizontal(are_names)
        rules.append(Rule(first, "the header again", again, are_names[0], dropped=True))
    rules.append(Rule(FAULT, "the row cannot be read", pl.col(FAULT).is_not_null()))
    if table.name not in ("orders", "sales"):
        return rules
    keys = {name: pl.col(f"{RAW_PREFIX}{raw}") for name, raw in source.columns.items()}
    false = pl.lit(value=False)
    ids = [keys[name] for name in ("order_id", "product_id") if name in keys]
    in_id = pl.any_horizontal(false, *(key.cast(pl.String).is_in(_TOTALS) for key in ids))
    required = [*ids, *(keys[name] for name in ("ts", "day") if name in keys)]
    incomplete = pl.any_horizontal(false, *(key.is_null() for key in required))
    total = in_id | (incomplete & pl.any_horizontal(text.is_in(_TOTALS) for text in texts))
    reason = "a total, not a row of its own"
    rules.append(Rule(first, reason, total, in_id | incomplete, dropped=True))
    return rules


def matches(where: Where, notation: NotationOf) -> pl.Expr:
    """Whether a row meets a condition of the mapping."""
    column = f"{RAW_PREFIX}{where.column}"
    value = pl.col(column).cast(pl.String).str.strip_chars()
    if where.values is not None:
        return value.is_in([str(value) for value in where.values])
    if where.starts_with is not None:
        return value.str.starts_with(where.starts_with)

    def to_number(values: pl.Series) -> pl.Series:
        return number(values, notation(where.column))

    size = pl.col(column).map_batches(to_number, return_dtype=pl.Float64)
    return size < where.below if where.below is not None else size > where.above


def word_rule(column: Column, name: str, raw: str, words: Mapping[str, str]) -> Rule:
    """Reject words that a controlled vocabulary lacks; a missing value is no word."""

    def is_unknown(values: pl.Series) -> pl.Series:
        return parse.word(values, words).is_null() & parse.text(values).is_not_null()

    unknown = pl.col(f"{RAW_PREFIX}{raw}").map_batches(is_unknown, return_dtype=pl.Boolean)
    reason = f"{name} is none of {column.limits}; name the word under kinds"
    return Rule(f"{RAW_PREFIX}{raw}", reason, unknown)


def _drop_rule(drop: Drop, notation: NotationOf) -> Rule:
    return Rule(f"{RAW_PREFIX}{drop.column}", drop.reason, matches(drop, notation), dropped=True)


def _parse_rules(
    source: TableSource, dtype: DtypeOf, notation: NotationOf, local: str | None
) -> list[Rule]:
    """Reject damaged ids, and values that are no number, date or flag where one is expected."""
    rules = []
    for name, raw in source.columns.items():
        column, kind = f"{RAW_PREFIX}{raw}", dtype(name)
        if name in ID_COLUMNS:
            damaged = pl.col(name).str.contains(REPLACEMENT, literal=True)
            reason = f"{name} holds damaged letters; is the encoding right?"
            rules.append(Rule(column, reason, damaged))
            too_long = pl.col(name).str.len_bytes() > ID_BYTES
            rules.append(Rule(column, f"{name} has more than {ID_BYTES} letters", too_long))
        if kind is None or kind == pl.String:
            continue
        if kind == TS or (kind == DAY() and name != "line"):
            expected = _expected_date(source)
            rules += _unread_date_rules(name, column, source, local)
        else:
            expected = "yes or no" if kind == pl.Boolean else "a number"
        suspect = pl.col(name).is_null() & pl.col(column).is_not_null()
        value = pl.col(column).cast(pl.String)
        if expected == "a number":
            decimal = notation(raw).decimal
            other = value.str.contains(only_with_mark("," if decimal == "." else "."))
            reason = f"{name} has another decimal mark than {decimal!r}, the column's"
            rules.append(Rule(column, reason, suspect & other, suspect))
        missing = value.str.strip_chars().is_in(MISSING_NUMBER)
        rules.append(Rule(column, f"{name} is not {expected}", suspect & ~missing, suspect))
    return rules


def _expected_date(source: TableSource) -> str:
    if source.first_week is not None:
        return "a week"
    if source.date_format == parse.SPREADSHEET:
        return "a spreadsheet's number of a day"
    return f"a date of the form {source.date_format or 'YYYY-MM-DD[ HH:MM[:SS]]'}"


def _unread_date_rules(
    name: str, column: str, source: TableSource, local: str | None
) -> list[Rule]:
    """Reject dates that another key of the mapping would read, and name it."""
    if source.first_week is not None:
        return []
    suspect = pl.col(name).is_null() & pl.col(column).is_not_null()
    value = pl.col(column).cast(pl.String)
    rules = []
    form = source.date_format
    if local is None or form is not None:
        remedy = "set local_time_zone, the retailer's own, at the top of the mapping"
        if form is not None and "%z" not in form:
            remedy += ", and end date_format with %z"
        reason = f"{name} carries a time zone; {remedy}"
        zoned = value.str.strip_chars().str.contains(parse.ZONED)
        rules.append(Rule(column, reason, suspect & zoned, suspect))
    if form is None:
        reason = f'{name} is a spreadsheet\'s number of a day; set date_format = "spreadsheet"'
        is_day = value.str.contains(parse.SPREADSHEET_DAY)
        rules.append(Rule(column, reason, suspect & is_day, suspect))
    return rules


def _date_rules(table: Table, source: TableSource, dtype: DtypeOf, now: datetime) -> list[Rule]:
    """Reject dates before 1990, and future dates in tables of past events."""
    rules = []
    # One day of tolerance: the retailer and this machine may be in different time zones.
    end = now + timedelta(days=1)
    for name, raw in source.columns.items():
        kind = dtype(name)
        if name == "line" or kind not in (TS, DAY()):
            continue
        first: datetime | int = datetime(1990, 1, 1) if kind == TS else _FIRST_DAY
        last: datetime | int = end if kind == TS else to_day(end)
        column = f"{RAW_PREFIX}{raw}"
        rules.append(Rule(column, f"{name} is before 1990-01-01", pl.col(name) < first))
        if table.name in PAST_TABLES:
            rules.append(Rule(column, f"{name} {IN_FUTURE}", pl.col(name) > last))
    return rules


def _amount_rules(source: TableSource) -> list[Rule]:
    """Reject quantities and prices beyond the source's limits."""
    rules = []
    max_quantity, max_price = source.max_quantity, source.max_price
    for name, raw in source.columns.items():
        column = f"{RAW_PREFIX}{raw}"
        if name == "quantity" and source.cap_quantity is None:
            beyond = pl.col(name).abs() > max_quantity
            reason = f"quantity is beyond max_quantity = {max_quantity:,.10g}"
        elif name in _PRICES:
            beyond = pl.col(name) > max_price
            reason = f"{name} is beyond max_price = {max_price:,.10g}"
        elif name == "revenue":
            units = pl.col("quantity").abs() if "quantity" in source.columns else pl.lit(1.0)
            beyond = pl.col(name).abs() > max_price * pl.max_horizontal(units, 1.0)
            reason = f"revenue a unit is beyond max_price = {max_price:,.10g}"
        else:
            continue
        rules.append(Rule(column, reason, beyond))
    return rules
