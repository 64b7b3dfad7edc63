"""What the customer models publish beside themselves: everyone's features and answers.

Churn, next purchase and value write it, their answers over HTTP read it: who is known is looked
up, in the very frame that batch prediction returns; who is not is scored from what is posted,
with the `Population` published here.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import polars as pl

from features.customers.segments import FEW_VISITS
from features.dataset import Dataset
from training.customers.population import Population
from training.published import arrays

MODEL = "model"
FEATURES = "features.parquet"
ANSWERS = "answers.parquet"
ABOUT = "about.json"
# Arrays whose rows are in the order of the answers.
CURVES, HISTORY = "curves.npy", "history.npy"


class CustomerModel(Protocol):
    """A model that answers from one row of features a customer."""

    horizon_days: int

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the frame that the model reads."""
        ...

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer in batch, in the order of `features`."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model."""
        ...


def publish(model: CustomerModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, every customer's features and answers at `as_of`, and the population."""
    model.save(folder / MODEL)
    features = model.features(dataset, as_of)
    features.write_parquet(folder / FEATURES)
    said = model.predict(dataset, as_of)
    said.with_columns(basis(features)).write_parquet(folder / ANSWERS)
    Population.measure(dataset, as_of).save(folder)
    write_about(folder, as_of, model.horizon_days)


def write_about(folder: Path, as_of: datetime, horizon_days: int) -> None:
    """Write the instant and the horizon that the answers are for."""
    about = {"as_of": as_of.isoformat(), "horizon_days": horizon_days}
    (folder / ABOUT).write_text(json.dumps(about, indent=1))


def erase(
    folder: Path, erased: Callable[[pl.Series], pl.Series], beside: Sequence[str] = ()
) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them.

    Files are replaced, not changed: other versions may share them.

    Parameters
    ----------
    erased
        Says of ids whether they are to be dropped.
    beside
        Arrays in the order of the answers.
    """
    found: set[str] = set()
    for path in (folder / FEATURES, folder / ANSWERS):
        if not path.exists():
            continue
        rows = pl.read_parquet(path)
        gone = erased(rows.get_column("customer_id"))
        if not gone.any():
            continue
        found.update(rows.get_column("customer_id").filter(gone))
        path.unlink()
        rows.filter(~gone).write_parquet(path)
        for name in beside if path.name == ANSWERS else ():
            array = folder / name
            arrays.replace(array, np.load(array, mmap_mode="r")[(~gone).to_numpy()])
    return found


def answers(
    features: pl.DataFrame,
    ids: pl.DataFrame | None,
    known: Callable[[pl.DataFrame], pl.DataFrame],
    unknown: Callable[[pl.Series], pl.DataFrame],
) -> pl.DataFrame:
    """Answer for `ids` in their order, by default for every customer of `features`.

    Parameters
    ----------
    features
        One row a customer with a purchase.
    known, unknown
        Answer from rows of features, and for the ids of customers without a purchase.
    """
    if ids is None:
        return known(features)
    wanted = ids.select("customer_id")
    said = known(features.join(wanted.unique(), on="customer_id", how="semi"))
    new = wanted.join(said, on="customer_id", how="anti").unique(maintain_order=True)
    said = pl.concat([said, unknown(new.get_column("customer_id"))])
    return wanted.join(said, on="customer_id", how="left", maintain_order="left")


def basis(features: pl.DataFrame) -> pl.Series:
    """Say what each customer's answer rests on.

    `history`: three visits or more; `few_purchases`: two. Who came once has no rhythm of their
    own: `population`, the answer is what others did who had been customers for as long.
    """
    visits = pl.col("visits")
    return features.select(
        pl.when(visits >= FEW_VISITS)
        .then(pl.lit("history"))
        .when(visits >= FEW_VISITS - 1)
        .then(pl.lit("few_purchases"))
        .otherwise(pl.lit("population"))
        .alias("basis")
    ).to_series()


@dataclass(frozen=True)
class KnownCustomers:
    """The customers of one published version, in memory.

    Attributes
    ----------
    answers
        What the model says in batch, with `basis`, one row a customer.
    rows
        Each customer's row in it.
    as_of
        The instant up to which it knows, ISO.
    """

    answers: pl.DataFrame
    rows: dict[str, int]
    as_of: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `publish` wrote."""
        about = json.loads((folder / ABOUT).read_text())
        answers = pl.read_parquet(folder / ANSWERS)
        rows = {customer: row for row, customer in enumerate(answers.get_column("customer_id"))}
        return cls(answers, rows, about["as_of"])

    def of(self, customer_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the answers of those that are known, by id."""
        found = sorted({self.rows[one] for one in customer_ids if one in self.rows})
        # A slice of one row is a fifth of the cost of a selection.
        part = self.answers[found[0] : found[0] + 1] if len(found) == 1 else self.answers[found]
        return {row["customer_id"]: row for row in part.iter_rows(named=True)}
