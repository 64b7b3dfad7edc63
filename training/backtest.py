"""Rolling origins: a model and its baselines, refitted at each origin, on the same cases."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from training.contract import Predictor, Score, Task
from training.metrics import bootstrap_interval
from training.task_setup import fitting_folds

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
PAIRED_DRAWS = 300

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a backtest measured.

    Attributes
    ----------
    task, dataset, options, origins
        What was judged, on which records, as of when.
    rows
        One row a fold, method, slice and metric, in `SCHEMA`.
    predictions
        The last fold's predictions by method, for plots.
    seconds
        Processor seconds spent to fit and predict, by method, all folds together.
    """

    task: Task
    dataset: Dataset = field(repr=False)
    options: Mapping[str, Any]
    origins: Sequence[datetime]
    rows: pl.DataFrame = field(repr=False)
    predictions: Mapping[str, pl.DataFrame] = field(repr=False)
    seconds: Mapping[str, float]

    def figures(self) -> "dict[str, Figure]":
        """Draw the task's figures of our predictions at the last origin, by name."""
        answer = self.predictions[FORESELL]
        return self.task.plots(self.dataset, self.origins[-1], self.options, answer)

    def summary(self) -> pl.DataFrame:
        """Mean of the primary metric over folds by method, best first, with its ratio to ours.

        Raises
        ------
        MissingData
            As `primary` does.
        """
        ours = self.primary(FORESELL)
        means = (
            self._primary_rows()
            .group_by("method")
            .agg(pl.col("value").mean(), pl.col("value").alias("folds"))
            .sort("value", "method", descending=[not self.task.lower_is_better, False])
        )
        return means.with_columns((ours / pl.col("value")).alias("foresell_ratio"))

    def primary(self, method: str) -> float:
        """Mean of the primary metric over folds for one method.

        Raises
        ------
        MissingData
            If it could be measured in no fold.
        """
        values = self.by_fold(method)
        if not values:
            raise MissingData(
                f"{self.task.name} of dataset {self.dataset.name} cannot be judged: nothing "
                "happened in the judged windows of "
                f"{self.options['horizon_days']} days from "
                f"{' and '.join(str(one.date()) for one in self.origins)}; ask for more folds or "
                "another horizon.",
                field="folds",
            )
        return fmean(values)

    def mean(self, metric: str) -> float | None:
        """Mean over folds of another metric of ours, over all; None where it is not measured."""
        own = (pl.col("method") == FORESELL) & (pl.col("slice") == "all")
        values = self.rows.filter(own, pl.col("metric") == metric).get_column("value")
        return float(values.to_numpy().mean()) if len(values) else None

    def by_fold(self, method: str) -> list[float]:
        """Return the primary metric of one method, fold by fold."""
        rows = self._primary_rows().filter(pl.col("method") == method).sort("fold")
        return rows.get_column("value").to_list()

    def best_baseline(self) -> str:
        """Name of the baseline that is best on the primary metric."""
        ranked = self.summary().filter(pl.col("method") != FORESELL)
        return str(ranked.get_column("method")[0])

    def ratio(self) -> float:
        """Our primary metric over the best baseline's; not a number where that is zero."""
        theirs = self.primary(self.best_baseline())
        return self.primary(FORESELL) / theirs if theirs else float("nan")

    def _primary_rows(self) -> pl.DataFrame:
        return self.rows.filter(
            pl.col("metric") == self.task.primary, pl.col("slice") == self.task.primary_slice
        )


