"""Backtest a task: refit its model and baselines at rolling origins, evaluate all on equal cases.

A task, a dataset and origins go in; a report with one row per fold, method, slice and metric comes
out.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.errors import InvalidInput, MissingData
from training.contract import Predictor, Score, Task, model_with_options
from training.measurements import paired_gains, probe, summarise_probes
from training.task_setup import folds_to_judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = {
    "model": pl.String,
    "dataset": pl.String,
    "fold": pl.Int32,
    "as_of": pl.String,
    "method": pl.String,
    "slice": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "n": pl.Int64,
}
FORESELL = "foresell"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """Results of a backtest.

    Attributes
    ----------
    task, dataset, options, origins
        What was evaluated, on which records, as of which instants.
    rows
        One row per fold, method, slice and metric, in `SCHEMA`.
    predictions
        Predictions of the last fold by method, for plots.
    seconds
        CPU seconds of fitting and predicting by method, summed over folds.
    losses
        The model's primary metric of each evaluated case, fold by fold; empty without such values.
    predict_seconds
        CPU seconds in which the model predicts a hundred entities whose features are known, the
        least of the folds.
    not_finite
        Share of the model's predicted numbers that are NaN or infinite, the largest of the folds.
    """

    task: Task
    dataset: Dataset = field(repr=False)
    options: Mapping[str, Any]
    origins: Sequence[datetime]
    rows: pl.DataFrame = field(repr=False)
    predictions: Mapping[str, pl.DataFrame] = field(repr=False)
    seconds: Mapping[str, float]
    losses: Sequence[NDArray[np.float64]] = field(default=(), repr=False)
    predict_seconds: float = 0.0
    not_finite: float = 0.0

    def figures(self) -> "dict[str, Figure]":
        """Draw the task's figures of the model's predictions at the last origin, by name."""
        predictions = self.predictions[FORESELL]
        return self.task.plots(self.dataset, self.origins[-1], self.options, predictions)

    def summary(self) -> pl.DataFrame:
        """Return the primary metric by method, best first.

        Returns
        -------
        polars.DataFrame
            `method`, `value` (mean over folds), `folds` (list of values) and `foresell_ratio`
            (the model's mean over the method's).

        Raises
        ------
        MissingData
            As `primary` does.
        """
        model = self.primary(FORESELL)
        means = (
            self._primary_rows()
            .group_by("method")
            .agg(pl.col("value").mean(), pl.col("value").alias("folds"))
            .sort("value", "method", descending=[not self.task.lower_is_better, False])
        )
        return means.with_columns((model / pl.col("value")).alias("foresell_ratio"))

    def primary(self, method: str) -> float:
        """Return the mean of the primary metric over folds for one method.

        Raises
        ------
        MissingData
            If no fold has the primary metric.
        """
        values = self.by_fold(method)
        if not values:
            raise MissingData(
                f"{self.task.name} of dataset {self.dataset.name} cannot be evaluated: nothing "
                "happened in the evaluated windows of "
                f"{self.options['horizon_days']} days from "
                f"{' and '.join(str(origin.date()) for origin in self.origins)}; ask for more "
                "folds or another horizon.",
                field="folds",
            )
        return fmean(values)

    def mean(self, metric: str, of: str = "all") -> float | None:
        """Return the mean over folds of a metric of the model on a slice; None if not measured."""
        overall = (pl.col("method") == FORESELL) & (pl.col("slice") == of)
        values = self.rows.filter(overall, pl.col("metric") == metric).get_column("value")
        return float(values.to_numpy().mean()) if len(values) else None

    def weights(self) -> dict[str, float]:
        """Return the mean weight over folds of each member of an ensemble that has any."""
        rows = self.rows.filter(pl.col("metric") == "weight")
        means = rows.group_by("slice", maintain_order=True).agg(pl.col("value").mean())
        used = means.filter(pl.col("value") > 0)
        return dict(used.select("slice", "value").iter_rows())

    def by_fold(self, method: str) -> list[float]:
        """Return the primary metric of one method, fold by fold."""
        rows = self._primary_rows().filter(pl.col("method") == method).sort("fold")
        return rows.get_column("value").to_list()

    def best_baseline(self) -> str:
        """Return the name of the baseline with the best primary metric."""
        ranked = self.summary().filter(pl.col("method") != FORESELL)
        return str(ranked.get_column("method")[0])

    def ratio(self) -> float:
        """Return the model's primary metric over the best baseline's; NaN where that is zero."""
        baseline = self.primary(self.best_baseline())
        return self.primary(FORESELL) / baseline if baseline else float("nan")

    def _primary_rows(self) -> pl.DataFrame:
        return self.rows.filter(
            pl.col("metric") == self.task.primary, pl.col("slice") == self.task.primary_slice
        )


def rolling_origins(
    dataset: Dataset, options: Mapping[str, Any], folds: int, end: datetime
) -> list[datetime]:
    """Return the starts of the last `folds` windows of one horizon each, oldest first.

    Without folds there are none. `options` are those of the task: `horizon_days`, and perhaps a
    `grain` whose periods make up the windows.

    Raises
    ------
    InvalidInput
        If no history remains before the first origin; or if `end` is not the start of a day,
        because the part of that day before `end` would be known and evaluated at once.
    """
    if not folds:
        return []
    if end != day_start(to_day(end)):
        raise InvalidInput(
            f"as_of = {end.isoformat()} lies within a day, and models are evaluated on whole days; "
            f"use the start of a day, such as as_of = {end.date()}.",
            field="as_of",
        )
    origins = [shift_windows(end, options, k) for k in range(-folds, 0)]
    first, _ = dataset.days
    days_before = (origins[0] - datetime(1970, 1, 1)).days - first
    if days_before <= 0:
        raise InvalidInput(
            f"{folds} folds of {options['horizon_days']} days leave no days of history before the "
            f"first of them in dataset {dataset.name}; ask for fewer folds or a shorter horizon.",
            field="folds",
        )
    return origins


def shift_windows(instant: datetime, options: Mapping[str, Any], windows: int) -> datetime:
    """Return the instant so many horizons later; a horizon of months ends on the same date."""
    grain = Grain.parse(options.get("grain") or "product:day")
    periods = windows * grain.periods(options["horizon_days"])
    return day_start(grain.shift(to_day(instant), periods))


def backtest(
    task: Task,
    dataset: Dataset,
    origins: Sequence[datetime],
    options: Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    baselines: Iterable[str] | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Evaluate the task's model and its baselines at each origin.

    A baseline that cannot be fitted at one of the origins is left out.

    Parameters
    ----------
    task, dataset, origins
        What to evaluate; the last window ends one horizon after the last origin.
    options
        Options of the task, for every method alike.
    params
        Further options of the model, such as tuned ones.
    baselines
        Names of the baselines to run; all by default.
    progress
        Called with a description of each step.
    """
    methods, requests = _methods(task, options, params or {}, baselines), {FORESELL: task.request}
    rows: list[tuple[object, ...]] = []
    predictions: dict[str, pl.DataFrame] = {}
    seconds = dict.fromkeys(methods, 0.0)
    losses, probes = [], []
    for fold, as_of in enumerate(origins):
        ids = task.population(dataset, as_of, options)
        key = (task.name, dataset.name, fold, as_of.date().isoformat())
        per_case: dict[str, Mapping[str, NDArray[np.float64]]] = {}
        for method, build in list(methods.items()):
            progress(f"{task.name} as of {as_of.date()}: {method}")
            fitted = _fit_and_predict(build, dataset, as_of, ids, requests.get(method))
            if fitted is None:
                progress(f"{task.name}: {method} is left out, these records cannot fit it")
                del methods[method], seconds[method]
                predictions.pop(method, None)
                continue
            model, predicted, taken = fitted
            seconds[method] += taken
            predictions[method] = predicted
            if task.per_case_metrics is not None:
                per_case[method] = task.per_case_metrics(dataset, as_of, options, predicted)
            scores = task.evaluate(dataset, as_of, options, predicted)
            if method == FORESELL:
                probes.append(probe(task, model, dataset, as_of, ids, predicted))
                plans = _plan_scores(task, model, dataset, as_of, options, ids, scores)
                scores += [*task.model_scores(model), *plans]
            rows.extend((*key, method, *score) for score in scores)
        rows.extend((*key, FORESELL, *score) for score in paired_gains(per_case, FORESELL))
        losses += [v for name, v in per_case.get(FORESELL, {}).items() if name == task.primary]
    frame = _of_methods(pl.DataFrame(rows, schema=SCHEMA, orient="row"), list(methods))
    results = (frame, predictions, seconds, losses, *summarise_probes(probes))
    return Report(task, dataset, options, origins, *results)


