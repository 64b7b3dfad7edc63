"""Remove what is old and serves nothing: published versions, files of models, snapshots.

What is served, the champion of each model, its predecessor and its challenger stay, and so do the
snapshots that a version which stays was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from features.storage import snapshots
from features.storage.locks import job_lock
from features.storage.snapshots import dataset_folder
from foresell.settings import Settings
from training.published import versions as published
from training.registered import CHALLENGER, CHAMPION, PREVIOUS, Registry, Version

T = TypeVar("T")


@dataclass(frozen=True)
class Removed:
    """One thing that is removed.

    Attributes
    ----------
    kind, name
        `published`, `model` or `snapshot`, and its name.
    created
        When it was made.
    """

    kind: str
    name: str
    created: datetime


def prune(
    settings: Settings, *, keep: int, older_than_days: int, dry_run: bool = False
) -> list[dict[str, Any]]:
    """Remove old things of every dataset; returns a row for each.

    Runs stay in MLflow with their metrics, reports and figures; the registered version and the
    files of the model go.

    Parameters
    ----------
    keep
        The newest of each kind that stay: of a dataset, and of a model's versions.
    older_than_days
        Days within which everything stays.
    dry_run
        Whether to remove nothing.

    Raises
    ------
    Unavailable
        If an import or a training job is running.
    """
    from training.registry import TASKS

    before = datetime.now() - timedelta(days=older_than_days)
    registry = Registry(settings.mlruns, settings.tracking_database)
    removed: list[dict[str, Any]] = []
    for dataset in snapshots.list_datasets(settings.home):
        with ExitStack() as stack:
            stack.enter_context(job_lock(settings.home, "retrain"))
            stack.enter_context(job_lock(settings.home, f"import-{dataset}"))
            folders = _old_published(settings.home, dataset, keep, before)
            stay, old = _models(registry, settings.home, dataset, TASKS, keep, before)
            referenced = {version.snapshot for version in stay}
            referenced |= _served_snapshots(settings.home, dataset)
            names = _old_snapshots(settings.home, dataset, referenced, keep, before)
            rows = [
                *(Removed("published", path.name, made) for path, made in folders),
                *(Removed("model", version.label, version.created) for version in old),
                *(Removed("snapshot", name, made) for name, made in names),
            ]
            removed += [{"dataset": dataset, **vars(row)} for row in rows]
            if not dry_run:
                for folder, _ in folders:
                    published.delete(folder)
                if old:
                    _remove_models(settings, dataset, old)
                snapshots.remove_snapshots(
                    dataset_folder(settings.home, dataset), [name for name, _ in names]
                )
    return removed


def _beyond(
    items: Iterable[tuple[T, datetime]], keep: int, before: datetime
) -> list[tuple[T, datetime]]:
    """Return the items that are neither among the newest nor made since `before`."""
    newest_first = sorted(items, key=lambda item: item[1], reverse=True)
    return [item for item in newest_first[keep:] if item[1] < before]


def _old_published(
    home: Path, dataset: str, keep: int, before: datetime
) -> list[tuple[Path, datetime]]:
    served = published.current(home, dataset)
    records = {path: published.read_complete(path) for path in published.versions(home, dataset)}
    made = [
        (path, record.created.astimezone().replace(tzinfo=None))
        for path, record in records.items()
        if record is not None
    ]
    return [item for item in _beyond(made, keep, before) if item[0] != served]


def _served_snapshots(home: Path, dataset: str) -> set[str]:
    """Return the snapshots of all published versions of a dataset."""
    records = map(published.read_complete, published.versions(home, dataset))
    return {model.snapshot for record in records if record for model in record.models.values()}


def _models(
    registry: Registry,
    home: Path,
    dataset: str,
    tasks: Iterable[str],
    keep: int,
    before: datetime,
) -> tuple[list[Version], list[Version]]:
    """Return the registered versions that stay, and those that go."""
    records = map(published.read_complete, published.versions(home, dataset))
    runs = {model.run_id for record in records if record for model in record.models.values()}
    stay, old = [], []
    for task in tasks:
        versions = registry.versions(dataset, task)
        aliases = (CHAMPION, PREVIOUS, CHALLENGER)
        named = (registry.behind(dataset, task, alias) for alias in aliases)
        runs |= {version.run_id for version in named if version is not None}
        beyond = _beyond(((version, version.created) for version in versions), keep, before)
        going = [version for version, _ in beyond if version.run_id not in runs]
        old += going
        stay += [version for version in versions if version not in going]
    return stay, old


def _old_snapshots(
    home: Path, dataset: str, referenced: set[str], keep: int, before: datetime
) -> list[tuple[str, datetime]]:
    folder = dataset_folder(home, dataset)
    staying = referenced | {snapshots.read_head(folder)}
    made = ((name, snapshots.written(folder, name)) for name in snapshots.list_snapshots(folder))
    return [item for item in _beyond(made, keep, before) if item[0] not in staying]


def _remove_models(settings: Settings, dataset: str, versions: Sequence[Version]) -> None:
    from training.tracking import Tracker

    tracker = Tracker(settings.mlruns, settings.tracking_database)
    for version in versions:
        tracker.remove(dataset, version)
