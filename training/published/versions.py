"""Published versions on disk, which training writes and serving reads; light imports only.

`<home>/published/<version>/` has one folder per model and `version.json`;
`<home>/published/manifest` has one line, the name of the served version.
"""

import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import ForesellError, InvalidInput, NotFound
from features.storage.snapshots import sync, write_durably

MANIFEST = "manifest"
RECORD = "version.json"


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
    """

    model_config = ConfigDict(frozen=True)

    version: str
    run_id: str
    snapshot: str
    as_of: datetime


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
    """

    model_config = ConfigDict(frozen=True)

    version: str
    dataset: str
    created: datetime
    models: Mapping[str, PublishedModel]
    companions: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of all folders of the version."""
        return (*self.models, *self.companions)

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


def home_of(folder: Path) -> Path:
    """Return the home of a version's folder."""
    return folder.parents[1]


def current(home: Path) -> Path | None:
    """Return the folder of the served version; None before the first is published."""
    try:
        name = (root(home) / MANIFEST).read_text().strip()
    except FileNotFoundError:
        return None
    return root(home) / name if name else None


def served(home: Path) -> tuple[Path, PublishedVersion] | None:
    """Return folder and record of the served version; None if it cannot be read."""
    folder = current(home)
    record = None if folder is None else read_complete(folder)
    return None if folder is None or record is None else (folder, record)


def current_of(home: Path, dataset: str) -> Path | None:
    """Return the folder of the served version if it is of a dataset."""
    found = served(home)
    return found[0] if found is not None and found[1].dataset == dataset else None


def withdraw(home: Path, dataset: str) -> None:
    """Delete all published versions of a dataset."""
    if current_of(home, dataset) is not None:
        (root(home) / MANIFEST).unlink()
    for folder in versions(home):
        record = read_complete(folder)
        if record is not None and record.dataset == dataset:
            delete(folder)


def read_complete(folder: Path) -> PublishedVersion | None:
    """Read a version's record; None if the record or one of its folders is missing."""
    try:
        record = read(folder)
    except ForesellError:
        return None
    return record if all((folder / name).is_dir() for name in record.folders) else None


def read(folder: Path) -> PublishedVersion:
    """Read the record of a published version.

    Raises
    ------
    NotFound
        If the folder is absent or incomplete.
    InvalidInput
        If its record cannot be read.
    """
    try:
        return PublishedVersion.model_validate_json((folder / RECORD).read_bytes())
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


def finish(home: Path, draft: Path, record: PublishedVersion) -> Path:
    """Turn a draft with every model's folder into a version, durably and atomically.

    Parameters
    ----------
    draft
        A folder beside the versions, on the same file system; it is moved.

    Raises
    ------
    InvalidInput
        If the draft lacks a folder that the record names, or the version is served already
        and complete.
    """
    folder = root(home) / record.version
    if folder == current(home) and read_complete(folder) is not None:
        raise InvalidInput(
            f"Version {record.version} is being served; a published version does not change.",
            field="version",
        )
    for name in record.folders:
        if not (draft / name).is_dir():
            raise InvalidInput(
                f"The draft of version {record.version} lacks the folder {name!r}.", field=name
            )
    (draft / RECORD).write_text(record.model_dump_json(indent=1) + "\n")
    for path in [*draft.rglob("*"), draft]:
        sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    draft.replace(folder)
    sync(root(home))
    return folder


def switch(home: Path, name: str) -> None:
    """Make a complete version the served one, by an atomic change of the manifest.

    Raises
    ------
    NotFound
        If there is no such version, or it is incomplete.
    """
    read(root(home) / name)
    write_durably(root(home) / MANIFEST, name + "\n")


def prune(home: Path, keep: int) -> list[str]:
    """Delete all but the newest `keep` complete versions and the served one; return the deleted."""
    records = {folder: read_complete(folder) for folder in versions(home)}
    created = {folder: record.created for folder, record in records.items() if record is not None}
    newest = sorted(created, key=lambda folder: created[folder], reverse=True)[:keep]
    old = [folder for folder in records if folder not in newest and folder != current(home)]
    for folder in old:
        delete(folder)
    return [folder.name for folder in old]


def versions(home: Path) -> list[Path]:
    """Return the folders of all versions that have a record."""
    # Names of drafts, which may be in progress, begin with a dot.
    return [path.parent for path in root(home).glob(f"[!.]*/{RECORD}")]


def delete(folder: Path) -> None:
    """Delete a version."""
    # Without its record the folder is no version, for readers that open it meanwhile.
    (folder / RECORD).unlink()
    shutil.rmtree(folder)
