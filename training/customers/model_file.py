"""JSON file of a saved customer model: options and fitted values; boosters have native files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from training.contract import model_with_options, options_of

FILE = "model.json"


class HasThreads(Protocol):
    """A model that predicts with a number of threads."""

    threads: int


AnyModel = TypeVar("AnyModel", bound=HasThreads)


def write(model: Any, folder: Path, fitted: Mapping[str, Any]) -> None:
    """Write a model's options and fitted values; the folder is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"options": options_of(model), **fitted}
    (folder / FILE).write_text(json.dumps(content, indent=1))


def read(
    model: type[AnyModel], folder: Path, threads: int | None = None
) -> tuple[AnyModel, dict[str, Any]]:
    """Make the model with the saved options; return it with the fitted values.

    It predicts with `threads`, by default as many as it was fitted with.
    """
    content = json.loads((folder / FILE).read_text())
    made = model_with_options(model, content.pop("options"))
    made.threads = threads or made.threads
    return made, content
