"""A customer's profile: how they buy, what and where, and the group of those who buy alike.

A published folder of its own; serving looks known customers up in it and describes posted ones by
the same functions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.customers.favourites import TOP_CATEGORIES, favourites
from features.dataset import Dataset
from training.customers.clusters import Clusters
from training.customers.cutoffs import customer_features

CLUSTERS, PROFILES = "clusters.json", "profile.parquet"
TOP = [f"top_category_{place}" for place in range(1, TOP_CATEGORIES + 1)]
NAMES = ("favourite_channel", "favourite_location")


def publish(dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Find the clusters, describe every customer at `as_of`, and write both."""
    clusters = Clusters.fit(customer_features(dataset, as_of))
    clusters.save(folder / CLUSTERS)
    describe(dataset, as_of, clusters).write_parquet(folder / PROFILES)


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published profiles; returns the ids that were in them."""
    path = folder / PROFILES
    rows = pl.read_parquet(path)
    gone = erased(rows.get_column("customer_id"))
    if gone.any():
        path.unlink()
        rows.filter(~gone).write_parquet(path)
    return set(rows.get_column("customer_id").filter(gone))


def describe(dataset: Dataset, as_of: datetime, groups: Clusters) -> pl.DataFrame:
    """Describe each customer at `as_of`.

    Returns
    -------
    polars.DataFrame
        customer_id, cluster, first_purchase, last_purchase, visits, days_since_purchase,
        usual_gap_days (the median, null with one visit), spend_per_visit (over what a visit
        typically brings, null without money), top_categories (up to three, most days first),
        favourite_channel and favourite_location (null where they are not recorded).
    """
    features = customer_features(dataset, as_of)
    named = favourites(dataset, as_of).collect().to_polars()
    laid = features.with_columns(groups.named(features)).join(
        named, on="customer_id", how="left", maintain_order="left"
    )
    top = [name for name in TOP if name in laid.columns]
    categories = pl.concat_list(top).list.drop_nulls() if top else pl.lit([], pl.List(pl.String))
    return laid.select(
        "customer_id",
        "cluster",
        *(
            pl.from_epoch(name, time_unit="d").alias(date)
            for name, date in (("first_day", "first_purchase"), ("last_day", "last_purchase"))
        ),
        pl.col("visits").cast(pl.Int64),
        pl.col("recency").cast(pl.Int64).alias("days_since_purchase"),
        pl.col("gap_median").alias("usual_gap_days"),
        _or_null("spend_per_visit", laid, pl.Float64),
        categories.alias("top_categories"),
        *(_or_null(name, laid, pl.String) for name in NAMES),
    )


def _or_null(name: str, frame: pl.DataFrame, dtype: type[pl.DataType]) -> pl.Expr:
    return pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)


@dataclass(frozen=True)
class Profiles:
    """The published profiles, in memory.

    Attributes
    ----------
    groups
        The clusters.
    frame
        What `describe` returned.
    rows
        Each customer's row in it.
    """

    groups: Clusters
    frame: pl.DataFrame
    rows: Mapping[str, int]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `publish` wrote."""
        frame = pl.read_parquet(folder / PROFILES)
        rows = {customer: row for row, customer in enumerate(frame.get_column("customer_id"))}
        return cls(Clusters.load(folder / CLUSTERS), frame, rows)

    def of(self, customer_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the profiles of those that are known, by id."""
        found = self.frame[sorted({self.rows[one] for one in customer_ids if one in self.rows})]
        return {row["customer_id"]: row for row in found.iter_rows(named=True)}
