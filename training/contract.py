"""What every model, baseline and task is: the seams that the rest of `training` builds on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.errors import MissingData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Needs:
    """The records that a model reads.

    Attributes
    ----------
    required
        Tables, each with the columns without which the model cannot run.
    optional
        Tables that the model does without, each with what it adds.
    one_of
        Tables of which one is enough and none is too few.
    """

    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, str] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()

    def check(self, dataset: Dataset, name: str) -> None:
        """Refuse a dataset that lacks what is required.

        Raises
        ------
        MissingData
            Naming the table and the column.
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
    """Anything that learns from the past and answers for a population: a model or a baseline."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn; use nothing at or after `as_of`."""
        ...

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`.

        Parameters
        ----------
        dataset, as_of
            What is known: everything before `as_of`, and plans for the time after.
        ids
            The entities to answer for, one row each, in the columns that name them
            (`customer_id`, or a grain's keys); all that are known by default.

        Returns
        -------
        polars.DataFrame
            The columns that `score` writes for this task.
        """
        ...


class Model(Predictor, Protocol):
    """A model that is trained, judged, registered and published.

    A class that implements this is a dataclass: its fields are its options, assignment is
    all that its construction does, and what `fit` learns ends in an underscore.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs]

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Say why: one row an entity and reason, `contribution` in the unit of the raw score."""
        ...

    def save(self, folder: Path) -> None:
        """Write native files and a small JSON; no pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        ...


def options_of(model: Any) -> dict[str, Any]:
    """Return the options that a model was made with, as `save` keeps them."""
    return {one.name: getattr(model, one.name) for one in fields(model) if one.init}


class Score(NamedTuple):
    """One measured value: a metric on a slice (`all`, or `column=value`) of `n` cases."""

    slice: str
    metric: str
    value: float
    n: int


@dataclass(frozen=True)
class Space:
    """The range in which tuning looks for one option of a model."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


# The type of `Task.per_case_metrics`.
PerCaseMetrics = Callable[
    [Dataset, datetime, Mapping[str, Any], pl.DataFrame], Mapping[str, NDArray[np.float64]]
]


# Given a series of customer ids, says which are to be dropped.
Erased = Callable[[pl.Series], pl.Series]


@dataclass(frozen=True)
class Companion:
    """A further folder of a published version, written whenever the task's own is.

    Attributes
    ----------
    publish
        (dataset, as_of, folder) -> writes it, complete, into an empty folder.
    erase
        (folder, erased) -> drops customers from it; returns the ids that were in it.
    """

    publish: Callable[[Dataset, datetime, Path], None]
    erase: Callable[[Path, Erased], set[str]]


@dataclass(frozen=True)
class Task:
    """A question that models answer, and how their answers are judged.

    Attributes
    ----------
    name
        As the command line has it.
    model
        The model's class.
    baselines
        The simple and the classic methods that it must beat, by name; called with the same
        keyword `options` as the model.
    options
        (dataset, grain, horizon_days, as_of) -> what sets the question, such as
        `{"horizon_days": 28}`: what suits the records known at `as_of` (by default all), but
        where the caller asks for a grain or a horizon. Only demand has a grain.
    reason
        (dataset, options, as_of) -> what in the records the options follow from, as a sentence.
    needed_days
        (dataset, options, as_of) -> days of records without which nothing can be learnt.
    least_days
        (dataset, options, as_of) -> days without which nothing can be answered: with fewer than
        `needed_days` the model answers by what takes no learning. None where they are the same.
    needs_customers
        Whether those are days with known customers.
    population
        (dataset, as_of, options) -> ids: the entities that are judged, chosen from what was
        known at `as_of`.
    evaluate
        (dataset, as_of, options, predictions) -> scores; the only place that looks at or
        beyond `as_of`. A member of the population without a prediction counts against the method.
    per_case_metrics
        (dataset, as_of, options, predictions) -> by metric, a value for every judged case in
        the same order for every method; from these come paired intervals. None where cases are
        not one by one to be judged.
    extra_artifacts
        By name, (dataset, as_of, options) -> what else is worth keeping of the population with a
        training run, as plain values.
    note
        What a reader of the report must know of its figures; shown beneath them.
    plots
        (dataset, as_of, options, predictions) -> figures that a person would look at, by name.
    publish
        (model, dataset, as_of, folder) -> writes what serving needs to answer at `as_of`,
        complete, into an empty folder.
    erase
        (folder, erased) -> drops customers from a published folder that nobody serves yet;
        returns the ids that were in it. None where no file holds customers.
    companions
        Further published folders by name.
    primary
        The metric by which methods are ranked, and the slice it is read on.
    lower_is_better
        Whether less of the primary metric is better.
    tunable
        Options of the model that tuning may set, each with its range.
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
    per_case_metrics: PerCaseMetrics | None = None
    extra_artifacts: Mapping[
        str, Callable[[Dataset, datetime, Mapping[str, Any]], Mapping[str, Any]]
    ] = field(default_factory=dict)
    note: str = ""


def in_country(task: Task, country: str) -> dict[str, Any]:
    """Return what a model is told of the retailer's country: nothing where it expects that one."""
    told = [one for one in fields(task.model) if one.name == "country"]
    return {one.name: country for one in told if one.default != country}
