"""Predictions of published versions, kept until their outcomes are known.

`<home>/datasets/<dataset>/predictions/<task>/<number>.parquet` has what a version predicted for
the evaluated population at its instant: the columns of `Task.model.predict`. Owns these files.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from features.columns import CUSTOMER_ID, PRODUCT_ID
from features.dataset import Dataset
from features.storage.snapshots import dataset_folder, sync
from training.contract import Task
from training.registered import Version

_FOLDER = "predictions"
# Customers, or products, whose predictions are kept; more are sampled.
MAX_ENTITIES = 5_000
_SAMPLED_BY = (CUSTOMER_ID, PRODUCT_ID)


def path_of(home: Path, version: Version, dataset: str) -> Path:
    """Return the path of a version's predictions."""
    return _folder(home, dataset) / version.task / f"{version.number}.parquet"


def keep(home: Path, task: Task, dataset: Dataset, version: Version) -> pl.DataFrame:
    """Predict at the version's instant, and keep the predictions for later."""
    population = task.population(dataset, version.as_of, version.options)
    column = sampled_by(population)
    if column is not None:
        entities = population.select(column).unique().sort(column)
        if entities.height > MAX_ENTITIES:
            entities = entities.sample(MAX_ENTITIES, seed=0)
            population = population.join(entities, on=column, how="semi", maintain_order="left")
    model = task.model.load(version.folder)
    predictions: pl.DataFrame = model.predict(dataset, version.as_of, population, **task.request)
    write(path_of(home, version, dataset.name), predictions)
    return predictions


def sampled_by(frame: pl.DataFrame) -> str | None:
    """Return the column of the entities that are sampled; None for series of groups alone."""
    return next((name for name in _SAMPLED_BY if name in frame.columns), None)


def write(path: Path, predictions: pl.DataFrame) -> None:
    """Replace a file of predictions at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    predictions.write_parquet(draft)
    sync(draft)
    draft.replace(path)


def kept_versions(home: Path, dataset: str, task: str) -> dict[int, Path]:
    """Return the kept predictions of a task by number of the version, oldest first."""
    paths = (_folder(home, dataset) / task).glob("*.parquet")
    return dict(sorted((int(path.stem), path) for path in paths))


def redact(home: Path, dataset: str, redacted: Callable[[pl.Series], pl.Series]) -> None:
    """Remove customers from all kept predictions of a dataset.

    Parameters
    ----------
    redacted
        Marks the customers to remove in a series of ids.
    """
    for draft in _folder(home, dataset).glob("*/*.draft"):
        draft.unlink()
    for path in _folder(home, dataset).glob("*/*.parquet"):
        if CUSTOMER_ID not in pl.read_parquet_schema(path):
            continue
        predictions = pl.read_parquet(path)
        mask = redacted(predictions.get_column(CUSTOMER_ID))
        if mask.any():
            write(path, predictions.filter(~mask))


def _folder(home: Path, dataset: str) -> Path:
    return dataset_folder(home, dataset) / _FOLDER
