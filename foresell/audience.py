"""Audiences and segments for the command line: published predictions in, customers out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.errors import Unavailable
from foresell.jobs import dataset_of
from foresell.progress import progress as progress_bar
from foresell.scoring import trained_version
from foresell.settings import Settings
from training.published import versions as published

if TYPE_CHECKING:
    from serving.audience.reader import Audience


def find(
    settings: Settings, where: str, value: str | None = None
) -> tuple[Audience, dict[str, datetime]]:
    """Find the customers for whom a condition holds, in the published version.

    Returns
    -------
    tuple
        The audience; and the instant of churn's predictions, with those of other models whose
        instant differs.

    Raises
    ------
    Unavailable
        If nothing is published for the dataset, or no churn model.
    InvalidInput
        If the condition cannot be parsed, or names an unknown field.
    """
    from serving.audience.reader import FURTHER_MODELS, find_audience
    from serving.readers import READERS

    folder, record = published.served(settings.home, settings.dataset) or (None, None)
    if folder is None or record is None:
        raise Unavailable(
            "An audience is chosen from what is published, and nothing is published of dataset "
            f"{settings.dataset}; run `foresell train all --dataset {settings.dataset}`."
        )
    if "churn" not in record.models:
        raise Unavailable(
            f"Version {record.version} has no churn model, which an audience needs; "
            "run `foresell train churn`."
        )
    names = [name for name in ("churn", "profile", *FURTHER_MODELS) if name in record.folders]
    models = {name: READERS[name](folder / name) for name in names}
    instants = {
        "churn": record.models["churn"].as_of,
        **record.other_instants("churn", FURTHER_MODELS),
    }
    return find_audience(models, where, value), instants


def segments(settings: Settings, as_of: str | None = None) -> dict[str, Any]:
    """Count customers by stage, RFM segment and cluster, with the stability of the clusters.

    Stages need a churn model: a registered one of these records and this instant is reused,
    otherwise one is trained.

    Raises
    ------
    NotFound
        If there is no such dataset.
    MissingData
        If it has no order lines with a customer, or is too short for a churn model.
    """
    from training.models.churn.segment_counts import segment_counts
    from training.models.churn.task import CHURN
    from training.task_setup import set_up

    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    setup = set_up(CHURN, dataset, end, folds=0)
    with progress_bar(f"segments of {dataset.name} as of {end.date()}") as progress:
        version = trained_version(settings, setup, dataset, end, progress)
        progress(f"predict with {version.label}")
        model = setup.task.model.load(version.folder)
        counts = segment_counts(model, dataset, end)
    return {"dataset": dataset.name, "as_of": end.isoformat(), **counts}
