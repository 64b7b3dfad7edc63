"""Published versions on disk: what promotion writes and serving reads; light imports only.

`<home>/published/<version>/` holds one folder a model and `version.json`;
`<home>/published/manifest` is one line, the name of the version that is served.
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
        Its name and number in the registry, such as `churn/3`.
    run_id
        The run that trained it.
    snapshot
        The records that its answers rest on.
    as_of
        The instant that its answers are as of.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    run_id: str
    snapshot: str
    as_of: datetime


class PublishedVersion(BaseModel):
    """What a published version is made of.

    Attributes
    ----------
    version
        Its name, and that of its folder.
    dataset
        The dataset that it answers for.
    created
        When it was published.
    models
        What each model's folder holds, by the task's name; a model that the dataset cannot
        feed is absent.
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
        """Names of the folders that the version consists of."""
        return (*self.models, *self.companions)

    def other_instants(self, task: str, others: Iterable[str]) -> dict[str, datetime]:
        """Return the instants of those of `others` that do not answer as of the same as `task`.

        A champion that stays when others are replaced goes on answering as of its own instant.
        """
        as_of = self.models[task].as_of
        found = {name: self.models[name].as_of for name in others if name in self.models}
        return {name: instant for name, instant in found.items() if instant != as_of}


def root(home: Path) -> Path:
    """Return the folder that holds the published versions."""
    return home / "published"


def current(home: Path) -> Path | None:
    """Return the folder of the version that is served; None before the first is published."""
    try:
        name = (root(home) / MANIFEST).read_text().strip()
    except FileNotFoundError:
        return None
    return root(home) / name if name else None


def served(home: Path) -> tuple[Path, PublishedVersion] | None:
    """Return the version that is served and what it is made of; None where that cannot be read."""
    folder = current(home)
    record = None if folder is None else whole(folder)
    return None if folder is None or record is None else (folder, record)


def whole(folder: Path) -> PublishedVersion | None:
    """Read a version's record; None where it, or the folder of a model that it names, is gone."""
    try:
        record = read(folder)
    except ForesellError:
        return None
    return record if all((folder / name).is_dir() for name in record.folders) else None


def read(folder: Path) -> PublishedVersion:
    """Read what a published version is made of.

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
    """Turn a draft that holds every model's folder into a version, durably and as a whole.

    Parameters
    ----------
    draft
        A folder beside the versions, on the same file system; it is moved.

    Raises
    ------
    InvalidInput
        If the draft lacks the folder of a model that the record names, or the version is
        the one that is served, and whole.
    """
    folder = root(home) / record.version
    if folder == current(home) and whole(folder) is not None:
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
    """Make a complete version the served one: servers see the former or this, never half.

    Raises
    ------
    NotFound
        If there is no such version, or it is incomplete.
    """
    read(root(home) / name)
    write_durably(root(home) / MANIFEST, name + "\n")


def prune(home: Path, keep: int) -> list[str]:
    """Delete all but the newest `keep` whole versions and the served one; return what went."""
    there = {folder: whole(folder) for folder in versions(home)}
    made = {folder: record.created for folder, record in there.items() if record is not None}
    newest = sorted(made, key=lambda folder: made[folder], reverse=True)[:keep]
    old = [folder for folder in there if folder not in newest and folder != current(home)]
    for folder in old:
        delete(folder)
    return [folder.name for folder in old]


def versions(home: Path) -> list[Path]:
    """Return the folders of all complete versions."""
    # A draft's name begins with a dot; it may be in the making.
    return [path.parent for path in root(home).glob(f"[!.]*/{RECORD}")]


def delete(folder: Path) -> None:
    """Delete a version that is not served."""
    # The record goes first: whoever opens the folder from here on sees no version.
    (folder / RECORD).unlink()
    shutil.rmtree(folder)
