"""Sizes and SHA-256 digests of a version's files: recorded when published, checked when served.

A folder in, digests by relative path out, and back: a folder and its digests in, an error out if a
file differs.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from features.errors import InvalidInput

# Size and time of the last change of each file, by relative path.
Stamps = dict[str, tuple[int, int]]


class FileDigest(BaseModel):
    """Size in bytes and SHA-256 of a file's content."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


def measure(folder: Path) -> dict[str, FileDigest]:
    """Return the digest of every file below a folder, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in paths}


def verify(folder: Path, digests: Mapping[str, FileDigest]) -> None:
    """Check that a folder has the recorded files with the recorded content.

    Raises
    ------
    InvalidInput
        If a file is missing or its size or content differs; it names the file.
    """
    for name, expected in digests.items():
        path = folder / name
        try:
            size = path.stat().st_size
            cause = f"has {size:,} bytes instead of {expected.size:,}"
            intact = size == expected.size
            if intact:
                intact, cause = _digest(path) == expected, "has another content than published"
        except OSError:
            intact, cause = False, "cannot be read"
        if not intact:
            raise InvalidInput(
                f"File {name} of published version {folder.name!r} {cause}; run `foresell "
                "rollback MODEL`, or train and publish again.",
                field="version",
            )


def stamps(folder: Path, digests: Mapping[str, FileDigest]) -> Stamps:
    """Return size and modification time (ns) of the recorded files, which a change in place alters.

    Missing files are left out: readers keep deleted files open.
    """
    found: Stamps = {}
    for name in digests:
        try:
            state = (folder / name).stat()
        except FileNotFoundError:
            continue
        found[name] = (state.st_size, state.st_mtime_ns)
    return found


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileDigest(size=stream.tell(), sha256=sha256)
