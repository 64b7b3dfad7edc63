"""The quarantine files of a dataset: schema, location, reading, writing, redaction.

One row per rejected row, with its origin, its raw values as JSON and the reason. A second file
holds the rows that stopped the last import.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from features.columns import CUSTOMER_ID
from features.errors import NotFound
from features.ingest.source_columns import FAULT

EXAMPLES = 3

QUARANTINE_SCHEMA = pl.Schema(
    {
        "table": pl.String,
        "file": pl.String,
        "row": pl.Int64,
        "column": pl.String,
        "value": pl.String,
        "reason": pl.String,
        "dropped": pl.Boolean,
        # Line of the mapping file that requires the value or excludes the row.
        "mapping_line": pl.Int32,
        # Position of the source among the table's sources, and the raw values as JSON: both are
        # needed to read the row again.
        "source": pl.Int32,
        "record": pl.String,
        # Needed to erase a customer.
        "customer_id": pl.String,
    }
)
# Columns that may hold personal data.
PERSONAL_COLUMNS = ("value", "record", CUSTOMER_ID)
PolarsFrame = TypeVar("PolarsFrame", pl.DataFrame, pl.LazyFrame)


def quarantine_file(home: Path, dataset: str, *, stopped: bool = False) -> Path:
    """Return the path of a dataset's quarantine, or of the rows that stopped its last import."""
    return home / "quarantine" / f"{dataset}{'.stopped' if stopped else ''}.parquet"


def quarantine_files(home: Path, dataset: str) -> list[Path]:
    """Return the paths of both quarantine files of a dataset."""
    return [quarantine_file(home, dataset, stopped=stopped) for stopped in (False, True)]


def scan_quarantine(path: Path) -> pl.LazyFrame:
    """Scan a quarantine file; a missing file is an empty quarantine."""
    if not path.is_file():
        return pl.LazyFrame(schema=QUARANTINE_SCHEMA)
    # Files of older versions lack later columns; their tables had one source each.
    widened = pl.ScanCastOptions(integer_cast="upcast")
    return pl.scan_parquet(
        path, schema=QUARANTINE_SCHEMA, missing_columns="insert", cast_options=widened
    ).with_columns(pl.col("source").fill_null(0))


def write_quarantine(path: Path, rows: Iterable[pl.LazyFrame]) -> None:
    """Replace a quarantine file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft_file(path)
    pl.concat([pl.LazyFrame(schema=QUARANTINE_SCHEMA), *rows]).sink_parquet(draft)
    draft.replace(path)


def remove_draft(path: Path) -> None:
    """Remove the partial file that an interrupted write left beside a quarantine file."""
    _draft_file(path).unlink(missing_ok=True)


def _draft_file(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def exclude_files(
    rows: pl.LazyFrame, files: Mapping[str, Collection[tuple[int, str | None]]]
) -> pl.LazyFrame:
    """Drop the quarantined rows of files that an import has read again.

    Parameters
    ----------
    files
        By table, pairs of source number and file name.
    """
    imported = pl.DataFrame(
        [(table, source, file) for table, pairs in files.items() for source, file in pairs],
        schema={name: QUARANTINE_SCHEMA[name] for name in ("table", "source", "file")},
        orient="row",
    )
    return rows.join(imported.lazy(), on=imported.columns, how="anti", nulls_equal=True)


def redact_rows(quarantine: PolarsFrame, redacted: pl.Expr) -> PolarsFrame:
    """Null the personal columns of the rows where `redacted` is true; origin and reason stay."""
    return quarantine.with_columns(
        pl.when(~redacted).then(pl.col(name)).alias(name) for name in PERSONAL_COLUMNS
    )


def holds_customers(path: Path, customer_ids: pl.Series) -> bool:
    """Whether a quarantine file holds values of one of these customers."""
    rows = scan_quarantine(path).filter(_belongs_to(customer_ids))
    return rows.head(1).collect().height > 0


def redact_customers(path: Path, customer_ids: pl.Series) -> int:
    """Redact the rows of these customers in a quarantine file; returns their number."""
    rows = scan_quarantine(path)
    belongs = _belongs_to(customer_ids)
    count = int(rows.select(belongs.sum()).collect().item())
    if count:
        write_quarantine(path, [redact_rows(rows, belongs)])
    return count


def _belongs_to(customer_ids: pl.Series) -> pl.Expr:
    """Whether a row belongs to one of these customers.

    In an unreadable row the fields may be shifted, so that every field of its record is compared.
    """
    fields = [f':"{customer_id}"' for customer_id in customer_ids]
    shifted = pl.col("record").str.contains_any(fields) & (pl.col("column") == FAULT)
    by_id = pl.col(CUSTOMER_ID).is_in(customer_ids.implode()).fill_null(value=False)
    return by_id | shifted.fill_null(value=False)


def summarise_quarantine(
    home: Path, dataset: str, *, stopped: bool = False
) -> list[dict[str, Any]]:
    """Count quarantined rows by table, reason and column, with up to `EXAMPLES` examples each.

    Raises
    ------
    NotFound
        If the file does not exist.
    """
    path = quarantine_file(home, dataset, stopped=stopped)
    if not path.is_file():
        cause = "no import of it was stopped" if stopped else "nothing was imported into it"
        raise NotFound(f"Dataset {dataset!r} has no such quarantine: {cause}.", field="dataset")
    rows = scan_quarantine(path)
    example = pl.struct("file", "row", "value", "record").head(EXAMPLES)
    groups = rows.group_by(
        "table", "reason", "column", "dropped", "mapping_line", maintain_order=True
    ).agg(pl.len().alias("rows"), example.alias("examples"))
    return groups.sort("rows", descending=True, maintain_order=True).collect().to_dicts()
