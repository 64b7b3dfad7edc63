"""Batch predictions in parts: each part is predicted, written and forgotten before the next.

`<folder>/as_of=2017-12-01/version=churn-3/part-00000.parquet` and so on, a layout of which Polars,
Spark and DuckDB read the columns `as_of` and `version`. `_score.json` says what the parts are of,
and `_SUCCESS` that all are there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from features.demand.grain import Grain
from features.demand.series import begun_series
from features.errors import InvalidInput
from features.storage.snapshots import write_durably
from foresell import output

if TYPE_CHECKING:
    from features.dataset import Dataset
    from training.registered import Version

# Customers or series whose predictions are in memory at once.
ENTITIES_PER_PART = 50_000
_RECORD, _DONE = "_score.json", "_SUCCESS"


def check_folder(folder: Path) -> None:
    """Check that parts can be written, before work is done for them.

    Raises
    ------
    InvalidInput
        If the folder is a file, or its parent does not exist.
    """
    if folder.is_file() or not folder.parent.is_dir():
        raise InvalidInput(
            f"out = {folder}: name a folder in an existing one, or a file that ends in "
            f"{' or '.join(output.SUFFIXES)}.",
            field="out",
        )


def entities(task: str, model: Any, dataset: Dataset, as_of: datetime) -> pl.DataFrame | None:
    """Return the keys of all that a model predicts for; None if they cannot be split."""
    if task == "demand":
        grain = Grain.parse(model.grain)
        return begun_series(dataset, grain, as_of).sort(grain.keys)
    if task in ("churn", "next-purchase", "value"):
        from training.customers.evaluation import population

        return population(dataset, as_of, {}).sort("customer_id")
    return None


def write_parts(
    folder: Path,
    version: Version,
    dataset: Dataset,
    as_of: datetime,
    keys: pl.DataFrame | None,
    predict: Callable[[pl.DataFrame | None], pl.DataFrame],
    *,
    options: Mapping[str, Any],
    size: int = ENTITIES_PER_PART,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Path, int]:
    """Predict part by part; return the folder of the parts and the number of their rows.

    Parts of an interrupted call with the same records, version and options stay and are not
    predicted again; those of another call are removed first.

    Parameters
    ----------
    keys
        What to predict for; None for one part with everything.
    predict
        Returns the rows of some keys.
    options
        What else the rows depend on.
    size
        Keys in a part.
    """
    day = as_of.date() if as_of.time() == time() else as_of
    label = version.label.replace("/", "-")
    parts = folder / f"as_of={day.isoformat()}" / f"version={label}"
    parts.mkdir(parents=True, exist_ok=True)
    count = 0 if keys is None else keys.height
    record: dict[str, Any] = {
        "run_id": version.run_id,
        "snapshot": dataset.snapshot,
        "entities": count,
    }
    record |= {"entities_per_part": size, "options": dict(options)}
    content = json.dumps(record, indent=1, default=str)
    stored = parts / _RECORD
    # One part alone may rest on files whose content is not in the record.
    if keys is None or not stored.is_file() or stored.read_text() != content:
        for path in [parts / _DONE, *parts.glob("part-*.parquet")]:
            path.unlink(missing_ok=True)
        write_durably(stored, content)
    rows = 0
    for number, some in enumerate(_slices(keys, size)):
        path = parts / f"part-{number:05}.parquet"
        if not path.is_file():
            progress(f"part {number + 1} of {max(1, -(-count // size))}")
            output.write(predict(some), path)
        rows += pl.scan_parquet(path).select(pl.len()).collect().item()
    write_durably(parts / _DONE, "")
    return parts, rows


def _slices(keys: pl.DataFrame | None, size: int) -> Iterator[pl.DataFrame | None]:
    if keys is None or keys.is_empty():
        yield None
    else:
        yield from keys.iter_slices(size)
