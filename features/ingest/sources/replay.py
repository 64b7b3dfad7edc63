"""Quarantine as a source: quarantined rows in, source tables read by the current mapping out.

Rows that are valid now are imported and leave the quarantine.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from features.ingest.line_numbers import LineIdentity
from features.ingest.mapping.schema import Mapping
from features.ingest.quarantine import scan_quarantine
from features.ingest.source_columns import DECIMALS, FAULT, RAW_PREFIX, SOURCE_FILE, SOURCE_ROW
from features.ingest.source_table import SourceTable
from features.ingest.sources.mapped import SourceReader
from features.tables import TABLES


def read_quarantined(path: Path, mapping: Mapping, now: datetime) -> list[SourceTable]:
    """Return quarantined rows as source tables of the mapping.

    Parameters
    ----------
    path
        The quarantine file.
    now
        The present time; records after it are invalid.

    Raises
    ------
    InvalidInput
        If the mapping names a column that the quarantined rows lack.
    """
    rows = scan_quarantine(path).filter(pl.col("record").is_not_null())
    tables = []
    for name, sources in mapping.tables.items():
        for number, source in enumerate(sources):
            rows_of_source = rows.filter(pl.col("table") == name, pl.col("source") == number)
            # Without raw transforms: quarantine stores their results.
            decimals = _decimals(rows_of_source) if source.stated_decimal is None else {}
            reader = SourceReader(TABLES[name], source, number, mapping, now, decimals=decimals)
            if rows_of_source.head(1).collect().height:
                tables.append(_source_table(reader, rows_of_source))
    return tables


def _decimals(rows: pl.LazyFrame) -> dict[str, str]:
    """Return the decimal marks by which the newest of the rows were read."""
    name = DECIMALS.removeprefix(RAW_PREFIX)
    known = rows.select(pl.col("record").str.json_path_match(f"$['{name}']").drop_nulls().last())
    values = known.collect().to_series().drop_nulls()
    return json.loads(values[0]) if len(values) else {}


def _source_table(reader: SourceReader, rows: pl.LazyFrame) -> SourceTable:
    columns = reader.source.source_columns
    first = json.loads(rows.select(pl.col("record").first()).collect().item())
    for column in columns:
        if column not in first:
            raise reader.mapping.text.error(
                f"the rows in quarantine were read without the column {column!r}; import their "
                "files again instead",
                reader.table.name,
                column,
                reader.number,
            )
    record = pl.Struct(dict.fromkeys([*columns, FAULT], pl.String()))
    frame = rows.select(
        pl.col("file").alias(SOURCE_FILE),
        pl.col("row").alias(SOURCE_ROW),
        pl.col("record").str.json_decode(record).struct.unnest(),
    ).rename({column: f"{RAW_PREFIX}{column}" for column in columns})
    files = rows.select(pl.col("file").unique()).collect().to_series().to_list()
    table = reader.source_table(frame, tuple(files))
    table = replace(table, provenance=replace(reader.provenance, replayed=True))
    if table.line_identity is None:
        return table
    # Quarantined lines were never stored, so they correct no stored line.
    return replace(table, line_identity=LineIdentity(()))
