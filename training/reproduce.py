"""Fit a version again: its run in, a comparison of its files with the recorded ones out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from features.dataset import Dataset, open_dataset
from features.storage.snapshots import dataset_folder, is_replaced
from training.contract import model_with_options
from training.published import digests
from training.registered import Registry, Version
from training.registry import get_task, save_task
from training.tracking import code_version


@dataclass(frozen=True)
class Reproduction:
    """How the files of a version that was fitted again compare with the recorded ones.

    Attributes
    ----------
    version, run_id
        The version and its run.
    same, differing
        Names of files with the recorded digest, and with another or none.
    remarks
        What is not as it was when the version was trained, and may explain a difference.
    """

    version: str
    run_id: str
    same: tuple[str, ...]
    differing: tuple[str, ...]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {**asdict(self), "reproduced": not self.differing}


def reproduce(
    home: Path,
    registry: Registry,
    run_id: str,
    *,
    threads: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Fit the version of a run again, by its snapshot, options and instant, and compare the files.

    Parameters
    ----------
    threads
        Threads of the numeric libraries where the run recorded none; files state their number.

    Raises
    ------
    NotFound
        If there is no such run, or its snapshot was removed.
    """
    name, version = registry.of_run(run_id)
    dataset = open_dataset(home, name, version.snapshot)
    remarks = _remarks(home, name, version)
    progress(f"fit {version.label} again")
    fitted = _fit(version, dataset, version.threads or threads)
    recorded = dict(version.digests) or _measure(version.folder)
    names = sorted({*fitted, *recorded})
    same = tuple(file for file in names if fitted.get(file) == recorded.get(file))
    differing = tuple(file for file in names if file not in same)
    return Reproduction(version.label, run_id, same, differing, remarks)


def _fit(version: Version, dataset: Dataset, threads: int) -> dict[str, str]:
    """Fit a model as the version was fitted; return the digests of its files."""
    task = get_task(version.task)
    options = {**version.options, **version.params, "threads": threads}
    model = model_with_options(task.model, options).fit(dataset, version.as_of)
    with TemporaryDirectory() as folder:
        model.save(Path(folder))
        save_task(task, Path(folder))
        return _measure(Path(folder))


def _measure(folder: Path) -> dict[str, str]:
    return {name: file.sha256 for name, file in digests.measure(folder).items()}


def _remarks(home: Path, dataset: str, version: Version) -> tuple[str, ...]:
    remarks = []
    code = code_version()
    if version.code != code:
        remarks.append(f"the version was trained by code {version.code}, and this is {code}")
    elif code.endswith("-dirty"):
        remarks.append(f"code {code} has changes that are in no commit")
    if is_replaced(dataset_folder(home, dataset), version.snapshot):
        remarks.append(f"customers were erased from snapshot {version.snapshot} since")
    if not version.digests:
        remarks.append("the run recorded no digests; its stored files take their place")
    elif dict(version.digests) != _measure(version.folder):
        remarks.append(f"the stored files in {version.folder} are not those that were recorded")
    return tuple(remarks)
