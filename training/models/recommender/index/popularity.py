"""What is popular, in the whole chain and at each location, at this time of the year.

Order lines before an instant in; for every location the products that most of its next
baskets will hold out.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Float32s, Int32s
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

RECENT_DAYS = 28
YEAR_DAYS = 364
KEPT = 300
# A location's own baskets count fully when it has many more than these.
PRIOR_BASKETS = 100.0
# A product's season is believed when it has many more than so many baskets.
PRIOR_SEASON = 20.0
MOST_SEASON = 5.0


@dataclass(frozen=True)
class PopularNow(arrays.StoredArrays):
    """Popular products by location.

    Attributes
    ----------
    share
        By product: the share of the chain's next baskets that is expected to hold it.
    locations
        Ids as UTF-8, ascending.
    ends
        Where each location's products end, with a zero in front.
    codes, shares
        Each location's products, in the order of their codes, with their shares of its
        baskets; products that were not sold there lately are left out.
    baskets
        Baskets of each location in the last 28 days.
    top
        The most popular products of each location, best first, and in the last row those of
        the chain.
    seasonal
        Whether there is a year of records, so that the season is taken into account.
    """

    prefix: ClassVar[str] = "popular"

    share: Float32s
    locations: NDArray[np.bytes_]
    ends: NDArray[np.int64]
    codes: Int32s
    shares: Float32s
    baskets: Int32s
    top: Int32s
    seasonal: NDArray[np.bool_]

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Count baskets of the last four weeks, and those of the season a year ago."""
        today = to_day(as_of)
        located = dataset.has("orders", "location_id")
        near = (nw.col("day") >= today - RECENT_DAYS) | (
            (nw.col("day") >= today - YEAR_DAYS - RECENT_DAYS)
            & (nw.col("day") < today - YEAR_DAYS + RECENT_DAYS)
        )
        lines = dataset.known("orders", as_of).filter(
            nw.col("kind") == "sale", ~nw.col("product_id").is_null(), near
        )
        columns = ["order_id", "product_id", "day", *(["location_id"] if located else [])]
        position = pl.Enum(catalogue.frame.get_column("product_id"))
        rows = (
            lines.select(*columns)
            .collect()
            .to_polars()
            .with_columns(pl.col("product_id").cast(position).to_physical().cast(pl.Int64))
        )
        recent = rows.filter(pl.col("day") >= today - RECENT_DAYS)
        season = _season(rows, today, catalogue.size)
        factor = np.ones(catalogue.size) if season is None else season
        baskets = max(recent.get_column("order_id").n_unique(), 1)
        counted = recent.group_by("product_id").agg(pl.col("order_id").n_unique().alias("n"))
        share = np.zeros(catalogue.size)
        share[counted.get_column("product_id").to_numpy()] = counted.get_column("n").to_numpy()
        share = share * factor / baskets
        chain = np.lexsort((np.arange(catalogue.size), -share))[:KEPT].astype(np.int32)
        here = _by_location(recent, share, factor, chain) if located else _nowhere(chain)
        return cls(share=share.astype(np.float32), seasonal=np.array([season is not None]), **here)

    def find(self, location_id: str) -> int:
        """Return the position of a location; -1 where nothing was sold lately."""
        key = location_id.encode()
        if not len(self.locations) or len(key) > self.locations.dtype.itemsize:
            return -1
        at = int(self.locations.searchsorted(np.bytes_(key)))
        return at if at < len(self.locations) and bytes(self.locations[at]) == key else -1

    def here(self, position: int, codes: Int32s) -> Float32s:
        """Return the shares of a location's next baskets that hold each product.

        What was not sold there lately counts by the chain, as the location's prior does.
        """
        own = slice(int(self.ends[position]), int(self.ends[position + 1]))
        sold = self.codes[own]
        weight = PRIOR_BASKETS / (PRIOR_BASKETS + float(self.baskets[position]))
        found: Float32s = (self.share[codes] * weight).astype(np.float32)
        if len(sold):
            at = np.minimum(np.searchsorted(sold, codes), len(sold) - 1)
            found = np.where(sold[at] == codes, self.shares[own][at], found)
        return found

    def popular(self, position: int) -> tuple[Int32s, Float32s]:
        """Return the most popular products of a location, or with -1 of the chain."""
        codes = self.top[position]
        shares = self.share[codes] if position < 0 else self.here(position, codes)
        return codes, shares


