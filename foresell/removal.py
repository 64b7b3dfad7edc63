"""Remove a dataset with everything that was made of it: records, published versions, champions."""

from __future__ import annotations

from contextlib import closing

from features.dataset import open_dataset
from features.errors import InvalidInput
from features.events.log import EventLog
from features.removal import remove_dataset
from features.storage.locks import job_lock
from foresell.settings import Settings
from training.published import versions as published


def check(settings: Settings, name: str, *, unpublish: bool = False) -> None:
    """Check that a dataset may be removed.

    Raises
    ------
    NotFound
        If there is no such dataset.
    InvalidInput
        If it is published and `unpublish` is false.
    """
    open_dataset(settings.home, name)
    published.drop_former_layout(settings.home)
    version = published.current(settings.home, name)
    if version is not None and not unpublish:
        raise InvalidInput(
            f"Dataset {name} is published as version {version.name}, from which a service may be "
            "answering; nothing was changed. Stop the service, and give --unpublish to withdraw "
            "the version too.",
            field="dataset",
        )


def remove(settings: Settings, name: str, *, unpublish: bool = False) -> None:
    """Remove a dataset for good; its models are no longer champions.

    Its runs and registered models stay; they contain no customer id.

    Parameters
    ----------
    unpublish
        Whether to withdraw its published versions as well.

    Raises
    ------
    NotFound, InvalidInput
        As `check` does.
    Unavailable
        If an import or a training job is running.
    """
    from training.promote import retire
    from training.registered import Registry
    from training.tracking import Tracker

    with job_lock(settings.home, "retrain"):
        check(settings, name, unpublish=unpublish)
        published.withdraw(settings.home, name)
        if Registry(settings.mlruns, settings.tracking_database).exists():
            retire(Tracker(settings.mlruns, settings.tracking_database), name)
        with closing(EventLog(settings.home, name, settings.events_database)) as log:
            log.remove()
        remove_dataset(settings.home, name)
