"""Redact published versions: remove customers who were forgotten or do not consent.

Unchanged models are published again as they were, and a customer may withdraw or be forgotten
meanwhile. Redaction is therefore the last step before a version is served.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.dataset import newest_tables
from features.ingest.forgotten import ForgottenCustomers
from features.privacy.consent import consenting_ids
from features.storage.snapshots import dataset_folder
from training.registry import TASKS


@dataclass(frozen=True)
class Redaction:
    """Customers of a dataset for whom nothing may be published.

    Attributes
    ----------
    forgotten
        Customers who asked to be forgotten.
    consenting
        Customers who consent; None where the dataset has no consent column.
    """

    forgotten: ForgottenCustomers
    consenting: frozenset[str] | None

    @classmethod
    def load(cls, home: Path, dataset: str) -> Self:
        """Read the current state of a dataset."""
        ids = consenting_ids(newest_tables(home, dataset))
        forgotten = ForgottenCustomers.load(dataset_folder(home, dataset))
        return cls(forgotten, None if ids is None else frozenset(ids))

    @property
    def fingerprint(self) -> str:
        """Hash of the redacted customers; empty where nobody can be redacted."""
        if self.consenting is None and not self.forgotten.hashes:
            return ""
        # "agreed" separates the two sets; names of published versions depend on it.
        parts = [*sorted(self.forgotten.hashes), "agreed", *sorted(self.consenting or ())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def mask(self, customer_ids: pl.Series) -> pl.Series:
        """Mark the redacted customers in a series of ids."""
        forgotten = self.forgotten.contains(customer_ids)
        if self.consenting is None:
            return forgotten
        return forgotten | ~customer_ids.is_in(list(self.consenting))

    def redact(self, version: Path, redacted: Collection[str] = ()) -> int:
        """Remove redacted customers from every folder of a version that is not served yet.

        Files are replaced and not changed in place, since other versions may link to them.

        Parameters
        ----------
        version
            The version's folder.
        redacted
            Tasks whose folders are left out because they are redacted already.

        Returns
        -------
        int
            Number of customers removed.
        """
        if not self.fingerprint:
            return 0
        removed: set[str] = set()
        for task in (task for task in TASKS.values() if task.name not in redacted):
            erasers = {task.name: task.erase}
            erasers |= {name: companion.erase for name, companion in task.companions.items()}
            for name, erase in erasers.items():
                if erase is not None and (version / name).is_dir():
                    removed |= erase(version / name, self.mask)
        return len(removed)
