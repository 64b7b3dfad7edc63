"""Results of steps kept on disk as JSON, each with a digest of what it depends on, code included.

Equal digests mean equal results: what was computed before is used again. Code counts by the text of
sources, not by the commit, which changes with every page of the documentation.
"""

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from features.storage.snapshots import read_snapshot, results_file, write_durably

_ROOT = Path(__file__).parents[2]


def digest(*values: Any) -> str:
    """Return a short hash of plain values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def sources_digest(*patterns: str) -> str:
    """Return a hash of the sources that match some patterns below the product's folder."""
    paths = sorted({path for pattern in patterns for path in _ROOT.glob(pattern)})
    texts = [(path.relative_to(_ROOT).as_posix(), path.read_bytes()) for path in paths]
    return digest(*((name, hashlib.sha256(text).hexdigest()) for name, text in texts))


def recall(folder: Path, name: str, inputs: str) -> Any | None:
    """Return the result of a step if it was computed from these inputs, else None."""
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    return stored.get("value") if stored.get("inputs") == inputs else None


def remember(folder: Path, name: str, inputs: str, value: Any) -> None:
    """Keep the result of a step in place of its former one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{name}.json", json.dumps({"inputs": inputs, "value": value}, indent=1))


def of_snapshot(
    folder: Path,
    snapshot: str,
    name: str,
    compute: Callable[[], Any],
    *,
    inputs: Any,
    sources: tuple[str, ...],
) -> Any:
    """Return the kept result of a snapshot; compute and keep it if an input or the code changed.

    Parameters
    ----------
    folder, snapshot
        A dataset's folder, and the snapshot that the result is of.
    name
        Name of the result, unique within a snapshot.
    compute
        Returns the result, which JSON can hold and is not None.
    inputs
        What the result depends on besides the records, as JSON can hold it.
    sources
        Patterns of the sources that compute it, as for `sources_digest`.
    """
    # The parts count, and not the name of the snapshot: erasure replaces parts under the name.
    depends_on = digest(read_snapshot(folder, snapshot), inputs, sources_digest(*sources))
    path = results_file(folder, snapshot, name)
    value = recall(path.parent, path.stem, depends_on)
    if value is None:
        value = compute()
        # A home may be read-only, as that of a service is.
        if os.access(folder, os.W_OK):
            remember(path.parent, path.stem, depends_on, value)
    return value
