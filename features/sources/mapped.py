"""One's own data: a checked mapping file in, canonical tables with their rules out.

Used by `foresell data import MAPPING.toml`. Raw columns that rules speak of are carried as
`source:NAME`, so that a rejected row is reported with what its source wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from features.calendar import to_day
from features.errors import InvalidInput
from features.mapping import COMPUTED, Mapping, Scalar, TableSource
from features.quality import Rule, standard_rules
from features.sources import parse
from features.sources.database import read_query
from features.sources.files import FAULT, FILE, ROW, matching, scan_files
from features.staging import SourceTable
from features.tables import DAY, TABLES, TS, Table

_FIRST_DAY = to_day("1990-01-01")
# Tables that tell what has happened; the others may hold plans.
_PAST = ("orders", "sales", "touchpoints", "stock")
_IDS = ("customer_id", "product_id", "location_id", "order_id", "campaign_id")
_PART, _CAPPED, _TURNED = "source.part", "source.capped", "source.turned"
_SOUND, _NTH, _FIRST = "source.sound", "source.nth", "source.first"


@dataclass(frozen=True)
class _Part:
    """Canonical rows of one source of a table, and the rules that keep some of them out."""

    frame: pl.LazyFrame
    rules: list[Rule]


def read_mapped(mapping: Mapping, now: datetime, scratch: Path) -> list[SourceTable]:
    """Read every table that a mapping names.

    Parameters
    ----------
    now
        The present instant; records after it are impossible.
    scratch
        An empty folder for what has to be rewritten on the way.

    Raises
    ------
    InvalidInput
        If a file or database cannot be read, or lacks a column that the mapping names.
    """
    return [
        _table(TABLES[name], sources, mapping, now, scratch)
        for name, sources in mapping.tables.items()
    ]


def _table(
    table: Table, sources: list[TableSource], mapping: Mapping, now: datetime, scratch: Path
) -> SourceTable:
    parts = [
        _part(table, source, number, mapping, now, scratch) for number, source in enumerate(sources)
    ]
    frame = pl.concat([part.frame for part in parts], how="diagonal_relaxed")
    rules = [rule for part in parts for rule in part.rules]
    names = frame.collect_schema().names()
    checks = [*rules, *standard_rules(table, names)]
    sound = ~pl.any_horizontal(rule.fails.fill_null(value=False) for rule in checks)
    touched: dict[str, int] = {}
    if table.name == "orders":
        if not all("line" in source.columns for source in sources):
            overlapping = any(
                source.path is not None and len(matching(mapping.folder, source.path)) > 1
                for source in sources
            )
            frame = _numbered(frame, sound, overlapping=overlapping)
        flags = [name for name in (_CAPPED, _TURNED) if name in names]
        rows = frame.with_columns((pl.col(flag) & sound).alias(flag) for flag in flags).collect()
        reasons = {
            _CAPPED: "quantity above cap_quantity counted as it",
            _TURNED: "quantity or revenue of a return made negative",
        }
        counts = {reasons[flag]: int(rows.get_column(flag).sum()) for flag in flags}
        touched = {rule: count for rule, count in counts.items() if count}
        rows = rows.drop(flags)
    else:
        rows = frame.collect()
    order = [name for name in table.columns if name in rows.columns]
    rest = [name for name in rows.columns if name not in order]
    return SourceTable(table.name, rows.select(*order, *rest), rules, touched)


def _numbered(frame: pl.LazyFrame, sound: pl.Expr, *, overlapping: bool) -> pl.LazyFrame:
    """Give each line its number within its order, in the order in which they stand.

    Only rows that pass are counted, so that a bad one moves no other. Where several files may
    overlap, the n-th line of some content in one file is the n-th of that content in another:
    it gets the same number, and the import counts it as a duplicate.
    """
    counted = sound.cast(pl.Int32)
    if not overlapping:
        return frame.with_columns((counted.cum_sum().over("order_id") - 1).alias("line"))
    names = [name for name in frame.collect_schema().names() if name in TABLES["orders"].columns]
    content = [*names, _PART, _SOUND]
    again = [*content, _NTH]
    return (
        frame.with_columns(counted.alias(_SOUND))
        .with_columns(pl.int_range(pl.len()).over(FILE, *content).alias(_NTH))
        .with_columns((pl.int_range(pl.len()).over(again) == 0).alias(_FIRST))
        .with_columns((pl.col(_SOUND) * pl.col(_FIRST)).cum_sum().over("order_id").alias("line"))
        .with_columns((pl.col("line").first().over(again) - 1).cast(pl.Int32).alias("line"))
        .drop(_SOUND, _NTH, _FIRST)
    )


def _raw(name: str) -> str:
    return f"source:{name}"


def _part(
    table: Table,
    source: TableSource,
    number: int,
    mapping: Mapping,
    now: datetime,
    scratch: Path,
) -> _Part:
    frame = _scan(source, mapping.folder, scratch)
    frame = frame.rename({name: _raw(name) for name in source.source_columns})
    schema = frame.collect_schema()
    read = _reader(source, schema, mapping.local_time_zone)
    values = {name: read(name, _dtype(table, name), raw) for name, raw in source.columns.items()}
    values |= {
        name: _constant(name, value, _dtype(table, name))
        for name, value in source.constants.items()
    }
    frame = frame.with_columns(expr.alias(name) for name, expr in values.items())
    here = pl.col(_PART) == number
    rules = [
        Rule(FAULT, "the row cannot be read", pl.col(FAULT).is_not_null()),
        *_drops(source, read),
        *_unreadable(table, source),
        *_impossible(table, source, now),
    ]
    frame = _completed(table, frame, list(values))
    if table.name == "orders":
        frame, more = _signed(source, frame, list(values))
        rules += more
    if table.open_ended:
        return _attributes(table, source, frame, rules)
    carried = {FILE, ROW, FAULT, *COMPUTED.get(table.name, {})}
    carried |= {rule.column for rule in rules}
    names = frame.collect_schema().names()
    canonical = [name for name in names if name in table.columns]
    kept = [name for name in names if name in carried or name in (_CAPPED, _TURNED)]
    frame = frame.select(
        *canonical,
        *(
            pl.col(name).cast(pl.String) if name.startswith("source:") else pl.col(name)
            for name in kept
            if name not in canonical
        ),
        pl.lit(number, dtype=pl.Int32).alias(_PART),
    )
    return _Part(frame, [Rule(rule.column, rule.reason, here & rule.fails) for rule in rules])


def _attributes(table: Table, source: TableSource, frame: pl.LazyFrame, rules: list[Rule]) -> _Part:
    """Finish a table that keeps every column it is given: nothing else may be carried.

    A row that cannot be read loses its key, and is kept out for that.
    """
    key = table.key[0]
    by_raw = {_raw(raw): name for name, raw in source.columns.items()}
    lost = pl.col(FAULT).is_not_null()
    for rule in rules[1:]:
        if rule.column not in by_raw:
            raise InvalidInput(
                f"[{table.name}] drop names the column "
                f"{rule.column.removeprefix('source:')!r}, which is not among its columns; "
                "add it to columns.",
                field=f"{table.name}.drop",
            )
        lost |= rule.fails.fill_null(value=False)
    names = [*source.columns, *source.constants]
    keyed = frame.with_columns(pl.when(~lost).then(pl.col(key)).alias(key))
    return _Part(keyed.select(names), [])


def _scan(source: TableSource, folder: Path, scratch: Path) -> pl.LazyFrame:
    if source.url is not None and source.query is not None:
        return read_query(source.url, source.query, source.source_columns)
    return scan_files(
        folder,
        str(source.path),
        source.source_columns,
        encoding=source.encoding,
        delimiter=source.delimiter,
        scratch=scratch,
    )


def _dtype(table: Table, name: str) -> pl.DataType | None:
    """Type that a column of the mapping becomes; None for an attribute, which stays as it is."""
    if name in table.columns:
        dtype = table.columns[name].dtype
        return dtype if isinstance(dtype, pl.DataType) else dtype()
    if name in COMPUTED.get(table.name, {}):
        return DAY() if name.endswith("day") else pl.Float64()
    return None


Read = Callable[[str, pl.DataType | None, str], pl.Expr]


def _reader(source: TableSource, schema: pl.Schema, local: str | None) -> Read:
    """Return how a raw column of this source is read as a canonical type."""

    def read(name: str, dtype: pl.DataType | None, raw: str) -> pl.Expr:
        column, given = _raw(raw), schema[_raw(raw)]
        if dtype is None:
            return parse.text(column) if given == pl.String else pl.col(column)
        if dtype == pl.String:
            return parse.identity(column, given) if name in _IDS else parse.text(column)
        if dtype == pl.Boolean:
            return parse.flag(column, given)
        if dtype == TS or (dtype == DAY and (name == "day" or name.endswith("_day"))):
            found = parse.instant(column, given, source.date_format, source.time_zone, local)
            return found if dtype == TS else found.dt.date().cast(DAY)
        return parse.number(column, given, source.decimal).cast(dtype, strict=False)

    return read


def _constant(name: str, value: Scalar, dtype: pl.DataType | None) -> pl.Expr:
    if dtype == DAY() and name != "line" and isinstance(value, str | date):
        return pl.lit(to_day(value), dtype=DAY)
    try:
        return pl.lit(pl.Series([value]).cast(dtype)[0] if dtype else value, dtype=dtype)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(
            f"constants.{name} = {value!r} cannot be {dtype}.", field=f"constants.{name}"
        ) from error


def _drops(source: TableSource, read: Read) -> list[Rule]:
    rules = []
    for drop in source.drop:
        column = _raw(drop.column)
        if drop.values is not None:
            fails = parse.text(column, []).is_in([str(value) for value in drop.values])
        elif drop.starts_with is not None:
            fails = parse.text(column).str.starts_with(drop.starts_with)
        else:
            value = read(drop.column, pl.Float64(), drop.column)
            fails = value < drop.below if drop.below is not None else value > drop.above
        rules.append(Rule(column, drop.reason, fails))
    return rules


def _unreadable(table: Table, source: TableSource) -> list[Rule]:
    """Something is written where a number, a date or a yes is expected, and is none."""
    rules = []
    for name, raw in source.columns.items():
        column, dtype = _raw(raw), _dtype(table, name)
        if dtype is None:
            continue
        if dtype == pl.String:
            if name in _IDS:
                damaged = pl.col(name).str.contains("\ufffd", literal=True)
                rules.append(
                    Rule(column, f"{name} holds damaged letters; is the encoding right?", damaged)
                )
            continue
        if dtype == TS or (dtype == DAY and name != "line"):
            kind = f"a date of the form {source.date_format or 'YYYY-MM-DD[ HH:MM[:SS]]'}"
        else:
            kind = "yes or no" if dtype == pl.Boolean else "a number"
        fails = parse.written(column) & pl.col(name).is_null()
        rules.append(Rule(column, f"{name} is not {kind}", fails))
    return rules


def _impossible(table: Table, source: TableSource, now: datetime) -> list[Rule]:
    rules = []
    # A day's grace: the retailer's clock and this machine's may stand in different zones.
    end = now + timedelta(days=1)
    for name, raw in source.columns.items():
        dtype = _dtype(table, name)
        if name == "line" or dtype not in (TS, DAY()):
            continue
        first: datetime | int = datetime(1990, 1, 1) if dtype == TS else _FIRST_DAY
        last: datetime | int = end if dtype == TS else to_day(end)
        column = _raw(raw)
        rules.append(Rule(column, f"{name} is before 1990-01-01", pl.col(name) < first))
        if table.name in _PAST:
            rules.append(Rule(column, f"{name} lies in the future", pl.col(name) > last))
    return rules


def _completed(table: Table, frame: pl.LazyFrame, names: list[str]) -> pl.LazyFrame:
    """Add what a table's definition derives: days of instants, ends of promotions."""
    if "ts" in table.columns and "ts" not in names:
        epoch = pl.lit(datetime(1970, 1, 1), dtype=TS)
        frame = frame.with_columns((epoch + pl.duration(days=pl.col("day"))).alias("ts"))
    if "ts" in table.columns and "day" not in names:
        frame = frame.with_columns(pl.col("ts").dt.date().cast(DAY).alias("day"))
    if "last_day" in names:
        frame = frame.with_columns((pl.col("last_day") + 1).cast(DAY).alias("to_day"))
    if "order_id" in table.columns and table.name == "orders" and "order_id" not in names:
        keys = [pl.col(name) for name in ("customer_id", "location_id") if name in names]
        day = pl.col("day").cast(pl.Date).cast(pl.String)
        made = pl.concat_str([*keys, day], separator="/", ignore_nulls=True)
        frame = frame.with_columns(made.alias("order_id"))
    return frame


