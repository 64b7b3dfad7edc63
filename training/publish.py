"""Publish the champions of a dataset: registered models in, the served version on disk out."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from features.dataset import Dataset, open_dataset
from features.errors import NotFound
from training.backtest import Progress
from training.promote import champions
from training.published import versions as published
from training.redaction import Redaction
from training.registry import TASKS
from training.release import activate, clean_up, draft_folder, version_name
from training.tracking import Tracker, Version


def publish(
    home: Path,
    tracker: Tracker,
    dataset: str,
    *,
    keep: int = 2,
    replaces: str | None = None,
    opened: Dataset | None = None,
    progress: Progress = lambda _: None,
) -> str:
    """Write what serving reads from the dataset's champions and make it the served version.

    The new version is complete on disk before the manifest names it; a crash at any point
    leaves the former version served. Folders of unchanged models are hard links.

    Parameters
    ----------
    keep
        Number of published versions to keep.
    replaces
        A version that the same job published with fewer of its models; it is deleted.
    opened
        The dataset at the snapshot that models were trained on; its cached features are used
        again. Other snapshots are opened.

    Returns
    -------
    str
        Name of the version; the same champions give the same name.

    Raises
    ------
    NotFound
        If the dataset has no champion yet.
    """
    versions = _champions(tracker, dataset)
    models = {name: _model_record(version) for name, version in versions.items()}
    name = version_name(models, Redaction.load(home, dataset))
    record = _served(home, dataset)
    if record is not None and record.version == name:
        return name
    clean_up(published.dataset_root(home, dataset))
    draft = draft_folder(home, dataset, name)
    draft.mkdir(parents=True)
    linked = [] if record is None else _link_unchanged(home, record, models, draft)
    for version in (version for task, version in versions.items() if task not in linked):
        progress(f"publish {version.label}")
        if opened is None or opened.snapshot != version.snapshot:
            opened = open_dataset(home, dataset, version.snapshot)
        _write(version, opened, draft)
    # Publishing takes time, and a customer may have been forgotten meanwhile.
    redaction = Redaction.load(home, dataset)
    redacted = linked and record and record.version == version_name(record.models, redaction)
    activate(home, draft, dataset, models, redaction, redacted=linked if redacted else ())
    name = version_name(models, redaction)
    if replaces not in (None, name):
        published.delete(published.dataset_root(home, dataset) / replaces)
    published.prune(home, keep, dataset)
    return name


def _champions(tracker: Tracker, dataset: str) -> dict[str, Version]:
    versions = champions(tracker, dataset)
    if not versions:
        remedy = f"run `foresell train all --dataset {dataset}`"
        raise NotFound(f"Dataset {dataset} has no champion to publish; {remedy}.", field="dataset")
    return versions


def _served(home: Path, dataset: str) -> published.PublishedVersion | None:
    """Return the record of the served version; an unreadable one counts as none."""
    published.adopt(home)
    found = published.served(home, dataset)
    return None if found is None else found[1]


def _model_record(version: Version) -> published.PublishedModel:
    return published.PublishedModel(
        version=version.label,
        run_id=version.run_id,
        snapshot=version.snapshot,
        as_of=version.as_of,
    )


def _link_unchanged(
    home: Path,
    served: published.PublishedVersion,
    models: Mapping[str, published.PublishedModel],
    draft: Path,
) -> list[str]:
    """Link the folders of unchanged models from the served version; returns their tasks."""
    unchanged = [task for task, model in models.items() if served.models.get(task) == model]
    for task in unchanged:
        for name in (task, *TASKS[task].companions):
            source = published.dataset_root(home, served.dataset) / served.version / name
            shutil.copytree(source, draft / name, copy_function=os.link)
    return unchanged


def _write(version: Version, dataset: Dataset, draft: Path) -> None:
    """Write the folder of a model and its companions."""
    task = version.task
    for name in (task, *TASKS[task].companions):
        (draft / name).mkdir()
    model = TASKS[task].model.load(version.folder)
    TASKS[task].publish(model, dataset, version.as_of, draft / task)
    for name, companion in TASKS[task].companions.items():
        companion.publish(dataset, version.as_of, draft / name)
