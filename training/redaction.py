"""Who may not be in published answers, and how they are taken out of a version in the making.

Models that did not change are published again as they were, and a withdrawal or an erasure may
have come in between; so `promote` takes out, last of all, whoever must not be there.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.dataset import newest_tables
from features.ingest.forgotten import Forgotten
from features.privacy.consent import consenting
from features.storage.snapshots import dataset_folder
from training.registry import TASKS


@dataclass(frozen=True)
class Withheld:
    """Those of a dataset who are not to be answered for by name.

    Attributes
    ----------
    forgotten
        Who asked to be forgotten.
    agreed
        Who consents; None where nobody was asked.
    """

    forgotten: Forgotten
    agreed: frozenset[str] | None

    @classmethod
    def of(cls, home: Path, dataset: str) -> Self:
        """Read who they are."""
        agreed = consenting(newest_tables(home, dataset))
        forgotten = Forgotten.load(dataset_folder(home, dataset))
        return cls(forgotten, None if agreed is None else frozenset(agreed))

    @property
    def state(self) -> str:
        """What changes when they change; empty where there is nobody to withhold."""
        if self.agreed is None and not self.forgotten.hashes:
            return ""
        told = [*sorted(self.forgotten.hashes), "agreed", *sorted(self.agreed or ())]
        return hashlib.sha256("\0".join(told).encode()).hexdigest()

    def among(self, customer_ids: pl.Series) -> pl.Series:
        """Say which ids are theirs."""
        gone = self.forgotten.among(customer_ids)
        return gone if self.agreed is None else gone | ~customer_ids.is_in(list(self.agreed))

    def take_out(self, version: Path) -> int:
        """Take them out of every model's folder of a version that nobody serves yet.

        Files are replaced, not changed: other versions may share them.

        Returns
        -------
        int
            How many customers were taken out.
        """
        if not self.state:
            return 0
        gone: set[str] = set()
        for task in TASKS.values():
            formats = {task.name: task.erase}
            formats |= {name: one.erase for name, one in task.companions.items()}
            for name, erase in formats.items():
                if erase is not None and (version / name).is_dir():
                    gone |= erase(version / name, self.among)
        return len(gone)
