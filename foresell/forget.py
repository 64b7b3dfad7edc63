"""Forget a person: in every dataset, in what is served, and whenever their records come again."""

from __future__ import annotations

from typing import Any

from features.dataset import list_datasets, open_dataset
from features.erasure import erase, knows
from features.errors import NotFound
from features.privacy.pseudonyms import VARIABLE, Pseudonyms, key_check
from features.storage.locks import job_lock
from features.storage.snapshots import dataset_folder
from foresell.settings import Settings


def forget(
    settings: Settings, customer_id: str, dataset: str | None = None
) -> list[dict[str, Any]]:
    """Remove a customer from one dataset or all; one row a dataset that knew them.

    Returns
    -------
    list of dict
        dataset; orders (lines that are anonymous now), customers and touchpoints (rows gone),
        snapshots (older ones that were cleaned), quarantine (rows blanked), published (whether
        answers about them were served), again (whether they had been forgotten before).

    Raises
    ------
    NotFound
        If no dataset knows the customer, or there is no such dataset.
    Unavailable
        If an import or a retraining job runs.
    """
    names = list_datasets(settings.home)
    if dataset is not None:
        names = [open_dataset(settings.home, dataset).name]
    found = []
    # A job that has read the records already would publish the person again.
    with job_lock(settings.home, "retrain"):
        for name in names:
            ids = _stored_as(settings, name, customer_id)
            if knows(settings.home, name, ids):
                found.append(_forgotten(settings, name, ids))
    if not found:
        hidden = [name for name in names if key_check(dataset_folder(settings.home, name))]
        remedy = (
            f" {', '.join(hidden)} holds pseudonyms: set {VARIABLE} to the key it was begun with, "
            "or give the id that it is stored under."
            if hidden
            else ""
        )
        raise NotFound(
            f"No record of such a customer in {', '.join(names) or 'any dataset'}; nothing was "
            f"changed.{remedy}",
            field="customer_id",
        )
    return found


def _stored_as(settings: Settings, name: str, customer_id: str) -> set[str]:
    """Ids under which a dataset may hold a customer: the one given, and its pseudonym."""
    check = key_check(dataset_folder(settings.home, name))
    if check is None or settings.secret is None:
        return {customer_id}
    pseudonyms = Pseudonyms.keyed(settings.secret)
    return {customer_id} | ({pseudonyms.one(customer_id)} if pseudonyms.check == check else set())


def _forgotten(settings: Settings, name: str, ids: set[str]) -> dict[str, Any]:
    from training.release import renew

    erased = erase(settings.home, name, ids)
    return {
        "dataset": name,
        **{table: erased.tables[table] for table in ("orders", "customers", "touchpoints")},
        "snapshots": erased.snapshots,
        "quarantine": erased.quarantine,
        "published": bool(renew(settings.home, name)),
        "again": erased.known,
    }
