"""The contract of models, baselines and tasks with code that trains, evaluates and publishes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.errors import MissingData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# ISO code of the country whose public holidays demand assumes unless another is set.
DEFAULT_COUNTRY = "US"

M = TypeVar("M")


@dataclass(frozen=True)
class Needs:
    """Tables and columns that a model reads.

    Attributes
    ----------
    required
        Tables without which the model cannot run, each with its required columns.
    optional
        Tables that the model can do without, each with what it would add.
    one_of
        Tables of which at least one is required.
    """

    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, str] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()

    def check(self, dataset: Dataset, name: str) -> None:
        """Check that the dataset has every required table and column.

        Raises
        ------
        MissingData
            Names the missing table or column.
        """
        if self.one_of and not set(self.one_of) & set(dataset.tables):
            raise MissingData(
                f"{name} needs one of the tables {', '.join(self.one_of)}, and dataset "
                f"{dataset.name} has none of them.",
                field=self.one_of[0],
            )
        for table, columns in self.required.items():
            if table not in dataset.tables:
                raise MissingData(
                    f"{name} needs the table {table!r}, which dataset {dataset.name} lacks.",
                    field=table,
                )
            for column in columns:
                dataset.require(table, column, by=name)

    def missing_optional(self, dataset: Dataset) -> dict[str, str]:
        """Return the optional tables that the dataset lacks, each with what it would add."""
        return {table: adds for table, adds in self.optional.items() if table not in dataset.tables}


class Predictor(Protocol):
    """A model or a baseline: it learns from the past and predicts for a population."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on records before `as_of`."""
        ...

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict as of an instant.

        Parameters
        ----------
        dataset, as_of
            Records before `as_of` are known, and so are plans for the time after it.
        ids
            The entities to predict for, one row each, in their key columns (`customer_id`, or
            the keys of a grain). Default: every entity that is known.

        Returns
        -------
        polars.DataFrame
            The columns that `foresell score` writes for this task.
        """
        ...


class Model(Predictor, Protocol):
    """A model that is trained, evaluated, registered and published.

    Implementations are dataclasses. Their fields are the model's options, the constructor only
    assigns, and names of fitted attributes end in an underscore.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs]

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Attribute predictions: one row per entity and reason, in the unit of the raw score."""
        ...

    def save(self, folder: Path) -> None:
        """Write native model files and a small JSON file. No pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `save` wrote."""
        ...


def options_of(model: Any) -> dict[str, Any]:
    """Return the options that a model was made with, as `save` keeps them.

    A field that is itself a dataclass of options, such as `BoostingOptions`, is flattened.
    """
    options: dict[str, Any] = {}
    for option in fields(model):
        if option.init:
            value = getattr(model, option.name)
            options |= asdict(value) if is_dataclass(value) else {option.name: value}  # type: ignore[arg-type]
    return options


def model_with_options(model: type[M], options: Mapping[str, Any]) -> M:
    """Make a model from flat options, as `options_of` returns them; the rest keep defaults.

    Options that belong to a field which is itself a dataclass replace those of its default.

    Raises
    ------
    TypeError
        If the model has no such option.
    """
    rest, groups = dict(options), {}
    for option in fields(model):  # type: ignore[arg-type]
        if option.name not in rest and is_dataclass(option.default):
            names = {inner.name for inner in fields(option.default)}
            values = {name: rest.pop(name) for name in names & rest.keys()}
            groups[option.name] = replace(option.default, **values)  # type: ignore[type-var]
    return model(**rest, **groups)


class Score(NamedTuple):
    """Value of a metric on a slice (`all`, or `column=value`) of `n` cases."""

    slice: str
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class Space:
    """Search range of one option in tuning."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


# (dataset, as_of, options, predictions) -> values by metric, see `Task.per_case_metrics`.
PerCaseMetrics = Callable[
    [Dataset, datetime, Mapping[str, Any], pl.DataFrame], Mapping[str, NDArray[np.float64]]
]

# Marks the erased customers in a series of customer ids.
Erased = Callable[[pl.Series], pl.Series]


@dataclass(frozen=True)
class Companion:
    """A further folder of a published version, written together with the task's own.

    Attributes
    ----------
    publish
        (dataset, as_of, folder) -> writes all files of the folder, which is empty.
    erase
        (folder, erased) -> removes customers from it; returns the ids that it contained.
    """

    publish: Callable[[Dataset, datetime, Path], None]
    erase: Callable[[Path, Erased], set[str]]


