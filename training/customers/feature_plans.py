"""Customer features of a few posted customers, from queries that are planned once.

Datasets of posted orders go in; their `customer_features` are computed and stored. Planning the
builder's query takes several times as long as running it on the orders of one customer, and
depends on the instant and the columns alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

import narwhals as nw
import polars as pl
from polars.io.plugins import register_io_source

from features.columns import CUSTOMER_ID
from features.customers.builder import customers
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset
from features.returns import has_returns
from training.customers.cutoffs import customer_features

# Plans that are kept; requests at other instants than the published one are rare.
MOST_PLANS = 8

Frames = Mapping[str, pl.DataFrame]


class FeaturePlan:
    """The query of the feature builder at an instant, on frames that each run provides.

    Parameters
    ----------
    frames
        Tables of posted customers without returns; others need the same columns.
    statistics
        The population that features are compared with.
    as_of
        The instant.
    """

    def __init__(
        self, frames: Frames, statistics: PopulationStatistics | None, as_of: datetime
    ) -> None:
        self._lock = Lock()
        self._frames = frames
        tables = {name: self._source(name, frame.schema) for name, frame in frames.items()}
        dataset = Dataset("posted", "plan", tables, statistics)
        self._query = customers(dataset, as_of).sort(CUSTOMER_ID).to_native()

    def run(self, frames: Frames) -> pl.DataFrame:
        """Return the features of the customers in `frames`, ordered by customer_id."""
        with self._lock:
            self._frames = frames
            # Optimising the query takes as long as running it on few rows.
            features = self._query.collect(optimizations=pl.QueryOptFlags.none())
            self._frames = {}
        assert isinstance(features, pl.DataFrame), "not collected in the background"  # noqa: S101
        return features

    def _source(self, name: str, schema: pl.Schema) -> "nw.LazyFrame[pl.LazyFrame]":
        """Return a lazy frame whose content is looked up when the query runs."""

        def scan(
            with_columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,  # noqa: ARG001 - part of the interface
        ) -> Iterator[pl.DataFrame]:
            frame = self._frames[name]
            if with_columns is not None:
                frame = frame.select(with_columns)
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame if n_rows is None else frame.head(n_rows)

        return nw.from_native(register_io_source(scan, schema=schema))


@dataclass
class FeaturePlans:
    """Plans by instant, for posted customers who are compared with the same population."""

    plans: dict[datetime, FeaturePlan] = field(default_factory=dict)

    def store_features(self, dataset: Dataset, as_of: datetime) -> None:
        """Compute the `customer_features` of a dataset in memory and store them with it.

        The query of returns depends on their rows, so that datasets with returns are left alone.
        """
        if customer_features.stored(dataset, as_of) is not None or has_returns(dataset):
            return
        frames = {name: table.collect().to_polars() for name, table in dataset.tables.items()}
        plan = self.plans.get(as_of)
        if plan is None:
            plan = FeaturePlan(frames, dataset.population, as_of)
            while len(self.plans) >= MOST_PLANS:
                self.plans.pop(next(iter(self.plans)), None)
            self.plans[as_of] = plan
        customer_features.store(dataset, plan.run(frames), as_of)
