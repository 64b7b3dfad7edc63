"""Discrete-time hazard of the next purchase: cutoffs in, curves P(purchase within d days) out.

LightGBM predicts whether a customer purchases in a bin of days, if not before, from person-periods:
one row a customer and bin (Singer and Willett 1993). A model gives the function that makes
person-periods of its features. A cutoff with incomplete follow-up counts as far as it is followed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.typing import Bools, Floats, Ints
from training.customers.cutoffs import Cutoff
from training.customers.survival import bins_at_risk, curves_from_hazards, life_table
from training.estimators.boosting import Booster

# (features, rows, bins) -> one row for each pair of a row of `features` and the number of a bin.
Expand = Callable[[pl.DataFrame, Ints, Ints], pl.DataFrame]

# Customers whose bins are expanded at a time: bounds the memory.
BATCH_ROWS = 20_000


@dataclass(frozen=True)
class Periods:
    """Bins at risk after cutoffs.

    Attributes
    ----------
    cutoffs
        Customers at cutoffs.
    edges
        First days of the bins, and the horizon.
    at_risk
        Of each cutoff: row of its features, bin, and 1 where there was a purchase in the bin.
    """

    cutoffs: Sequence[Cutoff]
    edges: Ints
    at_risk: Sequence[tuple[Ints, Ints, Floats]]

    @classmethod
    def after(cls, cutoffs: Sequence[Cutoff], edges: Ints) -> Self:
        """Find the bins at risk after each cutoff."""
        return cls(
            cutoffs,
            edges,
            [
                bins_at_risk(
                    cutoff.days_to_purchase, cutoff.purchased, cutoff.follow_up_days, edges
                )
                for cutoff in cutoffs
            ],
        )

    def __len__(self) -> int:
        """Return the number of bins at risk."""
        return sum(len(rows) for rows, _, _ in self.at_risk)

    def sample(self, count: int, seed: int) -> Self:
        """Return about `count` of the bins at random, or all if they are fewer."""
        share = count / max(len(self), 1)
        if share >= 1:
            return self
        random = np.random.default_rng(seed)
        chosen = [random.random(len(rows)) < share for rows, _, _ in self.at_risk]
        parts = zip(self.at_risk, chosen, strict=True)
        at_risk = [(rows[c], bins[c], label[c]) for (rows, bins, label), c in parts]
        return replace(self, at_risk=at_risk)

    def life_table(self, chosen: Sequence[Bools]) -> Floats:
        """Return P(purchase within d days) of the chosen customers of each cutoff (life table)."""
        bins, label = [], []
        for (rows, cutoff_bins, purchased), of_cutoff in zip(self.at_risk, chosen, strict=True):
            kept = of_cutoff[rows]
            bins.append(cutoff_bins[kept])
            label.append(purchased[kept])
        return life_table(np.concatenate(bins), np.concatenate(label), self.edges)


@dataclass(frozen=True)
class Hazard:
    """A fitted hazard.

    Attributes
    ----------
    booster
        Predicts the hazard of a bin.
    edges
        First days of the bins, and the horizon.
    expand
        Makes person-periods.
    """

    booster: Booster
    edges: Ints
    expand: Expand

    @classmethod
    def fit(
        cls,
        periods: Periods,
        expand: Expand,
        params: dict[str, Any],
        rounds: int,
        *,
        threads: int,
        seed: int,
    ) -> Self:
        """Fit to bins at risk, with LightGBM's parameters."""
        frames = [
            expand(cutoff.features, rows, bins)
            for cutoff, (rows, bins, _) in zip(periods.cutoffs, periods.at_risk, strict=True)
        ]
        label = np.concatenate([label for _, _, label in periods.at_risk])
        booster = Booster.fit(
            pl.concat(frames),
            label,
            params | {"objective": "binary"},
            rounds,
            threads=threads,
            seed=seed,
        )
        return cls(booster, periods.edges, expand)

    def curves(self, features: pl.DataFrame) -> Floats:
        """Return P(purchase within d days), d = 1 to the horizon; shape (customers, horizon)."""
        bins = np.arange(len(self.edges) - 1)
        curves = [np.empty((0, int(self.edges[-1])))]
        for start in range(0, features.height, BATCH_ROWS):
            batch = features.slice(start, BATCH_ROWS)
            hazard = self.booster.predict(self._expand_bins(batch, bins))
            curves.append(curves_from_hazards(hazard.reshape(batch.height, -1), self.edges))
        return np.concatenate(curves)

    def contributions(self, features: pl.DataFrame, days: Sequence[int]) -> pl.DataFrame:
        """Return each feature's contribution to the log-odds, averaged over the bins of `days`."""
        bins = np.searchsorted(self.edges, days, side="right") - 1
        names = [*self.booster.columns, "base"]
        means = [np.empty((0, len(names)))]
        for start in range(0, features.height, BATCH_ROWS):
            batch = features.slice(start, BATCH_ROWS)
            parts = self.booster.path_contributions(self._expand_bins(batch, bins)).to_numpy()
            means.append(parts.reshape(batch.height, len(bins), -1).mean(axis=1))
        return pl.DataFrame(np.concatenate(means), schema=names, orient="row")

    def save(self, path: Path) -> None:
        """Write the native booster."""
        self.booster.save(path)

    def _expand_bins(self, features: pl.DataFrame, bins: Ints) -> pl.DataFrame:
        """Return one row a customer and bin, customer by customer."""
        rows = np.repeat(np.arange(features.height), len(bins))
        return self.expand(features, rows, np.tile(bins, features.height))