def _fit_and_predict(
    build: Callable[[], Predictor],
    dataset: Dataset,
    as_of: datetime,
    ids: pl.DataFrame,
    request: Mapping[str, Any] | None,
) -> tuple[Any, pl.DataFrame, float] | None:
    """Return the fitted method, its predictions and its CPU seconds.

    A baseline, which has no `request`, is None if these records cannot fit it.
    """
    started = time.process_time()
    try:
        model: Any = build().fit(dataset, as_of)
        predicted = model.predict(dataset, as_of, ids, **(request or {}))
    except MissingData:
        if request is not None:
            raise
        return None
    return model, predicted, time.process_time() - started


def _plan_scores(
    task: Task,
    model: Any,
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    ids: pl.DataFrame,
    scores: Sequence[Score],
) -> list[Score]:
    """Score the model with the plan, as in `scores`, and without it; none if nothing is planned."""
    hidden = task.hide_plan(dataset, as_of, options) if task.hide_plan is not None else None
    if hidden is None:
        return []
    predicted = model.predict(hidden, as_of, ids, **task.request)
    without = task.evaluate(dataset, as_of, options, predicted)
    return [
        score._replace(slice=f"plan={name}")
        for name, variant in (("known", scores), ("hidden", without))
        for score in variant
        if score.slice == "all"
    ]


def _of_methods(rows: pl.DataFrame, methods: list[str]) -> pl.DataFrame:
    """Drop rows of baselines that were left out at a later origin, and comparisons with them."""
    against = pl.col("slice").str.strip_prefix("against=")
    compared = ~pl.col("slice").str.starts_with("against=") | against.is_in(methods)
    return rows.filter(pl.col("method").is_in(methods), compared)


def _methods(
    task: Task,
    options: Mapping[str, Any],
    params: Mapping[str, Any],
    baselines: Iterable[str] | None,
) -> dict[str, Callable[[], Predictor]]:
    """Return constructors of the model and of the baselines, by name."""
    names = task.baselines if baselines is None else baselines
    return {
        FORESELL: lambda: model_with_options(task.model, {**options, **params}),
        **{name: partial(task.baselines[name], **options) for name in names},
    }


def evaluate(
    task: Task,
    dataset: Dataset,
    folds: int,
    *,
    as_of: datetime | None = None,
    options: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Backtest a task's model against all its baselines on the last `folds` horizons.

    A short history is evaluated on fewer folds.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs, or is too short for one fold.
    """
    task.model.needs.check(dataset, task.name)
    end = as_of or dataset.end
    options = dict(options or task.options(dataset, as_of=end))
    fitting = folds_to_judge(task, dataset, options, end, folds)
    origins = rolling_origins(dataset, options, fitting, end)
    return backtest(task, dataset, origins, options, params=params, progress=progress)
