"""Snapshots of a dataset on disk: content-addressed parts, and manifests that name them.

In `<home>/datasets/<name>/`, `tables/` has Parquet parts, `snapshots/<id>.json` the names of the
parts of each table, `sources/<id>.json` the sources of its rows (`features.ingest.provenance`), and
`HEAD` the name of the current snapshot.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InvalidInput
from features.tables import ID, Table

_DATASETS = "datasets"
_TABLES = "tables"
_SNAPSHOTS = "snapshots"
_SOURCES = "sources"
_RESULTS = "results"
_HEAD = "HEAD"

# Column of a stored row with the number of its source; null for rows without a recorded source.
SOURCE = "#source"
# Approximate number of rows of a part, which an import holds in memory at once.
ROWS_PER_PART = 1_000_000

_PRIME = 2**31 - 1
_FACTOR = 48271  # a full-period multiplier modulo this prime (Park, Miller and Stockmeyer 1993)
_WORD = 8  # bytes
_PAD = "\0" * _WORD  # padding on both sides: texts have at least two words
_WORDS = (8, 16, 24, 32, -16)  # offsets: the first 32 bytes and the last 8


def dataset_folder(home: Path, name: str) -> Path:
    """Return the folder of a dataset.

    Raises
    ------
    InvalidInput
        If the name has other characters than letters, digits, - and _.
    """
    if not name or not all(part.isalnum() for part in name.replace("_", "-").split("-")):
        raise InvalidInput(
            f"Dataset name {name!r} may hold letters, digits, - and _ only.", field="dataset"
        )
    return home / _DATASETS / name


def list_datasets(home: Path) -> list[str]:
    """List the datasets under `home`."""
    return sorted(path.parent.name for path in (home / _DATASETS).glob(f"*/{_HEAD}"))


def part_count(rows: int, rows_per_part: int = ROWS_PER_PART) -> int:
    """Return the number of parts of a table with some number of rows: a power of two."""
    return 1 << max(0, -(-rows // rows_per_part) - 1).bit_length()


def part_number(table: Table, columns: Sequence[str], count: int) -> pl.Expr:
    """Return the part of a row among `count` parts, by a hash of the ids in its key.

    Unlike the hash of Polars, it is equal on every machine and in every version. A missing id is
    hashed as an empty one. With twice as many parts, the rows of part p are in p and p + count.
    """
    present = [pl.col(name).fill_null("") for name in _key_ids(table, columns)]
    padded = pl.concat_str(pl.lit(_PAD), *present, pl.lit(_PAD)).cast(pl.Binary)
    mixed = pl.lit(0, dtype=pl.UInt64)
    for start in _WORDS:
        word = padded.bin.slice(start, _WORD).bin.reinterpret(dtype=pl.UInt64).fill_null(0)
        mixed = (mixed * _FACTOR + word % _PRIME) % _PRIME
    return mixed * _FACTOR % _PRIME % count


def part_numbers(table: Table, rows: pl.DataFrame, count: int) -> pl.Series:
    """Return the part of each row; the ids of neighbours are hashed once if they are equal."""
    ids = rows.select(_key_ids(table, rows.columns))
    run = ids.select(pl.struct(pl.all()).rle_id()).to_series()
    first = ids.filter(run.ne_missing(run.shift()))
    return first.select(part_number(table, ids.columns, count)).to_series().gather(run)


def _key_ids(table: Table, columns: Sequence[str]) -> list[str]:
    return [name for name in table.key if table.columns[name].dtype == ID and name in columns]


def write_part(folder: Path, table: str, frame: pl.DataFrame) -> str:
    """Write rows to a part named by the hash of its content; return the name."""
    tables = folder / _TABLES
    tables.mkdir(parents=True, exist_ok=True)
    draft = tables / f".{table}.{os.getpid()}.parquet"
    frame.rechunk().write_parquet(draft, compression="zstd", row_group_size=ROWS_PER_PART // 4)
    with draft.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        os.fsync(stream.fileno())
    name = f"{table}-{digest}.parquet"
    draft.replace(tables / name)
    return name


def scan_parts(folder: Path, parts: Sequence[str]) -> pl.LazyFrame:
    """Scan the rows of some parts of one table."""
    return pl.scan_parquet([folder / _TABLES / part for part in parts])


def scan_table(folder: Path, parts: Sequence[str]) -> pl.LazyFrame:
    """Scan the rows of some parts of one table, without the numbers of their sources."""
    return scan_parts(folder, parts).drop(SOURCE, strict=False)


def read_head(folder: Path) -> str:
    """Return the name of the current snapshot."""
    return (folder / _HEAD).read_text().strip()


def read_snapshot(folder: Path, snapshot: str) -> dict[str, list[str]]:
    """Return the names of the parts of each table in a snapshot."""
    parts: dict[str, str | list[str]] = json.loads(_manifest(folder, snapshot).read_text())
    # Manifests of older versions name one file per table.
    return {table: [names] if isinstance(names, str) else names for table, names in parts.items()}


def read_sources(folder: Path, snapshot: str) -> list[dict[str, Any]] | None:
    """Return the recorded sources of a snapshot's rows; None if older code wrote it."""
    path = _sources_file(folder, snapshot)
    if not path.is_file():
        return None
    sources: list[dict[str, Any]] = json.loads(path.read_text())
    return sources


