"""What the customer models publish beside themselves: every customer's features at an instant.

Churn and next purchase write it, their answers over HTTP read it: served answers are computed
from the very frame that batch predictions are computed from.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

import polars as pl

from features.dataset import Dataset


class CustomerModel(Protocol):
    """A model that answers from one row of features a customer."""

    horizon_days: int

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the frame that the model reads."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model."""
        ...


def publish(model: CustomerModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, every customer's features at `as_of`, and what they are about."""
    model.save(folder / "model")
    model.features(dataset, as_of).write_parquet(folder / "features.parquet")
    about = {"as_of": as_of.isoformat(), "horizon_days": model.horizon_days}
    (folder / "about.json").write_text(json.dumps(about, indent=1))


@dataclass(frozen=True)
class KnownCustomers:
    """The customers of one published version, in memory.

    Attributes
    ----------
    features
        The frame that the model reads, one row a customer, as published.
    rows
        Each customer's row in it.
    as_of
        The instant up to which it knows, ISO.
    """

    features: pl.DataFrame
    rows: dict[str, int]
    as_of: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `publish` wrote."""
        about = json.loads((folder / "about.json").read_text())
        features = pl.read_parquet(folder / "features.parquet")
        rows = {customer: row for row, customer in enumerate(features.get_column("customer_id"))}
        return cls(features, rows, about["as_of"])

    def of(self, customer_ids: Iterable[str]) -> pl.DataFrame:
        """Return the features of those that are known, each once."""
        return self.features[sorted({self.rows[one] for one in customer_ids if one in self.rows})]
