"""The quarantine: every row that was kept out, with where it stood, what it said and why.

`intake` writes it; `foresell data quarantine` shows it and has its rows read again.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import NotFound
from features.ingest.validation import QUARANTINE_SCHEMA

EXAMPLES = 3


def quarantine_file(home: Path, dataset: str, *, stopped: bool = False) -> Path:
    """Where a dataset's quarantine lies, or the rows that made its last import stop."""
    return home / "quarantine" / f"{dataset}{'.stopped' if stopped else ''}.parquet"


def scan_quarantine(path: Path) -> pl.LazyFrame:
    """Read a quarantine; one that was never written is empty."""
    if not path.is_file():
        return pl.LazyFrame(schema=QUARANTINE_SCHEMA)
    # Written before a column was added, it has none of it, and its rows came from one source.
    widened = pl.ScanCastOptions(integer_cast="upcast")
    return pl.scan_parquet(
        path, schema=QUARANTINE_SCHEMA, missing_columns="insert", cast_options=widened
    ).with_columns(pl.col("source").fill_null(0))


def write_quarantine(path: Path, rows: Iterable[pl.LazyFrame]) -> None:
    """Replace a quarantine as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    pl.concat([pl.LazyFrame(schema=QUARANTINE_SCHEMA), *rows]).sink_parquet(draft)
    draft.replace(path)


def elsewhere(
    rows: pl.LazyFrame, places: Mapping[str, Collection[tuple[int, str | None]]]
) -> pl.LazyFrame:
    """Rows from other files than those named, which are table by table (source, file).

    What an import read is told anew; the rest stays.
    """
    read = pl.DataFrame(
        [(table, source, file) for table, here in places.items() for source, file in here],
        schema={name: QUARANTINE_SCHEMA[name] for name in ("table", "source", "file")},
        orient="row",
    )
    return rows.join(read.lazy(), on=read.columns, how="anti", nulls_equal=True)


def summary(home: Path, dataset: str, *, stopped: bool = False) -> list[dict[str, Any]]:
    """Group a quarantine by table, reason and column, each with a few examples.

    Raises
    ------
    NotFound
        If the dataset has none.
    """
    path = quarantine_file(home, dataset, stopped=stopped)
    if not path.is_file():
        what = "no import of it was stopped" if stopped else "nothing was imported into it"
        raise NotFound(f"Dataset {dataset!r} has no such quarantine: {what}.", field="dataset")
    rows = scan_quarantine(path)
    example = pl.struct("file", "row", "value", "record").head(EXAMPLES)
    groups = rows.group_by(
        "table", "reason", "column", "dropped", "mapping_line", maintain_order=True
    ).agg(pl.len().alias("rows"), example.alias("examples"))
    return groups.sort("rows", descending=True, maintain_order=True).collect().to_dicts()