def _season(rows: pl.DataFrame, today: int, products: int) -> NDArray[np.float64] | None:
    """Say by how much each product's sales changed a year ago, from now on; shrunk to none."""
    then = today - YEAR_DAYS
    old = rows.filter(pl.col("day") < then + RECENT_DAYS)
    if old.is_empty() or old.get_column("day").min() > then - RECENT_DAYS // 2:  # type: ignore[operator]
        return None
    halves = []
    for part in (old.filter(pl.col("day") < then), old.filter(pl.col("day") >= then)):
        counts = np.bincount(part.get_column("product_id").to_numpy(), minlength=products)
        halves.append(counts / max(part.get_column("order_id").n_unique(), 1))
    before, after = halves
    total = max(old.get_column("order_id").n_unique() / 2, 1.0)
    ratio = (after + PRIOR_SEASON / total) / (before + PRIOR_SEASON / total)
    found: NDArray[np.float64] = np.clip(ratio, 1 / MOST_SEASON, MOST_SEASON)
    return found


def _by_location(
    recent: pl.DataFrame, share: NDArray[np.float64], factor: NDArray[np.float64], chain: Int32s
) -> dict[str, Any]:
    """Count baskets by location and product, shrunk towards the chain's shares."""
    rows = recent.filter(pl.col("location_id").is_not_null())
    baskets = (
        rows.group_by("location_id")
        .agg(pl.col("order_id").n_unique().alias("baskets"))
        .sort(pl.col("location_id").cast(pl.Binary))
        .with_row_index("location")
    )
    counted = (
        rows.group_by("location_id", "product_id")
        .agg(pl.col("order_id").n_unique().alias("n"))
        .join(baskets, on="location_id")
        .sort("location", "product_id")
    )
    codes = counted.get_column("product_id").to_numpy()
    total = counted.get_column("baskets").to_numpy()
    n = counted.get_column("n").to_numpy()
    shares = (n * factor[codes] + PRIOR_BASKETS * share[codes]) / (total + PRIOR_BASKETS)
    owners = counted.get_column("location").cast(pl.Int64).to_numpy()
    ends = group_boundaries(owners, baskets.height)
    sizes = baskets.get_column("baskets").to_numpy()
    top = []
    for position, size in enumerate(sizes):
        own = slice(int(ends[position]), int(ends[position + 1]))
        among, place = np.unique(np.concatenate([codes[own], chain]), return_index=True)
        unsold = share[chain] * PRIOR_BASKETS / (size + PRIOR_BASKETS)
        of = np.concatenate([shares[own], unsold])[place]
        top.append(among[np.lexsort((among, -of))[: len(chain)]])
    ids = [one.encode() for one in baskets.get_column("location_id")]
    return {
        "locations": np.array(ids, dtype=np.bytes_) if ids else np.zeros(0, "S1"),
        "ends": ends,
        "codes": codes.astype(np.int32),
        "shares": shares.astype(np.float32),
        "baskets": sizes.astype(np.int32),
        "top": np.array([*top, chain], dtype=np.int32),
    }


def _nowhere(chain: Int32s) -> dict[str, Any]:
    """Say that no records name a location."""
    none = np.zeros(0, np.int32)
    return {
        "locations": np.zeros(0, "S1"),
        "ends": np.zeros(1, np.int64),
        "codes": none,
        "shares": np.zeros(0, np.float32),
        "baskets": none,
        "top": chain[None, :],
    }
