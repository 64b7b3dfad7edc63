"""Removal of a stored dataset: tables, snapshots, quarantine, mapping, leftovers of imports."""

from pathlib import Path

from features.errors import NotFound
from features.ingest.forgotten import ForgottenCustomers
from features.ingest.mapping.stored import stored_file
from features.ingest.quarantine import quarantine_files, remove_draft
from features.storage.locks import clean_up_scratch, job_lock
from features.storage.snapshots import dataset_folder, list_datasets, remove_folder


def remove_dataset(home: Path, name: str) -> None:
    """Remove a dataset for good.

    The hashes of erased customers stay, so that a later dataset of this name does not restore
    them. After a crash, the next run completes the removal.

    Raises
    ------
    NotFound
        If there is no such dataset.
    Unavailable
        If an import into it is running.
    """
    folder = dataset_folder(home, name)
    if name not in list_datasets(home):
        known = ", ".join(list_datasets(home)) or "none"
        raise NotFound(
            f"There is no dataset {name!r} under {home}; there is: {known}.", field="dataset"
        )
    with job_lock(home, f"import-{name}"):
        for path in quarantine_files(home, name):
            remove_draft(path)
            path.unlink(missing_ok=True)
        stored_file(home, name).unlink(missing_ok=True)
        remove_folder(folder, kept=ForgottenCustomers.file(folder))
    clean_up_scratch(home)