def _signed(
    source: TableSource, frame: pl.LazyFrame, names: list[str]
) -> tuple[pl.LazyFrame, list[Rule]]:
    """Give order lines their quantity, revenue and kind, returns negative in both."""
    rules: list[Rule] = []
    money = next((name for name in ("revenue", "unit_price") if name in names), None)
    quantity = pl.col("quantity") if "quantity" in names else pl.lit(1.0)
    back = quantity < 0
    if "quantity" not in names and money is not None:
        back |= (pl.col(money) < 0).fill_null(value=False)
    if "kind" in names:
        back |= (pl.col("kind") == "return").fill_null(value=False)
    if source.returns is not None:
        back |= _is_return(source).fill_null(value=False)
    if "unit_price" in names and "quantity" in names:
        price = source.columns.get("unit_price")
        rules.append(
            Rule(
                _raw(price) if price else "quantity",
                "unit_price is negative",
                pl.col("unit_price") < 0,
            )
        )
    if "quantity" in source.columns:
        rules.append(Rule(_raw(source.columns["quantity"]), "no units", pl.col("quantity") == 0))
    if "revenue" in source.columns and "quantity" in names:
        below = (pl.col("revenue") < 0) & (pl.col("kind") == "sale")
        rules.append(Rule(_raw(source.columns["revenue"]), "a sale with a negative revenue", below))
    frame = frame.with_columns(
        quantity.alias("quantity"),
        pl.when(back).then(pl.lit("return")).otherwise(pl.lit("sale")).alias("kind"),
    )
    if "unit_price" in names:
        frame = frame.with_columns((pl.col("quantity") * pl.col("unit_price")).alias("revenue"))
    returned = pl.col("kind") == "return"
    positive = pl.col("quantity") > 0 if "quantity" in names else pl.lit(value=False)
    if money is not None:
        positive |= (pl.col("revenue") > 0).fill_null(value=False)
    frame = frame.with_columns((returned & positive).alias(_TURNED))
    turned = ["quantity"] if money is None else ["quantity", "revenue"]
    frame = frame.with_columns(
        pl.when(returned).then(-pl.col(name).abs()).otherwise(pl.col(name)).alias(name)
        for name in turned
    )
    if source.cap_quantity is not None:
        cap = source.cap_quantity
        frame = frame.with_columns((pl.col("quantity").abs() > cap).alias(_CAPPED)).with_columns(
            pl.col("quantity").clip(-cap, cap)
        )
    return frame, rules


def _is_return(source: TableSource) -> pl.Expr:
    rule = source.returns
    if rule is None:
        return pl.lit(value=False)
    value = parse.text(_raw(rule.column))
    if rule.starts_with is not None:
        return value.str.starts_with(rule.starts_with)
    if rule.ends_with is not None:
        return value.str.ends_with(rule.ends_with)
    return value == str(rule.equals)
