"""The folder of what the nightly job of a dataset keeps."""

from pathlib import Path

from features.storage.snapshots import dataset_folder


def retraining_folder(home: Path, dataset: str) -> Path:
    """Return the folder of results of steps, of backtests and of reports."""
    return dataset_folder(home, dataset) / "retraining"
