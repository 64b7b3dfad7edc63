"""Results kept on disk beside the snapshot that they were computed from: JSON values in and out.

`<home>/datasets/<dataset>/results/<snapshot>.<name>.json` has a value, and a digest of everything
that it depends on: the parts of the snapshot, further inputs and the code.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from features.storage.snapshots import read_snapshot, results_file, write_durably


def kept(
    folder: Path,
    snapshot: str,
    name: str,
    compute: Callable[[], Any],
    *,
    inputs: Any,
    packages: Iterable[str],
) -> Any:
    """Return the stored result; compute and store it where an input or the code has changed.

    Parameters
    ----------
    folder, snapshot
        A dataset's folder, and the snapshot that the result is of.
    name
        Name of the result, unique within a snapshot.
    compute
        Returns the result, which JSON can hold.
    inputs
        What the result depends on besides the records, as JSON can hold it.
    packages
        Top-level packages with the code that computes it.
    """
    path = results_file(folder, snapshot, name)
    # The parts count, and not the name of the snapshot: erasure replaces parts under the name.
    content = json.dumps([read_snapshot(folder, snapshot), inputs], sort_keys=True)
    digest = hashlib.sha256((content + code_digest(*packages)).encode()).hexdigest()
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["digest"] == digest:
            return stored["value"]
    value = compute()
    # A home may be read-only, as that of a service is.
    if os.access(folder, os.W_OK):
        path.parent.mkdir(exist_ok=True)
        write_durably(path, json.dumps({"digest": digest, "value": value}, indent=1))
    return value


@cache
def code_digest(*packages: str) -> str:
    """Return a digest of all source files of some top-level packages, without importing them."""
    digest = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(root).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(root)}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
