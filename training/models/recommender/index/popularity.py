"""Popular products of the chain and of each location, adjusted for the season.

Order lines before an instant in; expected shares of the next baskets by product and location out.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.returns import net_purchases
from features.typing import Bools, Float32s, Floats, Int32s, Ints
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

RECENT_DAYS = 28
YEAR_DAYS = 364
# A product first sold so many days before last year's date, or later, was being launched then.
LAUNCH_DAYS = 2 * RECENT_DAYS
# Most popular products kept per location.
MOST_POPULAR = 300
# Shrinkage of a location's shares towards the chain's, in baskets.
PRIOR_BASKETS = 100.0
# Shrinkage of a product's seasonal factor towards 1, in baskets, and the largest factor.
PRIOR_SEASON = 20.0
MOST_SEASON = 5.0


@dataclass(frozen=True)
class PopularProducts(arrays.StoredArrays):
    """Expected shares of baskets, by product and location.

    Attributes
    ----------
    share
        Expected share of the chain's next baskets with the product, by product code.
    locations
        Location ids in UTF-8, ascending.
    ends
        Offsets: the products of location l are `[ends[l], ends[l + 1])`.
    codes, shares
        Products sold at each location in the last 28 days, in ascending order, and their
        expected shares of its baskets.
    baskets
        Baskets of each location in the last 28 days.
    top
        The most popular of the products sold in the last 28 days, by location in descending order;
        the last row is the chain.
    seasonal
        Whether the records span a year, so that shares are adjusted for the season.
    """

    prefix: ClassVar[str] = "popular"

    share: Float32s
    locations: NDArray[np.bytes_]
    ends: Ints
    codes: Int32s
    shares: Float32s
    baskets: Int32s
    top: Int32s
    seasonal: Bools

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Count baskets of the last 28 days, adjusted by those of a year ago."""
        today = to_day(as_of)
        has_locations = dataset.has("orders", "location_id")
        counted_days = (nw.col("day") >= today - RECENT_DAYS) | (
            (nw.col("day") >= today - YEAR_DAYS - RECENT_DAYS)
            & (nw.col("day") < today - YEAR_DAYS + RECENT_DAYS)
        )
        lines = net_purchases(dataset, as_of).filter(~nw.col("product_id").is_null(), counted_days)
        columns = ["order_id", "product_id", "day", *(["location_id"] if has_locations else [])]
        position = pl.Enum(catalogue.frame.get_column("product_id"))
        rows = (
            lines.select(*columns)
            .collect()
            .to_polars()
            .with_columns(pl.col("product_id").cast(position).to_physical().cast(pl.Int64))
        )
        recent = rows.filter(pl.col("day") >= today - RECENT_DAYS)
        first_day = catalogue.frame.get_column("first_day").fill_null(today).to_numpy()
        begun = max(today - YEAR_DAYS - LAUNCH_DAYS, dataset.days[0] + RECENT_DAYS)
        season = _seasonal_factors(rows, today, first_day < begun)
        factor = np.ones(catalogue.size) if season is None else season
        baskets = max(recent.get_column("order_id").n_unique(), 1)
        counted = recent.group_by("product_id").agg(pl.col("order_id").n_unique().alias("n"))
        share = np.zeros(catalogue.size)
        share[counted.get_column("product_id").to_numpy()] = counted.get_column("n").to_numpy()
        share = share * factor / baskets
        chain = np.lexsort((np.arange(catalogue.size), -share))[:MOST_POPULAR].astype(np.int32)
        chain = chain[share[chain] > 0]
        locations = (
            _by_location(recent, share, factor, chain) if has_locations else _no_locations(chain)
        )
        seasonal = np.array([season is not None])
        return cls(share=share.astype(np.float32), seasonal=seasonal, **locations)

    @cached_property
    def mean_share(self) -> float:
        """Mean share of the products that sold in the last 28 days; 0 if none did."""
        sold = self.share[self.share > 0]
        return float(sold.mean()) if len(sold) else 0.0

    def position(self, location_id: str) -> int:
        """Return the position of a location; -1 if it has no sales in the last 28 days."""
        key = location_id.encode()
        if not len(self.locations) or len(key) > self.locations.dtype.itemsize:
            return -1
        position = int(self.locations.searchsorted(np.bytes_(key)))
        if position < len(self.locations) and bytes(self.locations[position]) == key:
            return position
        return -1

    def location_shares(self, position: int, codes: Int32s) -> Float32s:
        """Return the expected shares of a location's next baskets with each product.

        Products without recent sales there get the chain's share, weighted as the prior.
        """
        span = slice(int(self.ends[position]), int(self.ends[position + 1]))
        sold = self.codes[span]
        weight = PRIOR_BASKETS / (PRIOR_BASKETS + float(self.baskets[position]))
        shares: Float32s = (self.share[codes] * weight).astype(np.float32)
        if len(sold):
            index = np.minimum(np.searchsorted(sold, codes), len(sold) - 1)
            shares = np.where(sold[index] == codes, self.shares[span][index], shares)
        return shares

    def most_popular(self, position: int) -> tuple[Int32s, Float32s]:
        """Return the most popular products of a location, or of the chain for -1, with shares."""
        codes = self.top[position]
        shares = self.share[codes] if position < 0 else self.location_shares(position, codes)
        return codes, shares


