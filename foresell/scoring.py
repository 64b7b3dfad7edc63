"""Batch predictions: find or train the model of an instant, and write its predictions to a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.dataset import Dataset
from features.errors import InvalidInput
from foresell import output
from foresell.forecast_options import DemandScoreOptions
from foresell.jobs import dataset_of, tuned_params
from foresell.partitions import ENTITIES_PER_PART, check_folder, entities, write_parts
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.score_options import ScoreOptions, Scorer
from foresell.settings import Settings
from training.published.versions import FORMAT
from training.registered import Registry, Version

if TYPE_CHECKING:
    import polars as pl

    from training.backtest import Progress
    from training.contract import Task
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
    model_version: int | None = None,
    part_size: int = ENTITIES_PER_PART,
) -> tuple[Path, int]:
    """Write predictions; returns the file, or the folder of the parts, and the number of rows.

    Parameters
    ----------
    out
        A file, or a folder for parts (`foresell.partitions`).
    model_version
        Number of a registered version; by default one that is trained as of `as_of`, on the same
        records and with the same options, which is trained if there is none.
    part_size
        Customers or series in a part.

    Raises
    ------
    InvalidInput
        If options do not go together, or `out` or the version does not suit.
    """
    options = options or score_options(model, {})
    scorer = options.scorer()
    task = _one_task(options.task(model))
    dataset = dataset_of(settings)
    end = dataset.instant(as_of)
    (output.check if out.suffix else check_folder)(out)
    wanted = {"horizon_days": horizon, **options.set_up()}
    with progress_bar(f"score {task.name} on {dataset.name} as of {end.date()}") as progress:
        version = (
            _suited_version(settings, task, dataset, end, wanted, progress)
            if model_version is None
            else _numbered(settings, task, model_version, end, wanted)
        )
        progress(f"predict with {version.label}")
        fitted = task.model.load(version.folder)

        def predict(keys: pl.DataFrame | None) -> pl.DataFrame:
            if scorer is not None:
                return scorer(fitted, dataset, end)
            rows: pl.DataFrame = fitted.predict(dataset, end, keys)
            return rows

        if out.suffix:
            rows = predict(None)
            output.write(rows, out)
            return out, rows.height
        keys = entities(task.name, fitted, dataset, end) if scorer is None else None
        rest: dict[str, Any] = {"size": part_size, "progress": progress}
        chosen = asdict(options)
        return write_parts(out, version, dataset, end, keys, predict, options=chosen, **rest)


def _one_task(name: str) -> Task:
    from training.registry import select_tasks

    tasks = select_tasks(name)
    if len(tasks) != 1:
        raise InvalidInput("score writes predictions of one model; name one.", field="model")
    return tasks[0]


def _suited_version(
    settings: Settings,
    task: Task,
    dataset: Dataset,
    end: datetime,
    wanted: Mapping[str, Any],
    progress: Progress,
) -> Version:
    """Return a version with what is wanted of it, and the options that suit the records else."""
    from training.task_setup import set_up

    setup = set_up(
        task,
        dataset,
        end,
        folds=settings.folds,
        country=settings.country,
        explain_attributes=settings.explain_attributes,
        **wanted,
    )
    console.print(setup.describe())
    return trained_version(settings, setup, dataset, end, progress)


def _numbered(
    settings: Settings, task: Task, number: int, end: datetime, wanted: Mapping[str, Any]
) -> Version:
    """Look up a version by its number, and check that it suits what is wanted of it."""
    registry = Registry(settings.mlruns, settings.tracking_database)
    version = registry.numbered(settings.dataset, task.name, number)
    if version.format != FORMAT:
        raise InvalidInput(
            f"{version.label} was written by another version of Foresell, in other files; score "
            "without --model-version.",
            field="model_version",
        )
    if version.as_of > end:
        raise InvalidInput(
            f"{version.label} learned from records up to {version.as_of.date()}, which are not "
            f"known as of {end.date()}; choose an earlier version, or a later --as-of.",
            field="model_version",
        )
    for name, value in wanted.items():
        if value is not None and version.options.get(name) != value:
            raise InvalidInput(
                f"{name} = {value!r}, and {version.label} has {version.options.get(name)!r}: leave "
                "it out, or choose another version.",
                field=name,
            )
    return version


def trained_version(
    settings: Settings, setup: TaskSetup, dataset: Dataset, end: datetime, progress: Progress
) -> Version:
    """Return the registered version of these records, instant and options, or train it."""
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
    return version
