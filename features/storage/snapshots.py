"""How a dataset lies on disk: content-addressed parts, snapshots that name them, one HEAD.

Under `<home>/datasets/<name>/`: `tables/` holds Parquet parts, `snapshots/<id>.json` says which
of them make up each table, `HEAD` names the current snapshot. Imports write it, `dataset` reads.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from features.errors import InvalidInput
from features.tables import ID, Table

# About how many rows of a table are held in memory at once, when it is written.
ROWS_PER_PART = 1_000_000

_PRIME = 2**31 - 1
_FACTOR = 48271  # a full-period multiplier modulo this prime (Park, Miller and Stockmeyer 1993)
_WORD = 8  # bytes
_PAD = "\0" * _WORD  # goes before and behind, so that there is a first and a last word
_WORDS = (8, 16, 24, 32, -16)  # the first 32 bytes and the last 8


def dataset_folder(home: Path, name: str) -> Path:
    """Where a dataset lies.

    Raises
    ------
    InvalidInput
        If the name could lead elsewhere.
    """
    if not name or not all(part.isalnum() for part in name.replace("_", "-").split("-")):
        raise InvalidInput(
            f"Dataset name {name!r} may hold letters, digits, - and _ only.", field="dataset"
        )
    return home / "datasets" / name


def part_count(rows: int, rows_per_part: int = ROWS_PER_PART) -> int:
    """Into how many parts a table of so many rows is divided: a power of two."""
    return 1 << max(0, -(-rows // rows_per_part) - 1).bit_length()


def part_number(table: Table, columns: Sequence[str], count: int) -> pl.Expr:
    """Say to which of `count` parts a row belongs, from the ids in its key.

    The same on every machine and with every version of Polars, whose own hash is not; a
    missing id counts as an empty one. With twice as many parts, the rows of part p are in p
    and in p + count.
    """
    ids = [name for name in table.key if table.columns[name].dtype == ID and name in columns]
    present = [pl.col(name).fill_null("") for name in ids]
    padded = pl.concat_str(pl.lit(_PAD), *present, pl.lit(_PAD)).cast(pl.Binary)
    mixed = pl.lit(0, dtype=pl.UInt64)
    for start in _WORDS:
        word = padded.bin.slice(start, _WORD).bin.reinterpret(dtype=pl.UInt64).fill_null(0)
        mixed = (mixed * _FACTOR + word % _PRIME) % _PRIME
    return mixed * _FACTOR % _PRIME % count


def write_part(folder: Path, table: str, frame: pl.DataFrame) -> str:
    """Store rows under the name that their content gives them, and return it."""
    tables = folder / "tables"
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
    """Read the rows of some parts of one table."""
    return pl.scan_parquet([folder / "tables" / part for part in parts])


def read_head(folder: Path) -> str:
    """Name the current snapshot."""
    return (folder / "HEAD").read_text().strip()


def read_snapshot(folder: Path, snapshot: str) -> dict[str, list[str]]:
    """Name the parts of each table in a snapshot."""
    parts: dict[str, str | list[str]] = json.loads(_listing(folder, snapshot).read_text())
    # Snapshots written before tables were divided name one file.
    return {table: [names] if isinstance(names, str) else names for table, names in parts.items()}


def commit_snapshot(folder: Path, parts: Mapping[str, Sequence[str]]) -> str:
    """Make these parts the current snapshot and return its content hash.

    `HEAD` moves last: a crash before that leaves the former snapshot current.
    """
    (folder / "snapshots").mkdir(parents=True, exist_ok=True)
    content = json.dumps(parts, indent=1, sort_keys=True)
    snapshot = hashlib.sha256(content.encode()).hexdigest()[:16]
    sync(folder / "tables")
    write_durably(_listing(folder, snapshot), content)
    write_durably(folder / "HEAD", snapshot)
    return snapshot


def list_snapshots(folder: Path) -> list[str]:
    """Name all snapshots."""
    return sorted(listing.stem for listing in (folder / "snapshots").glob("*.json"))


def replace_snapshot(folder: Path, snapshot: str, parts: Mapping[str, Sequence[str]]) -> None:
    """Let a snapshot's name stand for other parts: its records without those of some people.

    Its name is no longer the hash of its content; what rests on it finds it all the same.
    """
    sync(folder / "tables")
    write_durably(_listing(folder, snapshot), json.dumps(parts, indent=1, sort_keys=True))


def remove_unreferenced(folder: Path) -> None:
    """Remove parts that no snapshot names; call it while no import runs beside."""
    named: set[str] = set()
    for snapshot in list_snapshots(folder):
        named.update(*read_snapshot(folder, snapshot).values())
    for path in (folder / "tables").iterdir():
        if path.name not in named:
            path.unlink()


def write_durably(path: Path, text: str) -> None:
    """Replace a file's content as a whole: readers see the old text or the new, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _listing(folder: Path, snapshot: str) -> Path:
    return folder / "snapshots" / f"{snapshot}.json"
