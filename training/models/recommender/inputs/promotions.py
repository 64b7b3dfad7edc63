"""The promotion calendar of customers' locations, as arrays to look up in.

The promotions table in; what is promoted where and on which days out. Serving asks the same `Plan`
that training asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions.promoted_purchases import placement_lifts
from features.interactions.promotion_calendar import WEEKS, local_plan
from features.typing import Float32s, Ints
from training.models.recommender.inputs.interactions import Interactions, codes_of, find_sorted
from training.models.recommender.inputs.locations import Places

# Days from as_of on that a published version may answer for.
AHEAD_DAYS = 63
# So far the features of a day look ahead: of the last day that is answered for too.
LOOKING_AHEAD = max(after for _, after in WEEKS.values())
# Days and kinds of which the chain's shares are kept.
KEPT = 64
# No placement is believed to sell more than so many times more.
MAX_WORTH = 8.0


@dataclass(frozen=True)
class Stretches:
    """Promotions of one kind: what is promoted where, and on which days.

    Attributes
    ----------
    keys
        Location code x products + product code, ascending; the location after the last
        stands for everywhere.
    starts, ends
        First day, and the day after the last.
    worth
        How much more the placement sells than none, 0 and above.
    planned
        Whether each location has any of its own.
    """

    keys: Ints
    starts: Ints
    ends: Ints
    worth: Float32s
    planned: NDArray[np.bool_]

    @classmethod
    def of(
        cls, keys: Ints, starts: Ints, ends: Ints, worth: Float32s, locations: int, products: int
    ) -> Self:
        """Order them, and note which locations have any."""
        # Both in one number: a sort by one key is done in half the time.
        first = starts.min(initial=0)
        span = starts.max(initial=0) - first + 1
        order = np.argsort(keys * span + (starts - first), kind="stable")
        planned = np.zeros(locations + 1, bool)
        planned[keys // products] = True
        return cls(keys[order], starts[order], ends[order], worth[order], planned)


@dataclass(frozen=True)
class Plan:
    """The promotion calendar around an instant.

    Attributes
    ----------
    kinds
        By kind of promotion.
    locations, products
        How many there are.
    """

    kinds: Mapping[str, Stretches]
    locations: int
    products: int
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def at(cls, dataset: Dataset, as_of: datetime, known: Interactions, places: Places) -> Self:
        """Collect the plan from a week before `as_of` on."""
        size = known.shape[1]
        if "promotions" not in dataset.tables:
            return cls({}, len(places.ids), size)
        today = to_day(as_of)
        lifts = placement_lifts(dataset, as_of).collect().to_polars().lazy()
        everywhere = len(places.ids)
        # Millions of rows: ids become codes within the query, and only those kept leave it.
        found = (
            local_plan(dataset, today - 7, today + AHEAD_DAYS + LOOKING_AHEAD)
            .collect()
            .to_polars()
            .lazy()
            .with_columns(
                codes_of("product_id", known.products).alias("what"),
                pl.when(pl.col("location_id").is_null())
                .then(everywhere)
                .otherwise(codes_of("location_id", places.ids))
                .alias("where"),
                pl.col("placement").fill_null(""),
            )
            .filter(pl.col("what").is_not_null(), pl.col("where").is_not_null())
            .join(lifts, on=["kind", "placement"], how="left", maintain_order="left")
            .select(
                "kind",
                (pl.col("where").cast(pl.Int64) * size + pl.col("what")).alias("key"),
                pl.col("from_day", "to_day").cast(pl.Int64),
                (pl.col("lift").fill_null(1.0) - 1.0)
                .clip(0.0, MAX_WORTH)
                .cast(pl.Float32)
                .alias("worth"),
            )
            .collect()
        )
        stretches = {}
        for kind in found.get_column("kind").unique().sort():
            of = found.filter(pl.col("kind") == kind)
            stretches[kind] = Stretches.of(
                of.get_column("key").to_numpy(),
                of.get_column("from_day").to_numpy(),
                of.get_column("to_day").to_numpy(),
                of.get_column("worth").to_numpy(),
                everywhere,
                size,
            )
        return cls(stretches, len(places.ids), size)

    def shares(self, where: Ints, weights: Float32s, cols: Ints, today: int) -> dict[str, Float32s]:
        """Say for pairs of a customer and a product how much promotion the customer meets.

        Parameters
        ----------
        where, weights
            The customers' locations, -1 for none, shape (pairs, locations), and how likely
            they are there.
        cols
            The products.
        today
            The day from which weeks are counted.

        Returns
        -------
        dict
            By kind and week of `WEEKS`: the expected share of its days with the promotion at
            the customer's location; for this week also `<kind>_chain`, over all locations that
            ever have one, and `<kind>_worth`, how much more such a placement sells.
            Where a customer's location has no plan of its own, the chain's stands in.
        """
        found: dict[str, Float32s] = {}
        nobody = np.zeros((len(WEEKS) + 1, len(cols)), np.float32)
        for kind, stretches in self.kinds.items():
            near = self._near(kind, today)
            chain = near.chain[:, cols]
            share, left = nobody.copy(), np.ones(len(cols), np.float32)
            for place in range(where.shape[1]):
                at, weight = where[:, place], weights[:, place]
                planned = (at >= 0) & stretches.planned[at] & (weight > 0)
                if planned.any():
                    keys = np.where(planned, at * self.products + cols, -1)
                    share += weight * near.at(keys)
                    left -= weight * planned
            share[:-1] += np.maximum(left, 0.0) * chain
            if stretches.planned[-1]:
                every = near.at(self.locations * self.products + cols)
                share = np.maximum(share, every)
            for week, of, everywhere in zip(WEEKS, share, chain, strict=False):
                found[f"{kind}_{week}"] = of
                if week == "this_week":
                    found[f"{kind}_chain"] = everywhere
                    found[f"{kind}_worth"] = share[-1]
        return found

    def _near(self, kind: str, today: int) -> "_Near":
        """Condense what is promoted around a day; kept for the days asked last."""
        key = (kind, today)
        found: _Near | None = self._kept.get(key)
        if found is None:
            chain = np.stack([self.chain(kind, *days) for days in _days(today)])
            self._forget()
            # Another request may forget it at once: what was found is returned, not looked up.
            found = self._kept[key] = _Near.of(self.kinds[kind], chain, today)
        return found

    def _forget(self) -> None:
        if len(self._kept) > KEPT:
            self._kept.clear()

    def here(self, cols: Ints, today: int) -> Float32s:
        """How much more products sell for being promoted in the coming week, 0 and above.

        Returns
        -------
        numpy.ndarray
            Shape (locations + 1, cols); the last row, and locations without a plan of their
            own, have the chain's.
        """
        found = np.zeros((self.locations + 1, len(cols)), np.float32)
        first, after = (today + day for day in WEEKS["this_week"])
        for kind, stretches in self.kinds.items():
            usual = float(stretches.worth.mean()) if len(stretches.worth) else 0.0
            chain = usual * self.chain(kind, first, after)[cols]
            found[~stretches.planned] = np.maximum(found[~stretches.planned], chain[None, :])
            days = np.minimum(stretches.ends, after) - np.maximum(stretches.starts, first)
            where, what = np.divmod(stretches.keys, self.products)
            column = find_sorted(cols, what)
            near = (days > 0) & (column >= 0)
            worth = (days[near] / (after - first) * stretches.worth[near]).astype(np.float32)
            np.maximum.at(found, (where[near], column[near]), worth)
            found[-1] = np.maximum(found[-1], chain)
        return found

    def chain(self, kind: str, first: int, after: int) -> Float32s:
        """Share of locations with a plan and of days, by product; kept for the days asked last."""
        key = (kind, first, after)
        found: Float32s | None = self._kept.get(key)
        if found is None:
            self._forget()
            found = self._kept[key] = self._chain(kind, first, after)
        return found

    def _chain(self, kind: str, first: int, after: int) -> Float32s:
        stretches = self.kinds[kind]
        days = np.minimum(stretches.ends, after) - np.maximum(stretches.starts, first)
        near = days > 0
        where, cols = np.divmod(stretches.keys[near], self.products)
        planned = max(int(stretches.planned[:-1].sum()), 1)
        worth = np.where(where == self.locations, planned, 1) * days[near]
        total = np.bincount(cols, weights=worth, minlength=self.products)
        return np.minimum(total / (planned * (after - first)), 1.0).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder, one file a kind, and `kinds.json` that names them."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, stretches in enumerate(self.kinds.values()):
            np.savez(
                folder / f"{number}.npz",
                keys=stretches.keys,
                starts=stretches.starts,
                ends=stretches.ends,
                worth=stretches.worth,
            )
        about = {"kinds": list(self.kinds), "locations": self.locations, "products": self.products}
        (folder / "kinds.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "kinds.json").read_text())
        kinds = {}
        for number, kind in enumerate(about["kinds"]):
            with np.load(folder / f"{number}.npz", allow_pickle=False) as arrays:
                kinds[kind] = Stretches.of(
                    arrays["keys"],
                    arrays["starts"],
                    arrays["ends"],
                    arrays["worth"],
                    about["locations"],
                    about["products"],
                )
        return cls(kinds, about["locations"], about["products"])


@dataclass(frozen=True)
class _Near:
    """Shares of the weeks around a day, by location and product.

    Attributes
    ----------
    keys
        As `Stretches` has them, each once.
    shares
        Shape (weeks and one more, keys): the part of the week's days that is promoted, and for
        this week how much more that sells.
    chain
        Of each week by product, as `Plan.chain` has it.
    """

    keys: Ints
    shares: Float32s
    chain: Float32s

    @classmethod
    def of(cls, stretches: Stretches, chain: Float32s, today: int) -> Self:
        """Add up the stretches of each location and product."""
        weeks = _days(today)
        near = np.flatnonzero(
            (stretches.ends > min(first for first, _ in weeks))
            & (stretches.starts < max(after for _, after in weeks))
        )
        keys, starts = np.unique(stretches.keys[near], return_index=True)
        parts = []
        for week, (first, after) in zip(WEEKS, weeks, strict=True):
            days = np.minimum(stretches.ends[near], after) - np.maximum(
                stretches.starts[near], first
            )
            part = np.maximum(days, 0) / np.float32(after - first)
            parts.append(part)
            if week == "this_week":
                worth = part * stretches.worth[near]
        added = [np.add.reduceat(part, starts) if len(starts) else part for part in (*parts, worth)]
        shares = np.stack(added).astype(np.float32)
        np.minimum(shares[:-1], 1.0, out=shares[:-1])
        return cls(keys, shares, chain)

    def at(self, keys: Ints) -> Float32s:
        """Look up pairs of a location and a product; zero where nothing is promoted."""
        place = find_sorted(self.keys, keys)
        found = np.zeros((len(self.shares), len(keys)), np.float32)
        there = place >= 0
        found[:, there] = self.shares[:, place[there]]
        return found


def _days(today: int) -> list[tuple[int, int]]:
    """First day, and the day after the last, of each of `WEEKS`."""
    return [(today + first, today + after) for first, after in WEEKS.values()]
