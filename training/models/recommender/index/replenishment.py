"""Replenishment: when a customer is likely to buy a product again.

Repurchase gaps of past customers in; a hazard of repurchase out, in units of the usual gap of
customer and product. From it follow the probability of a repurchase and its expected date.
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
from features.typing import Bools, Floats, Ints
from training.models.recommender.index.catalogue import Catalogue

REPLENISHMENT = "replenishment.json"

DUE, SOON, NOT_YET, LAPSED = "due", "soon", "not_yet", "lapsed"
# Least probability of a purchase within the days ahead.
DUE_PROBABILITY, SOON_PROBABILITY = 0.10, 0.04
# Least share of the gap that has passed; before, even frequently bought products are not due.
EARLIEST_DUE, EARLIEST_SOON = 0.5, 0.25
# An unlikely product counts as lapsed after so many gaps.
MOST_GAPS = 2.0
# The product's gap over all customers counts as so many gaps of the customer.
PRIOR_GAPS = 1.0
LEAST_GAP_DAYS = 1.0
DEFAULT_GAP_DAYS = 30.0
# Customers that the hazard is estimated from.
MOST_CUSTOMERS = 2000
# Purchases of a product from which on customers share a hazard curve.
TIMES = (1, 2, 3, 5, 10, 20)
# Lower edges of the stretches of elapsed time with constant hazard, in gaps.
EDGES = (0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4, 6, 10, 20)
# Shrinkage towards the curve of fewer purchases, in gaps of exposure.
PRIOR_EXPOSURE = 5.0


@dataclass(frozen=True)
class ReplenishmentStatus:
    """State of products that a customer bought before.

    Attributes
    ----------
    gap
        Usual days between two purchases.
    probability
        Probability of a purchase within the days ahead.
    days_left
        Days until one gap after the last purchase; 0 if it has passed.
    states
        `due`, `soon`, `not_yet` or `lapsed`.
    """

    gap: Floats
    probability: Floats
    days_left: Floats
    states: NDArray[np.str_]


@dataclass(frozen=True)
class ReplenishmentCurve:
    """Hazard of the next purchase by elapsed time, in units of the usual gap.

    Some customers never buy again, and this becomes likelier the longer they have not: the hazard
    rises until about one gap after the last purchase and falls from then on.

    Attributes
    ----------
    hazard
        Purchases per gap of exposure, by number of purchases and stretch; shape (`TIMES`,
        `EDGES`).
    usual_gap
        Days, for products without a known gap.
    """

    hazard: Floats
    usual_gap: float

    @classmethod
    def fit(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Divide the purchases in each stretch by the exposure in it."""
        rows = repurchases(dataset, as_of, most_customers=MOST_CUSTOMERS).collect().to_polars()
        product_gaps = catalogue.frame.select("product_id", pl.col("gap").alias("product_gap"))
        # Sorted, because sums of floats depend on their order.
        rows = rows.sort(rows.columns).join(
            product_gaps, on="product_id", how="left", maintain_order="left"
        )
        repurchased = rows.get_column("repurchased").to_numpy()
        gap_days = rows.get_column("gap_days").to_numpy()
        usual_gap = float(gap_days[repurchased].mean()) if repurchased.any() else DEFAULT_GAP_DAYS
        times = rows.get_column("number").to_numpy()
        own_gap = rows.get_column("span_days").to_numpy() / np.maximum(times - 1, 1)
        product_gap = rows.get_column("product_gap").cast(pl.Float64).fill_null(np.nan).to_numpy()
        gap = _gap(times, own_gap, product_gap, usual_gap)
        return cls(_hazard(gap_days / gap, repurchased, _curve(times)), usual_gap)

    def status(
        self,
        times: ArrayLike,
        elapsed: ArrayLike,
        own_gap: ArrayLike,
        product_gap: ArrayLike,
        days: float,
    ) -> ReplenishmentStatus:
        """Return the state of products.

        Parameters
        ----------
        times
            Baskets of the customer with the product, at least one.
        elapsed
            Days since the last of them.
        own_gap
            Mean days between the customer's purchases; ignored if `times` is one.
        product_gap
            Mean days between purchases over all customers; NaN if unknown.
        days
            Days ahead that the probability refers to.
        """
        gap = _gap(times, own_gap, product_gap, self.usual_gap)
        passed, curve = np.asarray(elapsed, np.float64) / gap, _curve(times)
        so_far = self._cumulative(curve, passed)
        probability = -np.expm1(so_far - self._cumulative(curve, passed + days / gap))
        soon = (probability >= SOON_PROBABILITY) & (passed >= EARLIEST_SOON)
        others = np.where(soon, SOON, np.where(passed < MOST_GAPS, NOT_YET, LAPSED))
        due = (probability >= DUE_PROBABILITY) & (passed >= EARLIEST_DUE)
        days_left = np.maximum(1 - passed, 0) * gap
        return ReplenishmentStatus(gap, probability, days_left, np.where(due, DUE, others))

    def _cumulative(self, curve: Ints, passed: Floats) -> Floats:
        """Return the cumulative hazard after some gaps."""
        edges = np.asarray(EDGES, np.float64)
        stretch = np.searchsorted(edges, passed, side="right") - 1
        within = self.hazard[curve, stretch] * (passed - edges[stretch])
        total: Floats = self._cumulative_at_edges[curve, stretch] + within
        return total

    @cached_property
    def _cumulative_at_edges(self) -> Floats:
        steps = self.hazard[:, :-1] * np.diff(EDGES)
        return np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))

    def save(self, folder: Path) -> None:
        """Write one JSON file."""
        content = {"hazard": self.hazard.tolist(), "usual_gap": self.usual_gap}
        (folder / REPLENISHMENT).write_text(json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file that `save` wrote."""
        content: dict[str, Any] = json.loads((folder / REPLENISHMENT).read_text())
        return cls(np.array(content["hazard"], np.float64), content["usual_gap"])


def _curve(times: ArrayLike) -> Ints:
    """Return the row of `ReplenishmentCurve.hazard` for numbers of purchases."""
    return np.maximum(np.searchsorted(TIMES, np.asarray(times), side="right") - 1, 0)


def _gap(times: ArrayLike, own_gap: ArrayLike, product_gap: ArrayLike, usual_gap: float) -> Floats:
    """Return the mean of the customer's gaps and `PRIOR_GAPS` gaps of all customers."""
    gaps = np.maximum(np.asarray(times, np.float64) - 1, 0)
    mean = np.asarray(own_gap, np.float64)
    prior = np.asarray(product_gap, np.float64)
    prior = np.where(np.isnan(prior), usual_gap, prior)
    gap = (gaps * np.where(gaps > 0, mean, 0.0) + PRIOR_GAPS * prior) / (gaps + PRIOR_GAPS)
    return np.maximum(gap, LEAST_GAP_DAYS)


def _hazard(waited: Floats, repurchased: Bools, curve: Ints) -> Floats:
    """Estimate the hazard from waiting times in gaps; those without a repurchase are censored."""
    edges = np.asarray(EDGES, np.float64)
    shape = (len(TIMES), len(EDGES))
    stretch = np.searchsorted(edges, waited, side="right") - 1
    events, exposure = np.zeros(shape), np.zeros(shape)
    np.add.at(events, (curve[repurchased], stretch[repurchased]), 1.0)
    for column, (start, end) in enumerate(zip(edges, [*edges[1:], np.inf], strict=True)):
        spent = np.clip(np.minimum(waited, end) - start, 0.0, None)
        exposure[:, column] = np.bincount(curve, weights=spent, minlength=len(TIMES))
    hazard = np.empty(shape)
    prior = np.maximum(events.sum(axis=0), 0.5) / np.maximum(exposure.sum(axis=0), 1.0)
    for row in range(len(TIMES)):
        hazard[row] = (events[row] + PRIOR_EXPOSURE * prior) / (exposure[row] + PRIOR_EXPOSURE)
        prior = hazard[row]
    return hazard
