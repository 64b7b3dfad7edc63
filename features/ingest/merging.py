"""Merge of staged rows with the stored rows of a table: parts in, parts and a report out.

Memory is bounded by the size of a part: rows with one key are in the same part.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from features.columns import PRODUCT_ID
from features.errors import InvalidInput
from features.identity import keep_first_import
from features.ingest.event_lines import is_superseded
from features.ingest.line_numbers import LINE_FILE, number_lines
from features.ingest.repeated_keys import (
    ADDED_UP,
    KEY_FILE,
    ORIGIN,
    DistinctRows,
    distinct_rows,
    in_source,
)
from features.ingest.report import TableReport
from features.ingest.staging import StagedSource, collapse_by_key
from features.storage.snapshots import SOURCE, part_count, part_number, scan_parts, write_part
from features.tables import TABLES, Table

# Columns of staged rows that are not stored.
HELPERS = (LINE_FILE, *ORIGIN)
NOT_IN_CATALOGUE = "product is not in the catalogue"


@dataclass
class _Counts:
    """Row counts over the parts of a table.

    Attributes
    ----------
    arrived, distinct
        Staged rows, and rows after those with equal keys are reduced to one.
    duplicates, replaced
        Distinct rows that equal a stored row, or replace one.
    total
        Rows of the merged table.
    unknown_products
        Distinct rows with a product that is not in the catalogue.
    added_up
        Rows that were added to others with the same key.
    """

    arrived: int = 0
    distinct: int = 0
    duplicates: int = 0
    replaced: int = 0
    total: int = 0
    unknown_products: int = 0
    added_up: int = 0

    def add_repeated(self, distinct: DistinctRows, old: pl.DataFrame, key: list[str]) -> None:
        """Count rows beyond the first of each key that are no duplicates in the import."""
        surplus, equal, former = distinct.count(old, key)
        self.distinct += surplus
        self.duplicates += equal
        self.replaced += former
        self.added_up += distinct.added_up


def merge_table(
    folder: Path,
    stored: Sequence[str],
    staged: list[StagedSource],
    catalogue: pl.Series | None,
    rows_per_part: int,
    import_number: int | None,
) -> tuple[list[str], TableReport]:
    """Merge staged rows of one table with the stored ones, and write changed parts.

    Parameters
    ----------
    folder
        The dataset's folder.
    stored
        Names of the table's parts.
    staged
        Sources of the table; rows of a later source replace those of an earlier one.
    catalogue
        Known product ids, to count rows with other products; None to skip the count.
    import_number
        For tables of links, the value of `since` in new rows; None for other tables.

    Returns
    -------
    The names of the merged table's parts, and the report.
    """
    table = TABLES[staged[0].source.name]
    stored_schema = scan_parts(folder, stored).collect_schema() if stored else pl.Schema()
    schema = _merged_schema(table, stored_schema, [source.schema for source in staged])
    key = [column for column in table.key if column in schema]
    staged_rows = sum(source.row_count for source in staged)
    count = max(len(stored), part_count(staged_rows, rows_per_part))
    for source in staged:
        source.repartition(count)
    stored = repartition(folder, table, stored, count)
    counts = _Counts()
    names: list[str] = []
    for number in range(count):
        old, fresh, is_whole = _rows_of_part(folder, stored, staged, number, count, schema, key)
        counts.arrived += fresh.height
        fresh = _one_row_per_key(table, staged, fresh, old, key, counts)
        if import_number is not None:
            fresh = keep_first_import(fresh, old, key, import_number)
        counts.distinct += fresh.height
        counts.unknown_products += _count_unknown_products(fresh, catalogue)
        merged, duplicates, replaced = _merge_rows(old, fresh, key)
        counts.duplicates += duplicates
        counts.replaced += replaced
        counts.total += merged.height
        if stored and merged is old and is_whole and stored_schema == schema:
            names.append(stored[number])
        else:
            names.append(write_part(folder, table.name, merged))
    names = repartition(folder, table, names, part_count(counts.total, rows_per_part))
    return names, _report(staged, counts)


def _rows_of_part(
    folder: Path,
    stored: Sequence[str],
    staged: list[StagedSource],
    number: int,
    count: int,
    schema: pl.Schema,
    key: list[str],
) -> tuple[pl.DataFrame, pl.DataFrame, bool]:
    """Return stored and arriving rows of a part, and whether the stored ones are all that it has.

    Lines of the event log are left out where the records have their order.
    """
    old = pl.DataFrame(schema=schema)
    if stored:
        old = _align(scan_parts(folder, stored[number : number + 1]).collect(), schema)
    superseded = is_superseded(staged, old, number, count)
    if superseded is None:
        return old, _arriving_rows(staged, number, count, old, key), True
    kept = old.filter(~superseded)
    fresh = _arriving_rows(staged, number, count, kept, key).filter(~superseded)
    return kept, fresh, kept.height == old.height


def _report(staged: list[StagedSource], counts: _Counts) -> TableReport:
    touched = Counter({ADDED_UP: counts.added_up})
    noted = Counter({NOT_IN_CATALOGUE: counts.unknown_products})
    for source in staged:
        touched.update(source.source.touched)
        touched.update(source.touched)
        noted.update(source.noted)
    collapsed = sum(source.collapsed for source in staged)
    return TableReport(
        read=sum(source.read for source in staged),
        accepted=counts.distinct - counts.duplicates,
        quarantined=sum(source.failing + source.dropped for source in staged),
        duplicates=counts.arrived + collapsed - counts.distinct + counts.duplicates,
        replaced=counts.replaced,
        touched={rule: rows for rule, rows in touched.items() if rows},
        dropped=sum(source.dropped for source in staged),
        noted={remark: rows for remark, rows in noted.items() if rows},
    )


def _arriving_rows(
    staged: list[StagedSource], number: int, count: int, old: pl.DataFrame, key: list[str]
) -> pl.DataFrame:
    """Concatenate one part of all sources, numbered by line and sorted stably by key."""
    has_origin = any(KEY_FILE in source.schema for source in staged)
    schema = pl.Schema({**old.schema, **(ORIGIN if has_origin else {})})
    fresh = pl.DataFrame(schema=schema)
    for position, source in enumerate(staged):
        rows = source.read_part(number, count)
        identity = source.source.line_identity
        if identity is None:
            arriving = _align(rows, schema)
        else:
            with_file = pl.Schema({**old.schema, LINE_FILE: pl.String()})
            known = pl.concat([old, fresh.select(old.columns)]) if fresh.height else old
            arriving = number_lines(_align(rows, with_file), known, identity)
        if has_origin:
            arriving = in_source(arriving, position).select(schema.names())
        fresh = pl.concat([fresh, arriving]) if fresh.height else arriving
    return fresh if _is_sorted(fresh, key) else fresh.sort(key, maintain_order=True)


def _is_sorted(rows: pl.DataFrame, key: list[str]) -> bool:
    """Whether rows without missing key values are sorted: far cheaper than to sort them."""
    if sum(rows.select(key).null_count().row(0)):
        return False
    ordered = pl.lit(True)  # noqa: FBT003
    for name in reversed(key):
        former = pl.col(name).shift()
        ordered = (pl.col(name) > former) | ((pl.col(name) == former) & ordered)
    return bool(rows.select(ordered.all()).item())


def _one_row_per_key(
    table: Table,
    staged: list[StagedSource],
    rows: pl.DataFrame,
    old: pl.DataFrame,
    key: list[str],
    counts: _Counts,
) -> pl.DataFrame:
    """Reduce rows sorted by key to one per key: their sum, the last, or the last attributes."""
    if KEY_FILE in rows.columns:
        distinct = distinct_rows(table, rows, key)
        counts.add_repeated(distinct, old, key)
        return distinct.rows
    if table.open_ended:
        return collapse_by_key(rows, key)
    if len(staged) == 1 and staged[0].source.unique:
        return rows
    is_last = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in key)
    return rows.filter(is_last)


def _count_unknown_products(rows: pl.DataFrame, catalogue: pl.Series | None) -> int:
    if catalogue is None or PRODUCT_ID not in rows.columns:
        return 0
    products = rows.get_column(PRODUCT_ID).drop_nulls()
    return products.len() - int(products.is_in(catalogue.implode()).sum())


def _merged_schema(table: Table, stored: pl.Schema, staged: list[pl.Schema]) -> pl.Schema:
    """Return the columns of all schemas: canonical ones in their order, then others by name.

    Raises
    ------
    InvalidInput
        If a column arrives with another type than the stored one.
    """
    frames = [pl.DataFrame(schema=schema) for schema in staged]
    fresh = pl.concat(frames, how="diagonal_relaxed").schema
    for name, dtype in fresh.items():
        if stored.get(name, dtype) != dtype:
            raise InvalidInput(
                f"Column {name} of {table.name} is stored as {stored[name]} and arrives as "
                f"{dtype}; convert it to {stored[name]}, or import into a new dataset.",
                field=f"{table.name}.{name}",
            )
    columns: dict[str, pl.DataType | type[pl.DataType]] = {**stored, **fresh}
    if any(LINE_FILE in schema for schema in staged):
        columns["line"] = table.columns["line"].dtype
    others = sorted(name for name in columns if name not in table.columns and name not in HELPERS)
    ordered = [name for name in (*table.columns, *others) if name in columns]
    return pl.Schema({name: columns[name] for name in ordered})


def _align(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return the columns of a schema; columns that the frame lacks are null."""
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )


