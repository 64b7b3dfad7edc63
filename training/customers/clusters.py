"""Behavioural clusters: customers who buy alike, each group named by what sets it apart.

Customer features go in, a cluster's name a customer comes out; profiles, audiences and
`foresell segments` read it. Recency and tenure play no part: a cluster says how somebody buys,
the lifecycle stage says where they stand.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Floats, Ints
from training.customers.cutoffs import customer_features


@dataclass(frozen=True)
class Trait:
    """One way in which customers differ, from their features, with the words for both ends."""

    value: pl.Expr
    reads: tuple[str, ...]
    low: str
    high: str


# Counts and money are compared by their ratios, hence the logs.
TRAITS = {
    "frequency": Trait(
        ((pl.col("visits") + 1) / (pl.col("tenure") + 7)).log(),
        ("visits", "tenure"),
        "seldom",
        "often",
    ),
    "basket": Trait(
        pl.col("lines_per_visit").log(), ("lines_per_visit",), "few items", "full basket"
    ),
    "price": Trait(
        (pl.col("spend_per_visit") / pl.col("lines_per_visit")).clip(lower_bound=1e-3).log(),
        ("spend_per_visit", "lines_per_visit"),
        "cheap items",
        "dear items",
    ),
    "discount": Trait(pl.col("discount_share"), ("discount_share",), "full price", "on offer"),
    "weekend": Trait(
        pl.col("weekday_share_5") + pl.col("weekday_share_6"),
        ("weekday_share_5", "weekday_share_6"),
        "on weekdays",
        "at weekends",
    ),
    "rhythm": Trait(
        pl.col("gap_sd") / pl.col("gap_mean"), ("gap_sd", "gap_mean"), "steady", "in bursts"
    ),
    "variety": Trait(
        (pl.col("categories").clip(lower_bound=1) / pl.col("visits").sqrt()).log(),
        ("categories", "visits"),
        "narrow choice",
        "wide choice",
    ),
}
NUMBERS = range(3, 8)
EVERYONE = "everyone"
# With fewer customers than this there are no groups to tell apart.
FEWEST = 100
# Enough to find the centres; everyone is assigned.
MOST_FITTED = 20_000
MOST_JUDGED = 2_000
# Beyond so many standard deviations a value is an outlier, not a group.
CLIP = 3.0
# A centre this far from the mean, in standard deviations, sets a group apart.
APART = 0.5
NAMED_TRAITS = 2


@dataclass(frozen=True)
class Clusters:
    """Centres of groups in standardised traits.

    Attributes
    ----------
    traits
        What was compared: those of `TRAITS` that the features allow.
    mean, scale
        Of each trait, to standardise it; a customer who lacks one is taken as the mean.
    centres
        Shape (groups, traits).
    names
        Of each group, from the traits that lead it.
    """

    traits: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def fit(cls, features: pl.DataFrame, seed: int = 0, numbers: Sequence[int] = NUMBERS) -> Self:
        """Find groups by k-means, as many as the mean silhouette likes best.

        Parameters
        ----------
        features
            What `features.customers.builder.customers` returns for a population.
        seed
            Same seed, same groups.
        numbers
            How many groups there may be.
        """
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

        traits = tuple(
            name for name, trait in TRAITS.items() if set(trait.reads) <= set(features.columns)
        )
        values = _values(features, traits)
        mean = np.nan_to_num(np.nanmean(values, axis=0)) if len(values) else np.zeros(len(traits))
        scale = np.nanstd(values, axis=0) if len(values) else np.ones(len(traits))
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        base = cls(traits, _tuple(mean), _tuple(scale), (), ())
        centres = np.zeros((1, len(traits)))
        if len(values) >= FEWEST:
            points = base._standard(features)
            chosen = np.random.default_rng(seed).permutation(len(points))
            fitted, judged = points[chosen[:MOST_FITTED]], points[chosen[:MOST_JUDGED]]
            # Customers who are all alike are one group, and those of few kinds no more than that.
            kinds = len(np.unique(fitted, axis=0))
            tried = [
                KMeans(k, n_init=4, random_state=seed).fit(fitted)
                for k in numbers
                if 1 < k <= kinds
            ]
            labels = [one.predict(judged) for one in tried]
            apart = [silhouette_score(judged, of) if np.ptp(of) else -1.0 for of in labels]
            if max(apart, default=-1.0) > -1:
                found = tried[int(np.argmax(apart))]
                centres = np.asarray(found.cluster_centers_, dtype=np.float64)
        centres = centres[np.argsort(-centres[:, 0], kind="stable")]
        return cls(
            traits,
            base.mean,
            base.scale,
            tuple(_tuple(centre) for centre in centres),
            tuple(_names(traits, centres)),
        )

    def assign(self, features: pl.DataFrame) -> Ints:
        """Return each customer's group: the nearest centre."""
        points, centres = self._standard(features), np.array(self.centres)
        distance = ((points[:, None, :] - centres[None]) ** 2).sum(axis=2)
        return np.asarray(distance.argmin(axis=1))

    def named(self, features: pl.DataFrame) -> pl.Series:
        """Return the name of each customer's group."""
        names = np.array(self.names, dtype=object)
        return pl.Series("cluster", names[self.assign(features)].tolist(), dtype=pl.String)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        content: dict[str, Any] = json.loads(path.read_text())
        centres = tuple(tuple(centre) for centre in content.pop("centres"))
        lists = {name: tuple(values) for name, values in content.items()}
        return cls(**lists, centres=centres)

    def _standard(self, features: pl.DataFrame) -> Floats:
        scaled = (_values(features, self.traits) - self.mean) / self.scale
        return np.asarray(np.nan_to_num(scaled, nan=0.0).clip(-CLIP, CLIP))