def rolling_origins(
    dataset: Dataset, horizon_days: int, folds: int, end: datetime
) -> list[datetime]:
    """Return the starts of the last `folds` windows of one horizon each, oldest first.

    Raises
    ------
    InvalidInput
        If the dataset is too short to leave any history before the first origin, or if `end` is
        no start of a day: what customers did on a day counts whole, and of that day a part would
        be known.
    """
    if end != day_start(to_day(end)):
        raise InvalidInput(
            f"as_of = {end.isoformat()} lies within a day, and models are judged on whole days; "
            f"ask for its start, as_of = {end.date()}, or that of another.",
            field="as_of",
        )
    origins = [end - timedelta(days=horizon_days * (folds - k)) for k in range(folds)]
    first, _ = dataset.days
    days_before = (origins[0] - datetime(1970, 1, 1)).days - first
    if days_before <= 0:
        raise InvalidInput(
            f"{folds} folds of {horizon_days} days leave no days of history before the first of "
            f"them in dataset {dataset.name}; ask for fewer folds or a shorter horizon.",
            field="folds",
        )
    return origins


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
    """Judge the task's model and its baselines at each origin.

    A baseline that finds too little to learn from at the first is left out.

    Parameters
    ----------
    task, dataset, origins
        What is judged, on which records, as of when; judging ends one horizon after the last.
    options
        What sets the question, given to every method alike.
    params
        The model's own further options, such as tuned ones.
    baselines
        Names of the baselines to run, all by default.
    progress
        Called with a sentence as work goes on.
    """
    names = list(task.baselines if baselines is None else baselines)
    methods: dict[str, Callable[[], Predictor]] = {
        FORESELL: lambda: task.model(**options, **(params or {})),
        **{name: lambda name=name: task.baselines[name](**options) for name in names},  # type: ignore[misc]
    }
    rows: list[tuple[object, ...]] = []
    predictions: dict[str, pl.DataFrame] = {}
    seconds = dict.fromkeys(methods, 0.0)
    for fold, as_of in enumerate(origins):
        ids = task.population(dataset, as_of, options)
        cases: dict[str, Mapping[str, NDArray[np.float64]]] = {}
        for method, build in list(methods.items()):
            progress(f"{task.name} as of {as_of.date()}: {method}")
            started = time.process_time()
            try:
                answer = build().fit(dataset, as_of).predict(dataset, as_of, ids)
            except MissingData:
                if method == FORESELL or fold > 0:
                    raise
                progress(f"{task.name}: {method} is left out, for it cannot learn from so little")
                del methods[method], seconds[method]
                continue
            seconds[method] += time.process_time() - started
            predictions[method] = answer
            if task.per_case_metrics is not None:
                cases[method] = task.per_case_metrics(dataset, as_of, options, answer)
            rows.extend(
                (task.name, dataset.name, fold, as_of.date().isoformat(), method, *score)
                for score in task.evaluate(dataset, as_of, options, answer)
            )
        rows.extend(
            (task.name, dataset.name, fold, as_of.date().isoformat(), FORESELL, *score)
            for score in paired(cases)
        )
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return Report(task, dataset, options, origins, frame, predictions, seconds)


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

    A history that is too short for so many is judged on fewer.

    Raises
    ------
    MissingData
        If the dataset lacks what the model needs, or days for even one fold.
    """
    task.model.needs.check(dataset, task.name)
    end = as_of or dataset.end
    asked = dict(options or task.options(dataset, as_of=end))
    fitting, _ = fitting_folds(task, dataset, asked, end, folds)
    origins = rolling_origins(dataset, asked["horizon_days"], fitting, end)
    return backtest(task, dataset, origins, asked, params=params, progress=progress)


def paired(cases: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> list[Score]:
    """Compare our cases with each baseline's, case by case.

    Returns
    -------
    list of Score
        For each metric on the slice `against=<baseline>`: <metric>_gain, the mean difference,
        and <metric>_gain_low and _high, its interval by bootstrap over cases.
    """
    scores = []
    for method, theirs in cases.items():
        if method == FORESELL:
            continue
        for metric, values in cases[FORESELL].items():
            gain = values - theirs[metric]
            judged = gain[~np.isnan(gain)]
            if not len(judged):
                continue
            low, high = bootstrap_interval(judged, draws=PAIRED_DRAWS)
            found = {"gain": float(judged.mean()), "gain_low": low, "gain_high": high}
            scores += [
                Score(f"against={method}", f"{metric}_{name}", value, len(judged))
                for name, value in found.items()
            ]
    return scores
