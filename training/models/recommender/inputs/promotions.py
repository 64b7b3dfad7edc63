"""The promotion plan by location, product and day, as coded arrays.

The promotions table in; shares of promoted days for customers and products out. Training and
serving use the same `PromotionPlan`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions.promoted_purchases import placement_lifts
from features.interactions.promotion_calendar import WEEKS, local_plan
from features.typing import Bools, Float32s, Ints
from training.models.recommender.inputs.interactions import (
    Interactions,
    code_expression,
    find_sorted,
)
from training.models.recommender.inputs.locations import CustomerLocations

# Days from as_of on for which a published version can answer.
MAX_AHEAD_DAYS = 63
# Days that the features of one day look ahead, the last answered day included.
LOOKAHEAD_DAYS = max(after for _, after in WEEKS.values())
# Days and kinds of promotion whose aggregates are cached.
CACHE_SIZE = 64
# Upper limit of the estimated uplift of a placement.
MAX_UPLIFT = 8.0

SUMMARY = "kinds.json"


@dataclass(frozen=True)
class PromotionPeriods:
    """Promotions of one kind: which product, at which location, from which day to which.

    Attributes
    ----------
    keys
        Location code x products + product code, ascending; the code after the last location
        stands for all locations.
    starts, ends
        First day, and the day after the last.
    uplift
        Relative increase of sales due to the placement, 0 and above.
    planned
        Whether each location has promotions of its own.
    """

    keys: Ints
    starts: Ints
    ends: Ints
    uplift: Float32s
    planned: Bools

    @classmethod
    def build(
        cls, keys: Ints, starts: Ints, ends: Ints, uplift: Float32s, locations: int, products: int
    ) -> Self:
        """Sort periods by key and first day, and mark the locations that have any."""
        # One combined sort key takes half the time of two.
        first = starts.min(initial=0)
        span = starts.max(initial=0) - first + 1
        order = np.argsort(keys * span + (starts - first), kind="stable")
        planned = np.zeros(locations + 1, bool)
        planned[keys // products] = True
        return cls(keys[order], starts[order], ends[order], uplift[order], planned)

    def days_within(self, first: int, after: int) -> Ints:
        """Days of each period within `[first, after)`; zero or negative if there are none."""
        return np.minimum(self.ends, after) - np.maximum(self.starts, first)


@dataclass(frozen=True)
class PromotionPlan:
    """The promotion plan around an instant.

    Attributes
    ----------
    kinds
        Periods by kind of promotion.
    locations, products
        Number of locations and products.
    """

    kinds: Mapping[str, PromotionPeriods]
    locations: int
    products: int
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        dataset: Dataset,
        as_of: datetime,
        interactions: Interactions,
        locations: CustomerLocations,
    ) -> Self:
        """Collect the plan from a week before `as_of` on."""
        products, everywhere = interactions.shape[1], len(locations.ids)
        if "promotions" not in dataset.tables:
            return cls({}, everywhere, products)
        today = to_day(as_of)
        uplifts = placement_lifts(dataset, as_of).collect().to_polars().lazy()
        # Millions of rows: ids are coded within the query, and only rows with codes leave it.
        rows = (
            local_plan(dataset, today - 7, today + MAX_AHEAD_DAYS + LOOKAHEAD_DAYS)
            .collect()
            .to_polars()
            .lazy()
            .with_columns(
                code_expression("product_id", interactions.products).alias("product"),
                pl.when(pl.col("location_id").is_null())
                .then(everywhere)
                .otherwise(code_expression("location_id", locations.ids))
                .alias("location"),
                pl.col("placement").fill_null(""),
            )
            .filter(pl.col("product").is_not_null(), pl.col("location").is_not_null())
            .join(uplifts, on=["kind", "placement"], how="left", maintain_order="left")
            .select(
                "kind",
                (pl.col("location").cast(pl.Int64) * products + pl.col("product")).alias("key"),
                pl.col("from_day", "to_day").cast(pl.Int64),
                (pl.col("lift").fill_null(1.0) - 1.0)
                .clip(0.0, MAX_UPLIFT)
                .cast(pl.Float32)
                .alias("uplift"),
            )
            .collect()
        )
        periods = {}
        for kind in rows.get_column("kind").unique().sort():
            of_kind = rows.filter(pl.col("kind") == kind)
            periods[kind] = PromotionPeriods.build(
                of_kind.get_column("key").to_numpy(),
                of_kind.get_column("from_day").to_numpy(),
                of_kind.get_column("to_day").to_numpy(),
                of_kind.get_column("uplift").to_numpy(),
                everywhere,
                products,
            )
        return cls(periods, everywhere, products)

    def exposure(
        self, locations: Ints, weights: Float32s, cols: Ints, today: int
    ) -> dict[str, Float32s]:
        """Return the expected exposure of customers to promotions of products.

        Parameters
        ----------
        locations, weights
            Location codes of each pair's customer, -1 for none, and their probabilities; shape
            (pairs, locations).
        cols
            Product code of each pair.
        today
            The day from which weeks are counted.

        Returns
        -------
        dict
            By kind and week of `WEEKS`: the expected share of promoted days at the customer's
            location. For the coming week also `<kind>_chain`, the share over all locations with
            a plan, and `<kind>_uplift`, the expected uplift of the placement. Locations without
            a plan of their own count with the chain's shares.
        """
        exposure: dict[str, Float32s] = {}
        for kind, periods in self.kinds.items():
            window = self._window(kind, today)
            chain = window.chain[:, cols]
            shares = np.zeros((len(WEEKS) + 1, len(cols)), np.float32)
            rest = np.ones(len(cols), np.float32)
            for location, weight in zip(locations.T, weights.T, strict=True):
                planned = (location >= 0) & periods.planned[location] & (weight > 0)
                if planned.any():
                    keys = np.where(planned, location * self.products + cols, -1)
                    shares += weight * window.lookup(keys)
                    rest -= weight * planned
            shares[:-1] += np.maximum(rest, 0.0) * chain
            if periods.planned[-1]:
                everywhere = window.lookup(self.locations * self.products + cols)
                shares = np.maximum(shares, everywhere)
            for week, share, chain_share in zip(WEEKS, shares, chain, strict=False):
                exposure[f"{kind}_{week}"] = share
                if week == "this_week":
                    exposure[f"{kind}_chain"] = chain_share
                    exposure[f"{kind}_uplift"] = shares[-1]
        return exposure

    def chain_share(self, kind: str, first: int, after: int) -> Float32s:
        """Return the promoted share of days and of locations with a plan, by product; cached."""
        key = (kind, first, after)
        share: Float32s | None = self._cache.get(key)
        if share is None:
            self._limit_cache()
            share = self._cache[key] = self._chain_share(kind, first, after)
        return share

    def _chain_share(self, kind: str, first: int, after: int) -> Float32s:
        periods = self.kinds[kind]
        days = periods.days_within(first, after)
        current = days > 0
        location, cols = np.divmod(periods.keys[current], self.products)
        planned = max(int(periods.planned[:-1].sum()), 1)
        weight = np.where(location == self.locations, planned, 1) * days[current]
        total = np.bincount(cols, weights=weight, minlength=self.products)
        return np.minimum(total / (planned * (after - first)), 1.0).astype(np.float32)

    def _window(self, kind: str, today: int) -> "_Window":
        """Aggregate the promotions around a day; cached."""
        key = (kind, today)
        window: _Window | None = self._cache.get(key)
        if window is None:
            chain = np.stack([self.chain_share(kind, *days) for days in _week_days(today)])
            self._limit_cache()
            # Another thread may clear the cache, so the value is returned without a look-up.
            window = self._cache[key] = _Window.build(self.kinds[kind], chain, today)
        return window

    def _limit_cache(self) -> None:
        if len(self._cache) > CACHE_SIZE:
            self._cache.clear()

    def save(self, folder: Path) -> None:
        """Write one file of arrays per kind, and a file that lists the kinds."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, periods in enumerate(self.kinds.values()):
            np.savez(
                folder / _file_name(number),
                keys=periods.keys,
                starts=periods.starts,
                ends=periods.ends,
                uplift=periods.uplift,
            )
        summary = {
            "kinds": list(self.kinds),
            "locations": self.locations,
            "products": self.products,
        }
        (folder / SUMMARY).write_text(json.dumps(summary))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        summary = json.loads((folder / SUMMARY).read_text())
        sizes = summary["locations"], summary["products"]
        kinds = {}
        for number, kind in enumerate(summary["kinds"]):
            with np.load(folder / _file_name(number), allow_pickle=False) as stored:
                kinds[kind] = PromotionPeriods.build(
                    stored["keys"], stored["starts"], stored["ends"], stored["uplift"], *sizes
                )
        return cls(kinds, *sizes)


