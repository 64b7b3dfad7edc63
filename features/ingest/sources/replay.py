"""Rows in quarantine as a source: read again by today's mapping, as if they came anew.

Used by `foresell data quarantine NAME --replay`: what passes now goes in and leaves quarantine.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from features.ingest.line_numbers import LineIdentity
from features.ingest.mapping.schema import Mapping
from features.ingest.quarantine import scan_quarantine
from features.ingest.sources.mapped import Reading
from features.ingest.staging import SourceTable
from features.ingest.validation import FAULT, FILE, RAW, ROW
from features.tables import TABLES


def read_quarantined(path: Path, mapping: Mapping, now: datetime) -> list[SourceTable]:
    """Read quarantined rows as the mapping's tables.

    Parameters
    ----------
    path
        The quarantine's file.
    now
        The present instant; records after it are impossible.

    Raises
    ------
    InvalidInput
        If the mapping names a column that was not read when the rows came.
    """
    rows = scan_quarantine(path).filter(pl.col("record").is_not_null())
    tables = []
    for name, sources in mapping.tables.items():
        for number, source in enumerate(sources):
            mine = rows.filter(pl.col("table") == name, pl.col("source") == number)
            # What the treatments left is what stands in quarantine: they are not applied again.
            reading = Reading(TABLES[name], source, number, mapping, now)
            if mine.head(1).collect().height:
                tables.append(_source_table(reading, mine))
    return tables


def _source_table(reading: Reading, rows: pl.LazyFrame) -> SourceTable:
    columns = reading.source.source_columns
    first = json.loads(rows.select(pl.col("record").first()).collect().item())
    for column in columns:
        if column not in first:
            raise reading.mapping.at.error(
                f"the rows in quarantine were read without the column {column!r}; import their "
                "files again instead",
                reading.table.name,
                column,
                reading.number,
            )
    record = pl.Struct(dict.fromkeys([*columns, FAULT], pl.String()))
    frame = rows.select(
        pl.col("file").alias(FILE),
        pl.col("row").alias(ROW),
        pl.col("record").str.json_decode(record).struct.unnest(),
    ).rename({column: f"{RAW}{column}" for column in columns})
    places = rows.select(pl.col("file").unique()).collect().to_series().to_list()
    source = reading.as_source(frame, tuple(places))
    if source.lines is None:
        return source
    # They stood beside the lines that passed and correct none of them.
    return replace(source, lines=LineIdentity(()))
