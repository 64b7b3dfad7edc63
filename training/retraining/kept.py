"""Results of steps that are kept as JSON, each with the digest of its inputs."""

import json
from pathlib import Path
from typing import Any

from features.storage.snapshots import dataset_folder, write_durably


def retraining_folder(home: Path, dataset: str) -> Path:
    """Return the folder of what the nightly job of a dataset keeps."""
    return dataset_folder(home, dataset) / "retraining"


def recall(folder: Path, name: str, inputs: str) -> Any | None:
    """Return the result of a step if it was computed from these inputs, else None."""
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    return stored.get("value") if stored.get("inputs") == inputs else None


def remember(folder: Path, name: str, inputs: str, value: Any) -> None:
    """Keep the result of a step in place of its former one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{name}.json", json.dumps({"inputs": inputs, "value": value}, indent=1))