def _seasonal_factors(rows: pl.DataFrame, today: int, established: Bools) -> Floats | None:
    """Return by what factor each product's share changed at this date a year ago.

    One for products that are not `established`: their sales grew because they had been launched.
    None if the records do not reach back a year.
    """
    then = today - YEAR_DAYS
    old = rows.filter(pl.col("day") < then + RECENT_DAYS)
    if old.is_empty() or old.get_column("day").min() > then - RECENT_DAYS // 2:  # type: ignore[operator]
        return None
    halves = []
    for part in (old.filter(pl.col("day") < then), old.filter(pl.col("day") >= then)):
        counts = np.bincount(part.get_column("product_id").to_numpy(), minlength=len(established))
        halves.append(counts / max(part.get_column("order_id").n_unique(), 1))
    before, after = halves
    total = max(old.get_column("order_id").n_unique() / 2, 1.0)
    ratio = (after + PRIOR_SEASON / total) / (before + PRIOR_SEASON / total)
    return np.where(established, np.clip(ratio, 1 / MOST_SEASON, MOST_SEASON), 1.0)


def _by_location(
    recent: pl.DataFrame, share: Floats, factor: Floats, chain: Int32s
) -> dict[str, Any]:
    """Return the fields by location, with shares shrunk towards the chain's."""
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
        span = slice(int(ends[position]), int(ends[position + 1]))
        products, first = np.unique(np.concatenate([codes[span], chain]), return_index=True)
        unsold = share[chain] * PRIOR_BASKETS / (size + PRIOR_BASKETS)
        expected = np.concatenate([shares[span], unsold])[first]
        top.append(products[np.lexsort((products, -expected))[: len(chain)]])
    ids = [location.encode() for location in baskets.get_column("location_id")]
    return {
        "locations": np.array(ids, dtype=np.bytes_) if ids else np.zeros(0, "S1"),
        "ends": ends,
        "codes": codes.astype(np.int32),
        "shares": shares.astype(np.float32),
        "baskets": sizes.astype(np.int32),
        "top": np.array([*top, chain], dtype=np.int32),
    }


def _no_locations(chain: Int32s) -> dict[str, Any]:
    """Return the fields by location for records without locations."""
    none = np.zeros(0, np.int32)
    return {
        "locations": np.zeros(0, "S1"),
        "ends": np.zeros(1, np.int64),
        "codes": none,
        "shares": np.zeros(0, np.float32),
        "baskets": none,
        "top": chain[None, :],
    }
