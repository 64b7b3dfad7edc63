"""Profiles of customers: how they buy, what and where, and their behavioural cluster.

In: a dataset at an instant. Out: a published folder with the clusters and one row per customer, and
its reader. Profiles of posted customers are described by the same functions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.columns import CUSTOMER_ID
from features.customer_records import customer_frame
from features.customers.favourites import TOP_CATEGORIES, favourites
from features.dataset import Dataset
from training.customers.clusters import Clusters
from training.customers.cutoffs import customer_features, typical_spend

CLUSTERS, PROFILES = "clusters.json", "profile.parquet"
TOP = [f"top_category_{rank}" for rank in range(1, TOP_CATEGORIES + 1)]
FAVOURITE_COLUMNS = ("favourite_channel", "favourite_location")


def publish(dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the clusters and the profile of every customer at `as_of`."""
    clusters = Clusters.fit(customer_features(dataset, as_of))
    clusters.save(folder / CLUSTERS)
    describe(dataset, as_of, clusters).write_parquet(folder / PROFILES)


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published profiles; return the ids that were in them."""
    path = folder / PROFILES
    rows = pl.read_parquet(path)
    gone = erased(rows.get_column(CUSTOMER_ID))
    if gone.any():
        path.unlink()
        rows.filter(~gone).write_parquet(path)
    return set(rows.get_column(CUSTOMER_ID).filter(gone))


def describe(dataset: Dataset, as_of: datetime, clusters: Clusters) -> pl.DataFrame:
    """Describe each customer at `as_of`.

    Returns
    -------
    polars.DataFrame
        customer_id, cluster, first_purchase, last_purchase, visits, days_since_purchase,
        usual_gap_days (the median, null with one visit), spend_per_visit (relative to the typical
        spend of a visit, null without money), returned_value (money of all returns, null without
        money), top_categories (up to three, most days first), favourite_channel and
        favourite_location (null where they are not recorded).
    """
    features = customer_features(dataset, as_of)
    favourite = customer_frame(favourites, dataset, as_of)
    rows = features.with_columns(clusters.name_of_each(features)).join(
        favourite, on=CUSTOMER_ID, how="left", maintain_order="left"
    )
    top = [name for name in TOP if name in rows.columns]
    categories = pl.concat_list(top).list.drop_nulls() if top else pl.lit([], pl.List(pl.String))
    unit = typical_spend(dataset, as_of) if "returned_spend" in rows.columns else 0.0
    return rows.select(
        CUSTOMER_ID,
        "cluster",
        *(
            pl.col(name).cast(pl.Int32).cast(pl.Date).alias(date)
            for name, date in (("first_day", "first_purchase"), ("last_day", "last_purchase"))
        ),
        pl.col("visits").cast(pl.Int64),
        pl.col("recency").cast(pl.Int64).alias("days_since_purchase"),
        pl.col("gap_median").alias("usual_gap_days"),
        _or_null("spend_per_visit", rows, pl.Float64),
        _or_null("returned_spend", rows, pl.Float64).alias("returned_value") * unit,
        categories.alias("top_categories"),
        *(_or_null(name, rows, pl.String) for name in FAVOURITE_COLUMNS),
    )


def _or_null(name: str, frame: pl.DataFrame, dtype: type[pl.DataType]) -> pl.Expr:
    return pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)


@dataclass(frozen=True)
class Profiles:
    """Published profiles in memory.

    Attributes
    ----------
    clusters
        The clusters.
    frame
        What `describe` returns, for all customers.
    rows
        Row of each customer in `frame`.
    """

    clusters: Clusters
    frame: pl.DataFrame
    rows: Mapping[str, int]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `publish` writes."""
        frame = pl.read_parquet(folder / PROFILES)
        rows = {customer: row for row, customer in enumerate(frame.get_column(CUSTOMER_ID))}
        return cls(Clusters.load(folder / CLUSTERS), frame, rows)

    def select(self, customer_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the profiles of known customers, by id."""
        rows = sorted({self.rows[customer] for customer in customer_ids if customer in self.rows})
        return {row[CUSTOMER_ID]: row for row in self.frame[rows].iter_rows(named=True)}