def commit_snapshot(
    folder: Path,
    parts: Mapping[str, Sequence[str]],
    sources: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Make some parts the current snapshot; return its name, a hash of the manifest.

    `HEAD` is written last: after a crash before that, the former snapshot stays current.

    Parameters
    ----------
    sources
        Sources of the rows; by default those of the former snapshot.
    """
    (folder / _SNAPSHOTS).mkdir(parents=True, exist_ok=True)
    if sources is None and (folder / _HEAD).is_file():
        sources = read_sources(folder, read_head(folder))
    content, snapshot = _named(parts)
    sync(folder / _TABLES)
    write_durably(_manifest(folder, snapshot), content)
    if sources is not None:
        replace_sources(folder, snapshot, sources)
    write_durably(folder / _HEAD, snapshot)
    return snapshot


def is_replaced(folder: Path, snapshot: str) -> bool:
    """Whether other parts have the name of the snapshot since customers were erased."""
    return _named(json.loads(_manifest(folder, snapshot).read_text()))[1] != snapshot


def _named(parts: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the content of a manifest, and the name that it gives the snapshot."""
    content = json.dumps(parts, indent=1, sort_keys=True)
    return content, hashlib.sha256(content.encode()).hexdigest()[:16]


def replace_sources(folder: Path, snapshot: str, sources: Sequence[Mapping[str, Any]]) -> None:
    """Record the sources of a snapshot's rows."""
    (folder / _SOURCES).mkdir(exist_ok=True)
    write_durably(_sources_file(folder, snapshot), json.dumps(sources, indent=1))


def list_snapshots(folder: Path) -> list[str]:
    """Return the names of all snapshots."""
    return sorted(manifest.stem for manifest in (folder / _SNAPSHOTS).glob("*.json"))


def replace_snapshot(folder: Path, snapshot: str, parts: Mapping[str, Sequence[str]]) -> None:
    """Replace the parts of a snapshot under its name, to erase customers.

    The name is then no longer the hash of the manifest. References to the snapshot stay valid.
    """
    sync(folder / _TABLES)
    write_durably(_manifest(folder, snapshot), json.dumps(parts, indent=1, sort_keys=True))


def results_file(folder: Path, snapshot: str, name: str) -> Path:
    """Return the file of a result that is kept with a snapshot (`features.storage.kept`)."""
    return folder / _RESULTS / f"{snapshot}.{name}.json"


def written(folder: Path, snapshot: str) -> datetime:
    """Return when a snapshot was committed, or customers were erased from it."""
    return datetime.fromtimestamp(_manifest(folder, snapshot).stat().st_mtime)


def remove_snapshots(folder: Path, names: Collection[str]) -> None:
    """Remove snapshots, and the parts that no other has. No import may run at the same time.

    Raises
    ------
    InvalidInput
        If the current snapshot is among them.
    """
    if read_head(folder) in names:
        raise InvalidInput("The current snapshot of a dataset cannot be removed.", field="snapshot")
    for name in names:
        _manifest(folder, name).unlink()
        _sources_file(folder, name).unlink(missing_ok=True)
        for path in (folder / _RESULTS).glob(f"{name}.*"):
            path.unlink()
    if names:
        remove_unreferenced(folder)


def remove_unreferenced(folder: Path) -> None:
    """Remove parts that are in no snapshot. No import may run at the same time."""
    referenced: set[str] = set()
    for snapshot in list_snapshots(folder):
        referenced.update(*read_snapshot(folder, snapshot).values())
    for path in (folder / _TABLES).iterdir():
        if path.name not in referenced:
            path.unlink()


def remove_folder(folder: Path, kept: Path) -> None:
    """Remove everything of a dataset but one file.

    `HEAD` is removed last: after a crash the dataset is still listed, and can be removed again.
    """
    head = folder / _HEAD
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path not in (head, kept):
            path.unlink()
    head.unlink()
    if not kept.is_file():
        folder.rmdir()


def write_durably(path: Path, text: str) -> None:
    """Replace the content of a file atomically, and flush it to disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush the content of a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _manifest(folder: Path, snapshot: str) -> Path:
    return folder / _SNAPSHOTS / f"{snapshot}.json"


def _sources_file(folder: Path, snapshot: str) -> Path:
    return folder / _SOURCES / f"{snapshot}.json"
