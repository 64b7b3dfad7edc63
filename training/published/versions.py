"""Published versions on disk, which training writes and serving reads; light imports only.

`<home>/published/<dataset>/<version>/` has one folder per model and `version.json`;
`<home>/published/<dataset>/manifest` has one line, the name of the dataset's served version. Where
functions take a dataset, None means the only one that is published.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import ForesellError, InvalidInput, NotFound
from features.storage.snapshots import sync, write_durably
from training.published import digests
from training.published.digests import FileDigest
from training.standing import Standing

MANIFEST = "manifest"
RECORD = "version.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
# Of the files of models and of published versions; a change that cannot read former ones raises it.
FORMAT = 4


class PublishedModel(BaseModel):
    """The registered model that one folder of a version was published from.

    Attributes
    ----------
    version
        Name and number in the registry, such as `churn/3`.
    run_id
        The run that trained it.
    snapshot
        Snapshot of the records that its predictions rest on.
    as_of
        The instant of its predictions.
    events_position
        Last position of the event log in the snapshot; 0 if it has no events.
    standing
        How it stands beside its baselines.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    run_id: str
    snapshot: str
    as_of: datetime
    events_position: int = 0
    standing: Standing = Standing()

    @property
    def number(self) -> int:
        """Number in the registry."""
        return int(self.version.rpartition("/")[2])


class PublishedVersion(BaseModel):
    """Contents of a published version.

    Attributes
    ----------
    version
        Name of the version and of its folder.
    dataset
        The dataset that it was published from.
    created
        When it was published.
    models
        The model in each folder, by name of the task. Tasks that the dataset does not support
        are absent.
    companions
        Further folders, published together with one of the models.
    consent
        Whether customers must have consented to be named in answers.
    files
        Size and digest of every file, by path relative to the version's folder.
    format
        Format of the files.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    dataset: str
    created: datetime
    models: Mapping[str, PublishedModel]
    companions: tuple[str, ...] = ()
    consent: bool = False
    files: Mapping[str, FileDigest] = {}
    format: int = FORMAT

    def files_of(self, folders: Iterable[str]) -> dict[str, FileDigest]:
        """Return the digests of the files in some of its folders."""
        parents = tuple(f"{folder}/" for folder in folders)
        return {path: digest for path, digest in self.files.items() if path.startswith(parents)}

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of all folders of the version."""
        return (*self.models, *self.companions)

    def standing(self, tasks: Iterable[str]) -> dict[str, Any]:
        """Return what answers of some models state about them, as far as the version has them.

        Returns
        -------
        dict
            `judged`, whether all were compared with baselines; and `behind`, sentences on those
            that are behind a baseline, if there are any.
        """
        wanted = set(tasks)
        models = [model for task, model in self.models.items() if task in wanted]
        behind = [
            model.standing.describe(model.version) for model in models if model.standing.behind
        ]
        judged = all(model.standing.judged for model in models)
        return {"judged": judged, **({"behind": behind} if behind else {})}

    def other_instants(self, task: str, others: Iterable[str]) -> dict[str, datetime]:
        """Return the instants of those models among `others` that differ from the one of `task`.

        A champion that stays while others are replaced keeps its own instant.
        """
        as_of = self.models[task].as_of
        instants = {name: self.models[name].as_of for name in others if name in self.models}
        return {name: instant for name, instant in instants.items() if instant != as_of}


def root(home: Path) -> Path:
    """Return the folder of all published versions."""
    return home / "published"


def dataset_root(home: Path, dataset: str) -> Path:
    """Return the folder of the published versions of a dataset."""
    return root(home) / dataset


def home_of(folder: Path) -> Path:
    """Return the home of a version's folder."""
    return folder.parents[2]


def datasets(home: Path) -> list[str]:
    """Return the names of the datasets with a served version."""
    return sorted(path.parent.name for path in root(home).glob(f"*/{MANIFEST}"))


def current(home: Path, dataset: str | None = None) -> Path | None:
    """Return the folder of a dataset's served version; None before the first is published.

    Raises
    ------
    InvalidInput
        If no dataset is given and several are published, or the manifest names no version.
    """
    if dataset is None:
        names = datasets(home)
        if len(names) > 1:
            raise InvalidInput(f"Name one of the datasets {', '.join(names)}.", field="dataset")
        if not names:
            return None
        dataset = names[0]
    folder = dataset_root(home, dataset)
    try:
        name = (folder / MANIFEST).read_bytes().decode().strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        name = "?"
    if name and not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{folder / MANIFEST} does not name a published version; it has one line, such as "
            "20180101-214fcebf452a. Publish again: `foresell train all`.",
            field="version",
        )
    return folder / name if name else None


def served(home: Path, dataset: str | None = None) -> tuple[Path, PublishedVersion] | None:
    """Return folder and record of a dataset's served version; None if it cannot be read."""
    try:
        folder = current(home, dataset)
    except InvalidInput:
        if dataset is None:
            raise
        return None
    record = None if folder is None else read_complete(folder)
    return None if folder is None or record is None else (folder, record)


