"""Behavioural clusters of customers with similar purchases, named by their distinctive traits.

In: customer features. Out: the cluster of each customer. Recency and tenure are left out: clusters
describe how customers buy, lifecycle stages describe where they stand.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.columns import CUSTOMER_ID
from features.dataset import Dataset
from features.typing import Floats, Ints
from training.customers.cutoffs import customer_features


@dataclass(frozen=True)
class Trait:
    """A property in which customers differ.

    Attributes
    ----------
    value
        Its expression of customer features.
    reads
        The features that it requires.
    low, high
        Words for a low and a high value.
    """

    value: pl.Expr
    reads: tuple[str, ...]
    low: str
    high: str


# Counts and money are compared by ratios, hence logarithms.
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
    "regularity": Trait(
        pl.col("gap_sd") / pl.col("gap_mean"), ("gap_sd", "gap_mean"), "steady", "in bursts"
    ),
    "breadth": Trait(
        (pl.col("categories").clip(lower_bound=1) / pl.col("visits").sqrt()).log(),
        ("categories", "visits"),
        "narrow choice",
        "wide choice",
    ),
}
# Numbers of clusters that are tried.
NUMBERS = range(3, 8)
# Name of the only cluster.
EVERYONE = "everyone"
# With fewer customers there is one cluster.
MIN_CUSTOMERS = 100
# Customers that k-means is fitted on and that the silhouette is computed on.
MAX_FITTED = 20_000
MAX_EVALUATED = 2_000
# Standardised values are clipped, so that outliers do not form clusters.
CLIP = 3.0
# Distance of a centre from the mean, in standard deviations, from which a trait is distinctive.
DISTINCT = 0.5
NAMED_TRAITS = 2


@dataclass(frozen=True)
class Clusters:
    """Centres of clusters in standardised traits.

    Attributes
    ----------
    traits
        Names of the traits compared: those of `TRAITS` whose features are known.
    mean, scale
        Mean and standard deviation of each trait; missing values are set to the mean.
    centres
        Shape (clusters, traits).
    names
        Name of each cluster, from its distinctive traits.
    """

    traits: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def fit(cls, features: pl.DataFrame, seed: int = 0, numbers: Sequence[int] = NUMBERS) -> Self:
        """Fit k-means with the number of clusters that has the highest mean silhouette.

        Parameters
        ----------
        features
            What `features.customers.builder.customers` returns for a population.
        seed
            The same seed gives the same clusters.
        numbers
            Numbers of clusters to try.
        """
        traits = tuple(
            name for name, trait in TRAITS.items() if set(trait.reads) <= set(features.columns)
        )
        values = _values(features, traits)
        mean = np.nan_to_num(np.nanmean(values, axis=0)) if len(values) else np.zeros(len(traits))
        scale = np.nanstd(values, axis=0) if len(values) else np.ones(len(traits))
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        base = cls(traits, _tuple(mean), _tuple(scale), (), ())
        centres = np.zeros((1, len(traits)))
        if len(values) >= MIN_CUSTOMERS:
            points = base._standardised(features)
            centres = _centres(points, np.random.default_rng(seed), seed, numbers)
        centres = centres[np.argsort(-centres[:, 0], kind="stable")]
        return replace(
            base,
            centres=tuple(_tuple(centre) for centre in centres),
            names=tuple(_names(traits, centres)),
        )

    def assign(self, features: pl.DataFrame) -> Ints:
        """Return the number of each customer's cluster: the nearest centre."""
        points, centres = self._standardised(features), np.array(self.centres)
        distance = ((points[:, None, :] - centres[None]) ** 2).sum(axis=2)
        return np.asarray(distance.argmin(axis=1))

    def name_of_each(self, features: pl.DataFrame) -> pl.Series:
        """Return the name of each customer's cluster, as the column `cluster`."""
        names = np.array(self.names, dtype=object)
        return pl.Series("cluster", names[self.assign(features)].tolist(), dtype=pl.String)

    def save(self, path: Path) -> None:
        """Write the clusters as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that `save` writes."""
        content: dict[str, Any] = json.loads(path.read_text())
        centres = tuple(tuple(centre) for centre in content.pop("centres"))
        lists = {name: tuple(values) for name, values in content.items()}
        return cls(**lists, centres=centres)

    def _standardised(self, features: pl.DataFrame) -> Floats:
        scaled = (_values(features, self.traits) - self.mean) / self.scale
        return np.asarray(np.nan_to_num(scaled, nan=0.0).clip(-CLIP, CLIP))


