"""Results file of the benchmarks: a measured table in, its section of RESULTS.md replaced.

`record("demand, product by week", table, note="...")` prints the table and writes it with the date,
the Python version and the versions of the compared packages.
"""

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import polars as pl

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = (
    "# Benchmark results\n\n"
    "Written by `make bench`; each command replaces the sections that it measures. CPU seconds "
    "depend on the machine: compare them within a table.\n"
)


def record(
    title: str,
    table: pl.DataFrame,
    *,
    command: str,
    packages: Sequence[str] = (),
    note: str = "",
    path: Path = RESULTS,
) -> None:
    """Print a table and write it to the results file, replacing the section of the same title.

    Parameters
    ----------
    title
        Heading of the section.
    table
        Measured values; floats are written with three decimals.
    command
        The command that measures the table.
    packages
        Distributions whose versions are written next to that of Python; with a version of another
        environment (`mlforecast 1.1.0`) it is taken as it is.
    note
        Protocol, samples and definitions that a reader needs.
    path
        The results file.
    """
    body = _markdown(table)
    print(f"\n{title}\n{body}\n{note}")
    versions = [f"Python {platform.python_version()}", *map(_versioned, packages)]
    parts = [f"## {title}\n", f"`{command}`, {datetime.now(UTC):%Y-%m-%d}; {', '.join(versions)}\n"]
    parts += [body + "\n"] + ([note + "\n"] if note else [])
    sections = _sections(path.read_text() if path.exists() else "")
    sections[title] = "\n".join(parts)
    path.write_text(_HEAD + "\n" + "\n".join(sections[name] for name in sorted(sections)))


def _versioned(package: str) -> str:
    return package if " " in package else f"{package} {version(package)}"


def _sections(text: str) -> dict[str, str]:
    """Split the text of a results file into sections by title."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0][3:]: part.rstrip("\n") + "\n" for part in parts}


def _markdown(table: pl.DataFrame) -> str:
    rows = [table.columns, ["---"] * table.width]
    rows += [[_text(value) for value in row] for row in table.iter_rows()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)
