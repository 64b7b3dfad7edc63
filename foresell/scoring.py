"""Batch predictions: find or train the model of an instant, and write its predictions to a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.dataset import Dataset
from features.errors import InvalidInput
from foresell import output
from foresell.forecast_options import DemandScoreOptions
from foresell.jobs import dataset_of, tuned_params
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.score_options import ScoreOptions, Scorer
from foresell.settings import Settings

if TYPE_CHECKING:
    from training.backtest import Progress
    from training.task_setup import TaskSetup


@dataclass(frozen=True)
class NextPurchaseScoreOptions(ScoreOptions):
    """Options of `score` for next-purchase: `by` a key, `category`, besides the customer."""

    by: str | None = None

    def task(self, model: str) -> str:
        """Return next-category where predictions are by category.

        Raises
        ------
        InvalidInput
            If there are no predictions by that key.
        """
        if self.by is None:
            return model
        if self.by != "category":
            raise InvalidInput(
                f"by = {self.by!r}: {model} has no predictions by it; use --by category.",
                field="by",
            )
        return "next-category"


@dataclass(frozen=True)
class RecommenderScoreOptions(ScoreOptions):
    """Options of `score` for recommender: `list_name`, one of its lists (default `for_you`)."""

    list_name: str | None = None

    def scorer(self) -> Scorer:
        """Return what computes the list for every customer, or for every product.

        Raises
        ------
        InvalidInput
            If there is no such list.
        """
        from serving.recommender.batch import PRODUCT_LISTS, batch_list
        from serving.recommender.query import LISTS

        name = self.list_name or LISTS[0]
        if name not in (*LISTS, *PRODUCT_LISTS):
            known = ", ".join((*LISTS, *PRODUCT_LISTS))
            raise InvalidInput(f"list = {name!r} is no list; use {known}.", field="list")
        return lambda model, dataset, as_of: batch_list(model, dataset, as_of, name)


OPTIONS: Mapping[str, type[ScoreOptions]] = {
    "demand": DemandScoreOptions,
    "next-purchase": NextPurchaseScoreOptions,
    "recommender": RecommenderScoreOptions,
}


def score_options(model: str, flags: Mapping[str, Any]) -> ScoreOptions:
    """Return the options of a model from flags by field name; None and False are not given.

    Raises
    ------
    InvalidInput
        If a flag is given that the model does not have.
    """
    given = {name: value for name, value in flags.items() if value not in (None, False)}
    options = OPTIONS.get(model, ScoreOptions)
    for name in given:
        if name not in _names(options):
            flag = name.removesuffix("_name")
            owner = next(other for other, kind in OPTIONS.items() if name in _names(kind))
            raise InvalidInput(
                f"--{flag} is an option of {owner}, and {model} does not have it: leave it out, "
                f"or score {owner}.",
                field=flag,
            )
    return options(**given)


def _names(options: type[ScoreOptions]) -> set[str]:
    return {option.name for option in fields(options)}


def score(
    settings: Settings,
    model: str,
    out: Path,
    *,
    as_of: str | None = None,
    horizon: int | None = None,
    options: ScoreOptions | None = None,
) -> int:
    """Write predictions of a model trained as of `as_of`; returns the number of rows.

    A version with the same records, instant and options is reused, otherwise one is trained.
    """
    from training.registry import select_tasks
    from training.task_setup import set_up

    options = options or score_options(model, {})
    scorer = options.scorer()
    tasks = select_tasks(options.task(model))
    if len(tasks) != 1:
        raise InvalidInput("score writes predictions of one model; name one.", field="model")
    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    output.check(out)
    setup = set_up(
        tasks[0],
        dataset,
        end,
        folds=settings.folds,
        horizon_days=horizon,
        country=settings.country,
        explain_attributes=settings.explain_attributes,
        **options.set_up(),
    )
    console.print(setup.describe())
    title = f"score {setup.task.name} on {dataset.name} as of {end.date()}"
    with progress_bar(title) as progress:
        fitted = fitted_model(settings, setup, dataset, end, progress)
        rows = fitted.predict(dataset, end) if scorer is None else scorer(fitted, dataset, end)
        output.write(rows, out)
    return int(rows.height)


def fitted_model(
    settings: Settings, setup: TaskSetup, dataset: Dataset, end: datetime, progress: Progress
) -> Any:
    """Load the registered model of these records, instant and options, or train it."""
    from training import train as training
    from training.tracking import Tracker

    tracker = Tracker(settings.mlruns, settings.tracking_database)
    version = training.trained_as_of(
        setup.task,
        dataset,
        tracker,
        end,
        setup.options,
        lambda: training.train(
            setup.task,
            dataset,
            tracker,
            as_of=end,
            options=setup.options,
            params=tuned_params(settings, setup, dataset, end),
            threads=settings.threads,
            progress=progress,
        ),
    )
    if version.standing.behind:
        console.print(f"[yellow]{version.standing.describe(version.label)}[/]", soft_wrap=True)
    progress(f"predict with {version.label}")
    return setup.task.model.load(version.folder)
