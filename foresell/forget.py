"""Forget a customer in every dataset, in what is served, and in future imports."""

from __future__ import annotations

from typing import Any

from features.dataset import open_dataset
from features.erasure import erase, is_known
from features.errors import NotFound
from features.privacy.pseudonyms import KEY_VARIABLE, Pseudonyms, read_key_check
from features.storage.locks import job_lock
from features.storage.snapshots import dataset_folder, list_datasets
from foresell.settings import Settings


def find(settings: Settings, customer_id: str, dataset: str | None = None) -> list[str]:
    """Return which of all datasets, or of one, know a customer or have forgotten them.

    Raises
    ------
    NotFound
        If no dataset knows the customer, or there is no such dataset.
    """
    names = list_datasets(settings.home)
    if dataset is not None:
        names = [open_dataset(settings.home, dataset).name]
    known = [
        name
        for name in names
        if is_known(
            settings.home,
            name,
            _stored_ids(settings, name, customer_id),
            settings.events_database,
        )
    ]
    if not known:
        hidden = [name for name in names if read_key_check(dataset_folder(settings.home, name))]
        remedy = (
            f" {', '.join(hidden)} has pseudonyms: set {KEY_VARIABLE} to the key that it was "
            "created with, or give the id as it is stored."
            if hidden
            else ""
        )
        raise NotFound(
            f"No record of such a customer in {', '.join(names) or 'any dataset'}; nothing was "
            f"changed.{remedy}",
            field="customer_id",
        )
    return known


def forget(
    settings: Settings, customer_id: str, dataset: str | None = None
) -> list[dict[str, Any]]:
    """Remove a customer from one dataset or all; returns one row per dataset that knew them.

    Returns
    -------
    list of dict
        dataset; orders (lines made anonymous), customers and touchpoints (rows deleted),
        snapshots (older ones cleaned), quarantine (rows blanked), events (erased from the
        log), published (whether they were in what is served), again (whether they had been
        forgotten before).

    Raises
    ------
    NotFound
        As `find` does.
    Unavailable
        If an import or a training job is running.
    """
    # A job that has read the records already would publish the customer again.
    with job_lock(settings.home, "retrain"):
        return [
            _forget_in(settings, name, _stored_ids(settings, name, customer_id))
            for name in find(settings, customer_id, dataset)
        ]


def _stored_ids(settings: Settings, name: str, customer_id: str) -> set[str]:
    """Return the ids under which a dataset may store a customer: as given, and its pseudonym."""
    check = read_key_check(dataset_folder(settings.home, name))
    if check is None or settings.secret is None:
        return {customer_id}
    pseudonyms = Pseudonyms.from_key(settings.secret)
    return {customer_id} | (
        {pseudonyms.pseudonym(customer_id)} if pseudonyms.check == check else set()
    )


def _forget_in(settings: Settings, name: str, ids: set[str]) -> dict[str, Any]:
    from training.release import republish

    erased = erase(settings.home, name, ids, settings.events_database)
    return {
        "dataset": name,
        **{table: erased.tables[table] for table in ("orders", "customers", "touchpoints")},
        "snapshots": erased.snapshots,
        "quarantine": erased.quarantine,
        "events": erased.events,
        "published": bool(republish(settings.home, name)),
        "again": erased.known,
    }
