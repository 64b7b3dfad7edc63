"""Published files of a customer model: the model, and the features and predictions of customers.

A fitted model and a dataset go in when publishing; predictions by customer, features, arrays in
the order of the predictions and the population come out when reading.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Floats
from training.contract import Score
from training.customers.population import Population
from training.customers.prediction import basis
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import PurchaseTiming
from training.estimators.bg_nbd import purchase_history
from training.published import arrays

MODEL = "model"
FEATURES = "features.parquet"
ANSWERS = "answers.parquet"
ABOUT = "about.json"
# Arrays whose rows are in the order of the answers.
CURVES, HISTORY = "curves.npy", "history.npy"


class SavedModel(Protocol):
    """A model that can be saved and loaded."""

    horizon_days: int

    def save(self, folder: Path) -> None:
        """Write the model."""
        ...

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read the model; predict with `threads`."""
        ...


class TimedModel(SavedModel, Protocol):
    """A model of customers that holds the timing of the next purchase."""

    timing_: PurchaseTiming

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer."""
        ...


AnyModel = TypeVar("AnyModel", bound=SavedModel)
AnyTimed = TypeVar("AnyTimed", bound=TimedModel)


def publish(
    model: TimedModel,
    dataset: Dataset,
    as_of: datetime,
    folder: Path,
    predict: Callable[[pl.DataFrame, PurchaseCurves], pl.DataFrame],
) -> None:
    """Write the model, every customer's features, curve and predictions, and the population.

    `predict` predicts at `as_of` from features and curves, in their order.
    """
    features = model.features(dataset, as_of)
    features.write_parquet(folder / FEATURES)
    curves = model.timing_.curves(features)
    predict(features, curves).with_columns(basis(features)).write_parquet(folder / ANSWERS)
    write_array(folder, CURVES, curves.probabilities)
    write_array(folder, HISTORY, np.stack(purchase_history(features), axis=1))
    publish_model(model, dataset, as_of, folder)


def member_weights(model: TimedModel) -> list[Score]:
    """Return the weights of the members as rows of a report."""
    return [
        Score(f"member={name}", "weight", weight, 1)
        for name, weight in model.timing_.weights.items()
    ]


def describe_ensemble(model: TimedModel, dataset: Dataset, as_of: datetime) -> dict[str, Any]:  # noqa: ARG001
    """Return the weights of the members, and the level of the season in log-odds."""
    return {"weights": dict(model.timing_.weights), "season": model.timing_.season}


def erase_customers(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the files of `publish`; returns the ids that were in them."""
    return erase(folder, erased, (CURVES, HISTORY))


def load_curves(model: "PublishedCustomerModel[AnyTimed]") -> PurchaseCurves:
    """Map every customer's curve into memory, in the order of the answers."""
    frequency, recency, age = model.array(HISTORY).T
    timing = model.model.timing_
    return PurchaseCurves(
        np.array(timing.days), model.array(CURVES), timing.process, (frequency, recency, age)
    )


def publish_model(model: SavedModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, the population, and the instant and horizon of the predictions."""
    model.save(folder / MODEL)
    Population.measure(dataset, as_of).save(folder)
    about = {"as_of": as_of.isoformat(), "horizon_days": model.horizon_days}
    (folder / ABOUT).write_text(json.dumps(about, indent=1))


def write_array(folder: Path, name: str, values: Floats) -> None:
    """Write an array whose rows are in the order of the answers: `CURVES` or `HISTORY`."""
    np.save(folder / name, values)


def erase(
    folder: Path, erased: Callable[[pl.Series], pl.Series], array_names: Sequence[str] = ()
) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them.

    Files are replaced rather than changed in place: other versions may share them by hard links.

    Parameters
    ----------
    folder
        The published folder.
    erased
        Returns for a series of ids whether each is to be dropped.
    array_names
        Arrays in the order of the answers.
    """
    dropped: set[str] = set()
    for path in (folder / FEATURES, folder / ANSWERS):
        if not path.exists():
            continue
        rows = pl.read_parquet(path)
        gone = erased(rows.get_column("customer_id"))
        if not gone.any():
            continue
        dropped.update(rows.get_column("customer_id").filter(gone))
        path.unlink()
        rows.filter(~gone).write_parquet(path)
        for name in array_names if path.name == ANSWERS else ():
            array = folder / name
            arrays.replace(array, np.load(array, mmap_mode="r")[(~gone).to_numpy()])
    return dropped


@dataclass(frozen=True)
class PublishedCustomerModel(Generic[AnyModel]):
    """A published customer model, with what it needs to predict for posted customers.

    Attributes
    ----------
    folder
        The published folder.
    model
        The model, predicting with one thread, which is fastest for few customers.
    population
        The population that posted customers are scored with.
    as_of
        The instant of the predictions.
    """

    folder: Path
    model: AnyModel
    population: Population
    as_of: datetime

    @classmethod
    def load(cls, folder: Path, model: type[AnyModel]) -> Self:
        """Read what `publish_model` wrote."""
        about = json.loads((folder / ABOUT).read_text())
        return cls(
            folder,
            model.load(folder / MODEL, threads=1),
            Population.load(folder),
            datetime.fromisoformat(about["as_of"]),
        )

    def features(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read the customers' features from disk, in the order of the answers.

        Raises
        ------
        FileNotFoundError
            If the folder was removed meanwhile.
        """
        return pl.read_parquet(
            self.folder / FEATURES, columns=None if columns is None else list(columns)
        )

    def array(self, name: str) -> Floats:
        """Map an array that `write_array` wrote into memory."""
        values: Floats = np.load(self.folder / name, mmap_mode="r")
        return values

    def answers(self) -> pl.DataFrame:
        """Read the published predictions."""
        return pl.read_parquet(self.folder / ANSWERS)


@dataclass(frozen=True)
class KnownCustomers:
    """Published predictions of one row a customer, in memory.

    Attributes
    ----------
    answers
        The predictions, with `basis`.
    positions
        Each customer's row in `answers`.
    """

    answers: pl.DataFrame
    positions: dict[str, int]

    @classmethod
    def index(cls, answers: pl.DataFrame) -> Self:
        """Index predictions by customer."""
        ids = answers.get_column("customer_id")
        return cls(answers, {customer: row for row, customer in enumerate(ids)})

    def select(self, customer_ids: Iterable[str]) -> list[int]:
        """Return the positions of the known ones among the customers, ascending."""
        return sorted({self.positions[name] for name in customer_ids if name in self.positions})

    def rows(self, customer_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the predictions of the known ones among the customers, by id."""
        selected = self.select(customer_ids)
        # Slicing a single row costs a fifth of selecting it.
        part = (
            self.answers[selected[0] : selected[0] + 1]
            if len(selected) == 1
            else self.answers[selected]
        )
        return {row["customer_id"]: row for row in part.iter_rows(named=True)}
