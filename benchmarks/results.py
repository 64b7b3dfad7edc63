"""A measured table in, its section of RESULTS.md replaced; used by every benchmark.

`record("demand, product by week", frame, note="...")` prints the table and writes it, with the
date, the machine's processors and the versions of the packages compared.
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
    "# What was measured against peers\n\n"
    "Written by `make bench`; each section is replaced by the run of its own command. Processor "
    "seconds are of one machine: read them as ratios within a table.\n"
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
    """Print a table and put it into the results file in place of the last one of its title.

    Parameters
    ----------
    title
        Heading of the section; one title, one table.
    table
        What was measured; floats are shown with three decimals.
    command
        The command that prints the table.
    packages
        Distributions whose versions matter beside Python's.
    note
        What a reader must know: protocol, subsamples, bars.
    path
        The results file.
    """
    body = _markdown(table)
    print(f"\n{title}\n{body}\n{note}")
    versions = [f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]
    parts = [f"## {title}\n", f"`{command}`, {datetime.now(UTC):%Y-%m-%d}; {', '.join(versions)}\n"]
    parts += [body + "\n"] + ([note + "\n"] if note else [])
    sections = _sections(path.read_text() if path.exists() else "")
    sections[title] = "\n".join(parts)
    path.write_text(_HEAD + "\n" + "\n".join(sections[name] for name in sorted(sections)))


def _sections(text: str) -> dict[str, str]:
    found = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0][3:]: part.rstrip("\n") + "\n" for part in found}


def _markdown(table: pl.DataFrame) -> str:
    rows = [table.columns, ["---"] * table.width]
    rows += [[_text(value) for value in row] for row in table.iter_rows()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)
