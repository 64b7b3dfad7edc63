"""Publish the champions of a dataset: registered models in, the served version on disk out."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from features.dataset import Dataset, open_dataset
from features.errors import InvalidInput, NotFound
from features.ingest.provenance import events_position
from training.backtest import Progress
from training.promote import champions
from training.published import digests
from training.published import versions as published
from training.redaction import Redaction
from training.registered import CHAMPION, Registry, Version
from training.registry import TASKS
from training.release import activate, clean_up, draft_folder, version_name

if TYPE_CHECKING:
    from training.tracking import Tracker

Failed = Callable[[str, Exception], None]


def _raise(task: str, error: Exception) -> None:  # noqa: ARG001
    raise error


def publish(
    home: Path,
    tracker: "Tracker",
    dataset: str,
    *,
    keep: int = 2,
    replaces: str | None = None,
    opened: Dataset | None = None,
    failed: Failed = _raise,
    progress: Progress = lambda _: None,
) -> str | None:
    """Write what serving reads from the dataset's champions and make it the served version.

    The new version is complete before the manifest names it, so a crash leaves the former served.
    Folders of models that a version on disk has are hard links to it, if its files are intact. A
    champion that cannot be written gives way to the version that is served.

    Parameters
    ----------
    keep
        Number of published versions to keep.
    replaces
        A version that the same job published with fewer of its models; it is deleted.
    opened
        The dataset at the snapshot that models were trained on; other snapshots are opened.
    failed
        Called with task and error of a champion that cannot be written; raises by default.

    Returns
    -------
    str or None
        Name of the version; the same champions give the same name. None if none can be written.

    Raises
    ------
    NotFound
        If the dataset has no champion yet.
    """
    if current := published_champions(home, tracker, dataset):
        return current
    versions, record = _champions(tracker, dataset), _served(home, dataset)
    models = _model_records(home, dataset, versions)
    name = version_name(models, Redaction.load(home, dataset))
    clean_up(published.dataset_root(home, dataset))
    draft = _Draft(home, tracker, dataset, draft_folder(home, dataset, name), models, record)
    draft.folder.mkdir(parents=True)
    draft.fill(versions.values(), opened, failed, progress)
    # Publishing takes time, and a customer may have been forgotten meanwhile.
    redaction = Redaction.load(home, dataset)
    written = version_name(models, redaction) if models else None
    if written is None or (record is not None and record.version == written):
        shutil.rmtree(draft.folder)
        return written
    redacted = record is not None and record.version == version_name(record.models, redaction)
    links = draft.linked if redacted else ()
    activate(home, draft.folder, dataset, models, redaction, redacted=links)
    if replaces not in (None, written):
        published.delete(published.dataset_root(home, dataset) / replaces)
    published.prune(home, keep, dataset)
    return written


def published_champions(home: Path, registry: Registry, dataset: str) -> str | None:
    """Return the name of the served version if it has the champions; None if it is outdated."""
    models = _model_records(home, dataset, champions(registry, dataset))
    record = _served(home, dataset)
    name = version_name(models, Redaction.load(home, dataset)) if models else None
    return name if record is not None and record.version == name else None


def _model_records(
    home: Path, dataset: str, versions: Mapping[str, Version]
) -> dict[str, published.PublishedModel]:
    return {name: _model_record(home, dataset, version) for name, version in versions.items()}


def _champions(registry: Registry, dataset: str) -> dict[str, Version]:
    versions = champions(registry, dataset)
    if not versions:
        remedy = f"run `foresell train all --dataset {dataset}`"
        raise NotFound(f"Dataset {dataset} has no champion to publish; {remedy}.", field="dataset")
    return versions


def _served(home: Path, dataset: str) -> published.PublishedVersion | None:
    """Return the record of the served version; an unreadable or damaged one counts as none."""
    published.drop_former_layout(home)
    found = published.served(home, dataset)
    return None if found is None else published.read_intact(found[0])


def _model_record(home: Path, dataset: str, version: Version) -> published.PublishedModel:
    return published.PublishedModel(
        version=version.label,
        run_id=version.run_id,
        snapshot=version.snapshot,
        as_of=version.as_of,
        events_position=events_position(home, dataset, version.snapshot),
        standing=version.standing,
    )


@dataclass
class _Draft:
    """A version in the making: its folder, its models, and which are links to the served one.

    Links to other versions are redacted anew.
    """

    home: Path
    tracker: "Tracker"
    dataset: str
    folder: Path
    models: dict[str, published.PublishedModel]
    served: published.PublishedVersion | None
    linked: list[str] = field(default_factory=list)

    def fill(
        self,
        versions: Iterable[Version],
        opened: Dataset | None,
        failed: Failed,
        progress: Progress,
    ) -> None:
        """Link the folders of models that a version on disk has, and write those of the others."""
        for version in versions:
            if self._link(version.task, version.run_id):
                continue
            progress(f"publish {version.label}")
            try:
                if opened is None or opened.snapshot != version.snapshot:
                    opened = open_dataset(self.home, self.dataset, version.snapshot)
                self.write(version, opened)
            except Exception as error:
                self.step_back(version.task)
                failed(version.task, error)

    def write(self, version: Version, dataset: Dataset) -> None:
        """Write the folder of a model and its companions."""
        task = TASKS[version.task]
        for name in (task.name, *task.companions):
            (self.folder / name).mkdir()
        model = task.model.load(version.folder)
        task.publish(model, dataset, version.as_of, self.folder / task.name)
        for name, companion in task.companions.items():
            companion.publish(dataset, version.as_of, self.folder / name)

    def step_back(self, task: str) -> None:
        """Put the served version in the place of a champion that cannot be written.

        Where the task is not served, it has no champion either, so that the next job starts anew.
        """
        for name in (task, *TASKS[task].companions):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        former = None if self.served is None else self.served.models.get(task)
        if former is None:
            del self.models[task]
            self.tracker.remove_alias(self.dataset, task, CHAMPION)
            return
        self.models[task] = former
        self.tracker.set_alias(self.dataset, task, CHAMPION, former.number)
        if not self._link(task, former.run_id):
            raise InvalidInput(
                f"The files of {former.version} in the served version are damaged; run "
                f"`foresell train {task} --dataset {self.dataset}`.",
                field="version",
            )

    def _link(self, task: str, run_id: str) -> bool:
        """Link the folders of a model to a version that has it intact, the served one first."""
        served = "" if self.served is None else self.served.version
        folders = published.versions(self.home, self.dataset)
        for folder in sorted(folders, key=lambda folder: folder.name != served):
            record = published.read_complete(folder)
            model = None if record is None else record.models.get(task)
            if record is None or model is None or model.run_id != run_id:
                continue
            names = (task, *TASKS[task].companions)
            try:
                digests.verify(folder, record.files_of(names))
            except InvalidInput:
                continue
            for name in names:
                shutil.copytree(folder / name, self.folder / name, copy_function=os.link)
            if folder.name == served:
                self.linked.append(task)
            return True
        return False
