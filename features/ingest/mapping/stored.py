"""Stored copies of mapping files: written after an import, read by repeated imports.

A copy starts with the path of the file that it copies, and has the absolute path of the folder
of its records.
"""

import os
import re
from pathlib import Path

from features.ingest.mapping.schema import Mapping

_COPY = "# A copy of "


def stored_file(home: Path, dataset: str) -> Path:
    """Return the path of a dataset's stored mapping."""
    return home / "sources" / f"{dataset}.toml"


def store_mapping(home: Path, path: Path, mapping: Mapping) -> None:
    """Store a copy of a mapping file, readable by its owner alone."""
    stored = stored_file(home, mapping.name)
    stored.parent.mkdir(parents=True, exist_ok=True)
    if stored.resolve() == path.resolve():
        return
    draft = stored.with_name(f".{stored.name}.{os.getpid()}")
    # A URL may contain a password.
    draft.touch(mode=0o600)
    draft.write_text(copy_text(path, mapping), encoding="utf-8")
    draft.replace(stored)


def copy_text(path: Path, mapping: Mapping) -> str:
    """Return a mapping file's text with an absolute `folder`, valid in any location."""
    first_line = f"{_COPY}{original_file(path)}\n"
    text = path.read_text(encoding="utf-8").removeprefix(first_line)
    section = re.search(r"^\s*\[", text, re.MULTILINE)
    end = section.start() if section else len(text)
    head = re.sub(r"^[ \t]*folder[ \t]*=.*\n", "", text[:end], flags=re.MULTILINE)
    folder = str(mapping.folder).replace("\\", "\\\\").replace('"', '\\"')
    return f'{first_line}folder = "{folder}"\n{head}{text[end:]}'


def original_file(path: Path) -> Path:
    """Return the mapping file that a stored copy was made of; other files are their own."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return Path(first.removeprefix(_COPY)) if first.startswith(_COPY) else path.resolve()