@dataclass(frozen=True)
class Stability:
    """How much of the groups at one instant was there before.

    Attributes
    ----------
    as_of
        The earlier instant.
    customers
        Known at both.
    adjusted_rand
        Agreement of the groups found at both instants, as many as now, on the later features: 1
        where they are the same but for their names, 0 where they agree by chance. Hubert and
        Arabie (1985).
    stayed
        Share of customers whom the later groups, laid over both instants' features, leave where
        they were.
    """

    as_of: datetime
    customers: int
    adjusted_rand: float
    stayed: float


def stability(dataset: Dataset, as_of: datetime, days_before: tuple[int, ...]) -> list[Stability]:
    """Compare the groups found at `as_of` with those found so many days before."""
    from sklearn.metrics import adjusted_rand_score

    now = customer_features(dataset, as_of)
    groups = Clusters.fit(now)
    found = []
    for days in days_before:
        earlier = as_of - timedelta(days=days)
        before = customer_features(dataset, earlier)
        both = now.join(before, on="customer_id", how="semi", maintain_order="left")
        old = both.select("customer_id").join(
            before, on="customer_id", how="left", maintain_order="left"
        )
        labels = groups.assign(both)
        then = Clusters.fit(before, numbers=[len(groups.centres)])
        found.append(
            Stability(
                earlier,
                both.height,
                float(adjusted_rand_score(labels, then.assign(both))),
                float((labels == groups.assign(old)).mean()),
            )
        )
    return found


def _values(features: pl.DataFrame, traits: tuple[str, ...]) -> Floats:
    values = features.select(TRAITS[name].value.cast(pl.Float64).alias(name) for name in traits)
    found = values.fill_null(np.nan).to_numpy(order="c")
    return np.where(np.isfinite(found), found, np.nan)


def _names(traits: tuple[str, ...], centres: Floats) -> list[str]:
    """Name each centre by the traits that lie furthest from the mean; no name comes twice."""
    found: list[str] = []
    for centre in centres:
        order = np.argsort(-np.abs(centre), kind="stable")
        words = [
            TRAITS[traits[k]].high if centre[k] > 0 else TRAITS[traits[k]].low
            for k in order
            if abs(centre[k]) > 0
        ]
        leading = max(1, int((np.abs(centre) >= APART)[order[:NAMED_TRAITS]].sum()))
        name = next(
            (
                candidate
                for count in range(leading, len(words) + 1)
                if (candidate := ", ".join(words[:count])) not in found
            ),
            f"{EVERYONE} {len(found) + 1}" if found else EVERYONE,
        )
        found.append(name)
    return found


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
