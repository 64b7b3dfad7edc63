"""Write rows to a file that the user names: predictions of `score`, customers of `audience`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".parquet", ".csv")


def check(out: Path) -> None:
    """Check that a file can be written, before work is done for it.

    Raises
    ------
    InvalidInput
        If its suffix is neither .parquet nor .csv, or its folder does not exist.
    """
    if out.suffix not in SUFFIXES:
        raise InvalidInput(
            f"out = {out}: name a file that ends in {' or '.join(SUFFIXES)}.", field="out"
        )
    if not out.parent.is_dir():
        raise InvalidInput(f"out = {out}: there is no folder {out.parent}.", field="out")


def write(rows: pl.DataFrame, out: Path) -> None:
    """Write rows as Parquet or CSV, by the file's suffix, atomically.

    In a CSV, lists are joined to one text each.

    Raises
    ------
    InvalidInput
        As `check` does.
    """
    import polars as pl

    check(out)
    draft = out.with_name(f".{out.name}.draft")
    if out.suffix == ".parquet":
        rows.write_parquet(draft)
    else:
        lists = [name for name, kind in rows.schema.items() if kind == pl.List]
        texts = [pl.col(name).cast(pl.List(pl.String)).list.join("; ") for name in lists]
        rows.with_columns(texts).write_csv(draft)
    draft.replace(out)
