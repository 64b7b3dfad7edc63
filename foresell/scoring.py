"""Batch predictions: open what the settings name, find or train the model, write its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.dataset import Dataset
from features.errors import InvalidInput
from foresell import output as rows_out
from foresell.jobs import dataset_of, tuned
from foresell.progress import console, progress
from foresell.settings import Settings

if TYPE_CHECKING:
    import polars as pl

# Asked (model, dataset, as_of) for rows.
Answer = Callable[[Any, Dataset, datetime], "pl.DataFrame"]

# What a model's answers may be broken down by, and the model that answers then.
BREAKDOWNS = {("next-purchase", "category"): "next-category"}


def by(model: str, key: str) -> str:
    """Return the model that answers a question broken down by `key`.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    if (model, key) not in BREAKDOWNS:
        known = ", ".join(f"{name} --by {column}" for name, column in BREAKDOWNS)
        raise InvalidInput(f"by = {key!r} is not answered for {model}; use {known}.", field="by")
    return BREAKDOWNS[model, key]


def listed(model: str, kind: str | None) -> Answer | None:
    """Return what answers for a kind of list; the recommender's is `for_you` by default.

    Raises
    ------
    InvalidInput
        If the model makes no lists, or there is no such kind.
    """
    if model != "recommender":
        if kind is not None:
            raise InvalidInput(f"kind = {kind!r} is not answered for {model}.", field="kind")
        return None
    from serving.recommender.batch import OF_PRODUCTS, lists_of
    from serving.recommender.query import KINDS

    asked = kind or KINDS[0]
    if asked not in (*KINDS, *OF_PRODUCTS):
        known = ", ".join((*KINDS, *OF_PRODUCTS))
        raise InvalidInput(f"kind = {asked!r} is no kind of list; use {known}.", field="kind")
    return lambda fitted, dataset, as_of: lists_of(fitted, dataset, as_of, asked)


def score(
    settings: Settings,
    model: str,
    out: Path,
    *,
    as_of: str | None = None,
    horizon: int | None = None,
    grain: str | None = None,
    answer: Answer | None = None,
) -> int:
    """Write the predictions of a model trained as of `as_of`; returns the number of rows.

    `answer` is asked (model, dataset, as_of) for the rows, by default `predict`.
    """
    from training import train as training
    from training.contract import in_country
    from training.registry import select_tasks
    from training.task_setup import set_up
    from training.tracking import Tracker

    tasks = select_tasks(model)
    if len(tasks) != 1:
        raise InvalidInput("score writes one model's answers; name one.", field="model")
    task = tasks[0]
    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    rows_out.check(out)
    setup = set_up(task, dataset, end, folds=settings.folds, grain=grain, horizon_days=horizon)
    console.print(setup.describe())
    options = setup.options
    tracker = Tracker(settings.mlruns)
    with progress(f"score {model} on {dataset.name} as of {end.date()}") as tell:
        version = training.trained_as_of(
            task,
            dataset,
            tracker,
            end,
            options,
            lambda: training.train(
                task,
                dataset,
                tracker,
                as_of=end,
                folds=0,
                options=options,
                params=tuned(settings, task, dataset, options, setup.folds, end),
                threads=settings.threads,
                progress=tell,
            ),
            country=in_country(task, settings.country).get("country"),
        )
        tell(f"predict with {version.label}")
        fitted = task.model.load(version.folder)
        rows = fitted.predict(dataset, end) if answer is None else answer(fitted, dataset, end)
        rows_out.write(rows, out)
    return int(rows.height)