@dataclass(frozen=True)
class Task:
    """A prediction task: its model, its baselines, and how predictions are evaluated.

    Attributes
    ----------
    name
        Name on the command line.
    model
        Class of the model.
    baselines
        Methods to compare with, by name. They take the same keyword `options` as the model.
    options
        (dataset, grain, horizon_days, as_of, country) -> options that set up the task, such as
        `{"horizon_days": 28}`. They suit the records known at `as_of` (default: all records)
        unless the caller gives a grain or a horizon. Only demand has a grain and a country.
    reason
        (dataset, options, as_of) -> sentence that says which property of the records led to the
        options.
    needed_days
        (dataset, options, as_of) -> days of records that fitting needs.
    least_days
        (dataset, options, as_of) -> days of records that predicting needs. With fewer than
        `needed_days` the model falls back to a method without learning. None: `needed_days`.
    needs_customers
        Whether only days with known customers count.
    population
        (dataset, as_of, options) -> ids of the entities that are evaluated, chosen from what is
        known at `as_of`.
    evaluate
        (dataset, as_of, options, predictions) -> scores. The only function of a task that reads
        records at or after `as_of`. A missing prediction counts against the method.
    hide_plan
        (dataset, as_of, options) -> the dataset without what is planned from `as_of` on; None if
        nothing is. The model is evaluated with the plan and without it. None: there are no plans.
    model_scores
        (model) -> scores that describe a fitted model, such as weights of its members; rows of
        the report of a backtest.
    request
        Keyword arguments of the model's `predict` in a backtest, such as quantiles that are
        evaluated; baselines are asked without them.
    per_case_metrics
        (dataset, as_of, options, predictions) -> by metric, one value per evaluated case, in the
        same order for every method. Paired intervals come from these. None: no such values.
    main_features
        (dataset, as_of, options) -> numbers that describe each entity, by which populations at two
        instants are compared, and `basis` where predictions may rest on little history. None: no
        such comparison.
    extra_artifacts
        By name, (model, dataset, as_of) -> JSON values that are logged with a training run.
    note
        Caveat that is shown beneath a report.
    plots
        (dataset, as_of, options, predictions) -> figures by name.
    publish
        (model, dataset, as_of, folder) -> writes all files that serving reads into an empty
        folder.
    erase
        (folder, erased) -> removes customers from a published folder that is not served yet;
        returns the ids that it contained. None where no file contains customers.
    companions
        Further published folders by name.
    primary, primary_slice
        Metric, and the slice of it, by which methods are ranked.
    lower_is_better
        Whether a smaller primary metric is better.
    tunable
        Options of the model that tuning may set, with their search ranges.
    """

    name: str
    model: type[Any]
    baselines: Mapping[str, Callable[..., Predictor]]
    options: Callable[..., dict[str, Any]]
    population: Callable[[Dataset, datetime, Mapping[str, Any]], pl.DataFrame]
    evaluate: Callable[[Dataset, datetime, Mapping[str, Any], pl.DataFrame], list[Score]]
    plots: Callable[[Dataset, datetime, Mapping[str, Any], pl.DataFrame], dict[str, "Figure"]]
    reason: Callable[[Dataset, Mapping[str, Any], datetime], str]
    needed_days: Callable[[Dataset, Mapping[str, Any], datetime], int]
    primary: str
    publish: Callable[[Any, Dataset, datetime, Path], None]
    erase: Callable[[Path, Erased], set[str]] | None = None
    companions: Mapping[str, Companion] = field(default_factory=dict)
    least_days: Callable[[Dataset, Mapping[str, Any], datetime], int] | None = None
    needs_customers: bool = True
    lower_is_better: bool = True
    primary_slice: str = "all"
    tunable: Mapping[str, Space] = field(default_factory=dict)
    hide_plan: Callable[[Dataset, datetime, Mapping[str, Any]], Dataset | None] | None = None
    model_scores: Callable[[Any], list[Score]] = lambda _: []
    request: Mapping[str, Any] = field(default_factory=dict)
    per_case_metrics: PerCaseMetrics | None = None
    main_features: Callable[[Dataset, datetime, Mapping[str, Any]], pl.DataFrame] | None = None
    extra_artifacts: Mapping[str, Callable[[Any, Dataset, datetime], Mapping[str, Any]]] = field(
        default_factory=dict
    )
    note: str = ""
