"""Checks that monitoring leaves: what was measured, what is usual, and what to do; light imports.

The nightly job writes them, `foresell status` and the service read them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from features.storage.snapshots import dataset_folder, write_durably

_FILE = "monitoring.json"


@dataclass(frozen=True)
class Check:
    """One property of records or answers beside what is usual.

    Attributes
    ----------
    kind
        `input`, `scores` or `quality`.
    name
        What was measured, such as `order lines`.
    value, low, high
        The value, and the least and the greatest usual one; None where there is no such bound.
    ok
        Whether the value is usual.
    detail
        What was measured, in words; if it is not usual, with what to do about it.
    """

    kind: str
    name: str
    value: float
    low: float | None
    high: float | None
    ok: bool
    detail: str


@dataclass(frozen=True)
class Monitoring:
    """All checks of a dataset, and the instant up to which its records were known."""

    as_of: datetime
    checks: Sequence[Check]

    @property
    def failing(self) -> list[Check]:
        """The checks whose values are not usual."""
        return [check for check in self.checks if not check.ok]


def write(home: Path, dataset: str, monitoring: Monitoring) -> None:
    """Replace the checks of a dataset."""
    content = {
        "as_of": monitoring.as_of.isoformat(),
        "checks": [asdict(check) for check in monitoring.checks],
    }
    write_durably(_path(home, dataset), json.dumps(content, indent=1))


def read(home: Path, dataset: str) -> Monitoring | None:
    """Return the newest checks of a dataset; None before the first."""
    try:
        content = json.loads(_path(home, dataset).read_text())
    except FileNotFoundError:
        return None
    checks = [Check(**check) for check in content["checks"]]
    return Monitoring(datetime.fromisoformat(content["as_of"]), checks)


def _path(home: Path, dataset: str) -> Path:
    return dataset_folder(home, dataset) / _FILE