@dataclass(frozen=True)
class _Window:
    """Promoted shares of the weeks around a day, by location and product.

    Attributes
    ----------
    keys
        Those of `PromotionPeriods`, distinct.
    shares
        Shape (weeks + 1, keys): the promoted share of each week's days, and the expected uplift
        of the coming week.
    chain
        `PromotionPlan.chain_share` of each week, shape (weeks, products).
    """

    keys: Ints
    shares: Float32s
    chain: Float32s

    @classmethod
    def build(cls, periods: PromotionPeriods, chain: Float32s, today: int) -> Self:
        """Add up the periods of each location and product."""
        weeks = _week_days(today)
        current = np.flatnonzero(
            (periods.ends > min(first for first, _ in weeks))
            & (periods.starts < max(after for _, after in weeks))
        )
        keys, starts = np.unique(periods.keys[current], return_index=True)
        parts = []
        for week, (first, after) in zip(WEEKS, weeks, strict=True):
            days = periods.days_within(first, after)[current]
            part = np.maximum(days, 0) / np.float32(after - first)
            parts.append(part)
            if week == "this_week":
                uplift = part * periods.uplift[current]
        parts.append(uplift)
        sums = [np.add.reduceat(part, starts) if len(starts) else part for part in parts]
        shares = np.stack(sums).astype(np.float32)
        np.minimum(shares[:-1], 1.0, out=shares[:-1])
        return cls(keys, shares, chain)

    def lookup(self, keys: Ints) -> Float32s:
        """Return the shares of pairs of location and product, zero without promotions."""
        position = find_sorted(self.keys, keys)
        shares = np.zeros((len(self.shares), len(keys)), np.float32)
        known = position >= 0
        shares[:, known] = self.shares[:, position[known]]
        return shares


def _week_days(today: int) -> list[tuple[int, int]]:
    """First day, and the day after the last, of each of `WEEKS`."""
    return [(today + first, today + after) for first, after in WEEKS.values()]


def _file_name(number: int) -> str:
    return f"{number}.npz"
