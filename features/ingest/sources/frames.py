"""Frames in memory as a source: frames of canonical columns in, `SourceTable`s out.

A frame is a source whose columns have canonical names, and is parsed and checked like a file.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InvalidInput
from features.frames import to_polars
from features.ingest.mapping.file import MAPPED_TABLES, missing_columns, read_source
from features.ingest.mapping.position import MappingText
from features.ingest.mapping.schema import COMPUTED, Identity, TableSource
from features.ingest.mapping.schema import Mapping as SourceMapping
from features.ingest.source_columns import FAULT, RAW_PREFIX, SOURCE_FILE, SOURCE_ROW
from features.ingest.source_table import SourceTable
from features.ingest.sources.mapped import SourceReader, table_of_rows
from features.tables import DAY, TABLES

# The name of a frame where a file would have a path.
FRAME = "frame"
_TEXT = MappingText(Path("frames"), "")


def read_frames(
    frames: Mapping[str, Any], local_time_zone: str | None, now: datetime
) -> tuple[list[SourceTable], dict[str, list[str]]]:
    """Return frames as source tables, and the columns that are not used by table.

    Parameters
    ----------
    frames
        Frame by canonical table. Columns have canonical names, or those that a mapping computes
        from (`unit_price`, `last_day`). Days are dates, or days since 1970-01-01.
    local_time_zone
        The retailer's time zone, for timestamps with a zone.
    now
        The present time; records after it are invalid.

    Raises
    ------
    InvalidInput
        If a table is unknown, or a frame lacks a column that cannot be derived.
    """
    sources: dict[str, list[TableSource]] = {}
    rows: dict[str, pl.DataFrame] = {}
    unused: dict[str, list[str]] = {}
    for table, native in frames.items():
        rows[table], unused[table] = _rows(table, native)
        # Tables from one frame share a path, by which attributes of order lines are recognised.
        path = next(other for other, frame in frames.items() if frame is native)
        columns = {name: name for name in rows[table].columns}
        raw = {"path": path, "columns": columns}
        sources[table] = [read_source(_TEXT, table, 0, raw, Identity())]
    mapping = SourceMapping(
        name="frames",
        folder=Path(),
        local_time_zone=local_time_zone,
        tables=sources,
        text=_TEXT,
    )
    tables = [
        _source_table(SourceReader(TABLES[table], source, 0, mapping, now), rows[table])
        for table, (source,) in sources.items()
    ]
    return tables, {table: names for table, names in unused.items() if names}


def _rows(table: str, native: Any) -> tuple[pl.DataFrame, list[str]]:
    """Return the columns of a frame that its table has, and the names of the others."""
    if table not in MAPPED_TABLES:
        raise InvalidInput(
            f"There is no table {table!r}; use one of {', '.join(MAPPED_TABLES)}.", field=table
        )
    definition = TABLES[table]
    frame = to_polars(native, table)
    known = [*definition.columns, *COMPUTED.get(table, {})]
    unused = [] if definition.open_ended else [n for n in frame.columns if n not in known]
    frame = frame.drop(unused)
    for name, text in missing_columns(definition, frame.columns).items():
        raise InvalidInput(
            f"Table {table} lacks the column {text!r} ({definition.columns[name].meaning}); its "
            f"frame has {', '.join([*frame.columns, *unused])}.",
            field=f"{table}.{name}",
        )
    days = [
        pl.col(name).cast(DAY, strict=False).cast(pl.Date)
        for name, dtype in frame.schema.items()
        if dtype.is_numeric() and (name == "last_day" or _is_day(table, name))
    ]
    return frame.with_columns(days), unused


def _is_day(table: str, name: str) -> bool:
    column = TABLES[table].columns.get(name)
    return column is not None and column.dtype == DAY and name != "line"


def _source_table(reader: SourceReader, frame: pl.DataFrame) -> SourceTable:
    located = (
        frame.rename({name: f"{RAW_PREFIX}{name}" for name in frame.columns})
        .with_row_index(SOURCE_ROW)
        .with_columns(
            pl.col(SOURCE_ROW).cast(pl.Int64),
            pl.lit(FRAME).alias(SOURCE_FILE),
            pl.lit(None, dtype=pl.String).alias(FAULT),
        )
    )
    return table_of_rows(reader, located.lazy(), (FRAME,))