def _merge_rows(
    old: pl.DataFrame, fresh: pl.DataFrame, key: list[str]
) -> tuple[pl.DataFrame, int, int]:
    """Merge fresh rows into old ones by key.

    Rows are equal if their content is, whichever sources they come from.

    Returns
    -------
    The merged rows, the number of fresh rows that equal an old one, and the number that replace
    one. If nothing changes, the frame is `old` itself.
    """
    if fresh.is_empty():
        return old, 0, 0
    if old.is_empty():
        return fresh, 0, 0
    if old.equals(fresh):
        return old, fresh.height, 0
    same_key = fresh.join(old, on=key, how="semi", nulls_equal=True)
    content = [name for name in fresh.columns if name != SOURCE]
    equal = same_key.join(old, on=content, how="semi", nulls_equal=True).height
    if equal == fresh.height:
        return old, equal, 0
    remaining = old.join(fresh, on=key, how="anti", nulls_equal=True)
    return pl.concat([remaining, fresh]).sort(key), equal, same_key.height - equal


def repartition(folder: Path, table: Table, parts: Sequence[str], count: int) -> list[str]:
    """Rewrite a table's parts as `count` parts; returns their names."""
    if len(parts) in (0, count):
        return list(parts)
    names = []
    for number in range(count):
        # Both numbers are powers of two: a part's rows come from every count-th of more parts,
        # or from one of fewer parts.
        rows = scan_parts(folder, parts[number % len(parts) :: count])
        columns = rows.collect_schema().names()
        in_part = rows.filter(part_number(table, columns, count) == number).collect()
        key = [column for column in table.key if column in columns]
        names.append(write_part(folder, table.name, in_part.sort(key)))
    return names