def withdraw(home: Path, dataset: str) -> None:
    """Delete all published versions of a dataset."""
    folder = dataset_root(home, dataset)
    # Without the manifest nothing is served, whatever a crash leaves.
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def drop_former_layout(home: Path) -> None:
    """Delete versions of older code, which stand beside the folders of datasets."""
    for record_file in root(home).glob(f"[!.]*/{RECORD}"):
        delete(record_file.parent)
    (root(home) / MANIFEST).unlink(missing_ok=True)


def read_complete(folder: Path) -> PublishedVersion | None:
    """Read a version's record; None if the record or one of its folders is missing."""
    try:
        record = read(folder)
    except ForesellError:
        return None
    return record if all((folder / name).is_dir() for name in record.folders) else None


def read_intact(folder: Path) -> PublishedVersion | None:
    """Read a version's record; None if it is incomplete or a file differs from what was written."""
    record = read_complete(folder)
    try:
        if record is not None:
            digests.verify(folder, record.files)
    except InvalidInput:
        return None
    return record


def read(folder: Path) -> PublishedVersion:
    """Read the record of a published version.

    Raises
    ------
    NotFound
        If the folder is absent or incomplete.
    InvalidInput
        If its record cannot be read, or another version of Foresell published it.
    """
    try:
        record = PublishedVersion.model_validate_json((folder / RECORD).read_bytes())
    except OSError as error:
        raise NotFound(
            f"There is no complete published version {folder.name!r} in {folder.parent}; "
            "run `foresell train all`.",
            field="version",
        ) from error
    except ValidationError as error:
        raise InvalidInput(
            f"{RECORD} of published version {folder.name!r} cannot be read: {error}",
            field="version",
        ) from error
    # Records of older code have no format.
    if record.format != FORMAT or "format" not in record.model_fields_set:
        raise InvalidInput(
            f"Published version {folder.name!r} was written by another version of Foresell, in "
            "other files; run `foresell train all` to train and publish it again.",
            field="version",
        )
    return record


def finish(home: Path, draft: Path, record: PublishedVersion) -> Path:
    """Turn a draft with every model's folder into a version, durably and atomically.

    The digests of its files become part of its record.

    Parameters
    ----------
    draft
        A folder on the same file system; it is moved.

    Raises
    ------
    InvalidInput
        If the draft lacks a folder that the record names, or the version is served already
        and intact.
    """
    folder = dataset_root(home, record.dataset) / record.version
    found = served(home, record.dataset)
    if found is not None and found[0] == folder and read_intact(folder) is not None:
        raise InvalidInput(
            f"Version {record.version} is being served; a published version does not change.",
            field="version",
        )
    for name in record.folders:
        if not (draft / name).is_dir():
            raise InvalidInput(
                f"The draft of version {record.version} lacks the folder {name!r}.", field=name
            )
    record = record.model_copy(update={"files": digests.measure(draft)})
    (draft / RECORD).write_text(record.model_dump_json(indent=1) + "\n")
    for path in [*draft.rglob("*"), draft]:
        sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(exist_ok=True)
    draft.replace(folder)
    sync(folder.parent)
    return folder


def switch(home: Path, name: str, dataset: str | None = None) -> None:
    """Make a complete version the served one of its dataset, by an atomic change of the manifest.

    Parameters
    ----------
    dataset
        The dataset of the version; None if no other has a version of the name.

    Raises
    ------
    NotFound
        If there is no such version, or it is incomplete.
    """
    folders = [folder for folder in versions(home, dataset) if folder.name == name]
    folder = folders[0] if len(folders) == 1 else dataset_root(home, dataset or "") / name
    read(folder)
    write_durably(folder.parent / MANIFEST, name + "\n")


def prune(home: Path, keep: int, dataset: str | None = None) -> list[str]:
    """Delete all but the newest `keep` complete versions of a dataset and the served one.

    Returns
    -------
    Names of the deleted versions.
    """
    records = {folder: read_complete(folder) for folder in versions(home, dataset)}
    created = {folder: record.created for folder, record in records.items() if record is not None}
    newest = sorted(created, key=lambda folder: created[folder], reverse=True)[:keep]
    served_now = current(home, dataset)
    old = [folder for folder in records if folder not in newest and folder != served_now]
    for folder in old:
        delete(folder)
    return [folder.name for folder in old]


def versions(home: Path, dataset: str | None = None) -> list[Path]:
    """Return the folders of all versions that have a record, of one dataset or of all."""
    # Names of drafts, which may be in progress, begin with a dot.
    return [path.parent for path in root(home).glob(f"{dataset or '[!.]*'}/[!.]*/{RECORD}")]


def delete(folder: Path) -> None:
    """Delete a version."""
    # Without its record the folder is no version, for readers that open it meanwhile.
    (folder / RECORD).unlink()
    shutil.rmtree(folder)
