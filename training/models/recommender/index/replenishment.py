"""When a product that a customer bought is wanted again, by the product's and their own rhythm.

Learned when publishing from how long customers waited between two purchases; asked for each
list of what to buy again.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from features.dataset import Dataset
from features.interactions.repurchase_gaps import repurchases
from features.typing import Floats
from training.models.recommender.index.catalogue import Catalogue

DUE, SOON, NOT_YET, LAPSED = "due", "soon", "not_yet", "lapsed"
# A product is due or comes soon if its chance to be bought within `days` is at least this.
DUE_CHANCE, SOON_CHANCE = 0.10, 0.04
# Before so much of its gap has passed a product is not due, or not even soon, however often it
# is bought.
EARLIEST_DUE, EARLIEST_SOON = 0.5, 0.25
# What is unlikely and has been without for so many gaps is given up.
MOST_GAPS = 2.0
# How many gaps of one's own the gap of all customers is worth.
PRIOR_GAPS = 1.0
LEAST_GAP_DAYS = 1.0
DEFAULT_GAP_DAYS = 30.0
# Rhythms are learned from so many customers.
MOST_CUSTOMERS = 2000
# Customers who bought a product at least so many times share a curve; edges in gaps.
TIMES = (1, 2, 3, 5, 10, 20)
EDGES = (0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4, 6, 10, 20)
# The curve of those who bought less often counts as so many gaps of waiting seen.
PRIOR_WAITING = 5.0


@dataclass(frozen=True)
class Clock:
    """How each product stands, at the instant asked about.

    Attributes
    ----------
    gap
        Usual days from one purchase to the next.
    chance
        To be bought within the days asked about.
    expected
        Days until a gap after the last has passed; 0 where it has.
    states
        `due`, `soon`, `not_yet` or `lapsed`.
    """

    gap: Floats
    chance: Floats
    expected: Floats
    states: NDArray[np.str_]


@dataclass(frozen=True)
class ReplenishmentCurve:
    """How repurchase goes on, in time measured by gaps.

    Some never come back, and the more so the longer they have not: the hazard of the next
    purchase rises to about a gap after the last and falls from then on.

    Attributes
    ----------
    hazard
        Purchases per gap of waiting, in each stretch of `EDGES`, by how often the product was
        bought, shape (`TIMES`, `EDGES`).
    usual_gap
        Days, for products of which no gap is known.
    """

    hazard: Floats
    usual_gap: float

    @classmethod
    def learn(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Count the purchases in each stretch of waiting over the waiting that there was."""
        found = repurchases(dataset, as_of, most_customers=MOST_CUSTOMERS).collect().to_polars()
        gaps = catalogue.frame.select("product_id", pl.col("gap").alias("product_gap"))
        # In one order, for sums of floats depend on it.
        found = found.sort(found.columns).join(
            gaps, on="product_id", how="left", maintain_order="left"
        )
        came = found.get_column("repurchased").to_numpy()
        waited = found.get_column("gap_days").to_numpy()
        usual = float(waited[came].mean()) if came.any() else DEFAULT_GAP_DAYS
        times = found.get_column("number").to_numpy()
        own_gap = found.get_column("span_days").to_numpy() / np.maximum(times - 1, 1)
        product_gap = found.get_column("product_gap").cast(pl.Float64).fill_null(np.nan).to_numpy()
        gap = _gap(times, own_gap, product_gap, usual)
        return cls(_hazard(waited / gap, came, _curve(times)), usual)

    def at(
        self,
        times: ArrayLike,
        elapsed: ArrayLike,
        own_gap: ArrayLike,
        product_gap: ArrayLike,
        days: float,
    ) -> Clock:
        """Say how products stand.

        Parameters
        ----------
        times
            Baskets with the product, at least one.
        elapsed
            Days since the last.
        own_gap
            Mean days between the customer's own; with fewer than two it does not count.
        product_gap
            Mean days between two purchases of one customer, of all; NaN where unknown.
        days
            Those ahead for which the chance is asked.
        """
        gap = _gap(times, own_gap, product_gap, self.usual_gap)
        passed, curve = np.asarray(elapsed, np.float64) / gap, _curve(times)
        so_far = self._total(curve, passed)
        chance = -np.expm1(so_far - self._total(curve, passed + days / gap))
        soon = (chance >= SOON_CHANCE) & (passed >= EARLIEST_SOON)
        likely = np.where(soon, SOON, np.where(passed < MOST_GAPS, NOT_YET, LAPSED))
        due = (chance >= DUE_CHANCE) & (passed >= EARLIEST_DUE)
        return Clock(gap, chance, np.maximum(1 - passed, 0) * gap, np.where(due, DUE, likely))

    def _total(self, curve: NDArray[np.int64], passed: Floats) -> Floats:
        """Hazard added up over the waiting so far."""
        edges = np.asarray(EDGES, np.float64)
        at = np.searchsorted(edges, passed, side="right") - 1
        found: Floats = self._upto[curve, at] + self.hazard[curve, at] * (passed - edges[at])
        return found

    @cached_property
    def _upto(self) -> Floats:
        """Hazard added up to the beginning of each stretch."""
        steps = self.hazard[:, :-1] * np.diff(EDGES)
        return np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))

    def save(self, folder: Path) -> None:
        """Write `clock.json`."""
        content = {"hazard": self.hazard.tolist(), "usual_gap": self.usual_gap}
        (folder / "clock.json").write_text(json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        content: dict[str, Any] = json.loads((folder / "clock.json").read_text())
        return cls(np.array(content["hazard"], np.float64), content["usual_gap"])


def _curve(times: ArrayLike) -> NDArray[np.int64]:
    return np.maximum(np.searchsorted(TIMES, np.asarray(times), side="right") - 1, 0)


def _gap(
    times: ArrayLike, own_gap: ArrayLike, product_gap: ArrayLike, usual_gap: float
) -> NDArray[np.float64]:
    """Take the mean of the customer's own gaps and of one more, that of all customers."""
    own = np.maximum(np.asarray(times, np.float64) - 1, 0)
    mean = np.asarray(own_gap, np.float64)
    prior = np.asarray(product_gap, np.float64)
    prior = np.where(np.isnan(prior), usual_gap, prior)
    gap = (own * np.where(own > 0, mean, 0.0) + PRIOR_GAPS * prior) / (own + PRIOR_GAPS)
    return np.maximum(gap, LEAST_GAP_DAYS)


def _hazard(waited: Floats, came: NDArray[np.bool_], curve: NDArray[np.int64]) -> Floats:
    edges = np.asarray(EDGES, np.float64)
    shape = (len(TIMES), len(EDGES))
    stretch = np.searchsorted(edges, waited, side="right") - 1
    events, exposed = np.zeros(shape), np.zeros(shape)
    np.add.at(events, (curve[came], stretch[came]), 1.0)
    for at, (start, end) in enumerate(zip(edges, [*edges[1:], np.inf], strict=True)):
        spent = np.clip(np.minimum(waited, end) - start, 0.0, None)
        exposed[:, at] = np.bincount(curve, weights=spent, minlength=len(TIMES))
    found = np.empty(shape)
    below = np.maximum(events.sum(axis=0), 0.5) / np.maximum(exposed.sum(axis=0), 1.0)
    for at in range(len(TIMES)):
        found[at] = (events[at] + PRIOR_WAITING * below) / (exposed[at] + PRIOR_WAITING)
        below = found[at]
    return found