@dataclass(frozen=True)
class Stability:
    """Agreement of clusters with those fitted at an earlier instant.

    Attributes
    ----------
    as_of
        The earlier instant.
    customers
        Number of customers known at both instants.
    adjusted_rand
        Adjusted Rand index (Hubert and Arabie 1985) of the later features' clusters by both fits,
        with the same number of clusters: 1 for the same partition, 0 for agreement by chance.
    stayed
        Share of customers in the same cluster of the later fit by their features at both instants.
    """

    as_of: datetime
    customers: int
    adjusted_rand: float
    stayed: float


def stability(dataset: Dataset, as_of: datetime, days_before: tuple[int, ...]) -> list[Stability]:
    """Compare the clusters at `as_of` with those fitted so many days before."""
    from sklearn.metrics import adjusted_rand_score

    features = customer_features(dataset, as_of)
    clusters = Clusters.fit(features)
    comparisons = []
    for days in days_before:
        earlier = as_of - timedelta(days=days)
        before = customer_features(dataset, earlier)
        both = features.join(before, on=CUSTOMER_ID, how="semi", maintain_order="left")
        both_before = both.select(CUSTOMER_ID).join(
            before, on=CUSTOMER_ID, how="left", maintain_order="left"
        )
        labels = clusters.assign(both)
        refitted = Clusters.fit(before, numbers=[len(clusters.centres)])
        comparisons.append(
            Stability(
                earlier,
                both.height,
                float(adjusted_rand_score(labels, refitted.assign(both))),
                float((labels == clusters.assign(both_before)).mean()),
            )
        )
    return comparisons


def _centres(points: Floats, rng: np.random.Generator, seed: int, numbers: Sequence[int]) -> Floats:
    """Return the centres with the highest silhouette; one centre, 0, if there are no clusters."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    order = rng.permutation(len(points))
    fitted, evaluated = points[order[:MAX_FITTED]], points[order[:MAX_EVALUATED]]
    # There cannot be more clusters than distinct points.
    distinct = len(np.unique(fitted, axis=0))
    models = [
        KMeans(number, n_init=4, random_state=seed).fit(fitted)
        for number in numbers
        if 1 < number <= distinct
    ]
    labels = [model.predict(evaluated) for model in models]
    scores = [silhouette_score(evaluated, label) if np.ptp(label) else -1.0 for label in labels]
    if max(scores, default=-1.0) == -1.0:
        return np.zeros((1, points.shape[1]))
    return np.asarray(models[int(np.argmax(scores))].cluster_centers_, dtype=np.float64)


def _values(features: pl.DataFrame, traits: tuple[str, ...]) -> Floats:
    values = features.select(TRAITS[name].value.cast(pl.Float64).alias(name) for name in traits)
    numbers = values.fill_null(np.nan).to_numpy(order="c")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _names(traits: tuple[str, ...], centres: Floats) -> list[str]:
    """Name each centre by the traits furthest from the mean; names are distinct."""
    names: list[str] = []
    for centre in centres:
        order = np.argsort(-np.abs(centre), kind="stable")
        words = [
            TRAITS[traits[k]].high if centre[k] > 0 else TRAITS[traits[k]].low
            for k in order
            if abs(centre[k]) > 0
        ]
        leading = max(1, int((np.abs(centre) >= DISTINCT)[order[:NAMED_TRAITS]].sum()))
        name = next(
            (
                candidate
                for count in range(leading, len(words) + 1)
                if (candidate := ", ".join(words[:count])) not in names
            ),
            f"{EVERYONE} {len(names) + 1}" if names else EVERYONE,
        )
        names.append(name)
    return names


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
