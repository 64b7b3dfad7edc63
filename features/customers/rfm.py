"""RFM segments of customers, by recency, frequency and money compared with all other customers.

In: customer features. Out: the score and the name of each customer's segment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.typing import Frame, Ints

SCORES = (1, 2, 3, 4, 5)
# Rows: recency score, 5 for the most recent fifth of all customers. Columns: mean of the frequency
# and the money score.
RFM_SEGMENTS = {
    #    1              2                  3                     4             5
    5: ("new",         "promising",       "potential loyalist", "champion",   "champion"),
    4: ("promising",   "promising",       "potential loyalist", "loyal",      "champion"),
    3: ("about to sleep", "about to sleep", "needs attention",  "loyal",      "loyal"),
    2: ("hibernating", "hibernating",     "at risk",            "at risk",    "cannot lose"),
    1: ("lost",        "lost",            "hibernating",        "at risk",    "cannot lose"),
}  # fmt: skip


@dataclass(frozen=True)
class Rfm:
    """Edges of recency, frequency and money between the fifths of a population.

    Attributes
    ----------
    recency, frequency, money
        Four edges each: of days since the last visit, of visits, and of spend (empty where the
        records have no money).
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    money: tuple[float, ...]

    @classmethod
    def fit(cls, features: Frame) -> Self:
        """Compute the edges from the features of a population, as `customers` returns them."""
        values = {"recency": nw.col("recency"), "frequency": nw.col("visits")}
        if "spend_per_visit" in features.collect_schema().names():
            values["money"] = nw.col("spend_per_visit") * nw.col("visits")
        levels = [number / len(SCORES) for number in SCORES[:-1]]
        quantiles = features.select(
            expression.quantile(level, interpolation="linear").alias(f"{name}_{level}")
            for name, expression in values.items()
            for level in levels
        )
        row = quantiles.collect().rows(named=True)[0]
        edges = {
            name: tuple(float(row[f"{name}_{level}"] or 0.0) for level in levels) for name in values
        }
        return cls(edges["recency"], edges["frequency"], edges.get("money", ()))

    @classmethod
    def from_edges(cls, edges: Mapping[str, Sequence[float]]) -> Self:
        """Return the edges from the dictionary that `dataclasses.asdict` returns for them."""
        return cls(**{name: tuple(values) for name, values in edges.items()})

    def segments(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return `rfm_segment` and `rfm_score` of each customer."""
        recent = len(SCORES) - _exceeded(features, "recency", self.recency)
        frequent = 1 + _exceeded(features, "visits", self.frequency)
        money = frequent
        if self.money:
            money = 1 + _exceeded(features, "spend", self.money)
        level = (frequent + money + 1) // 2
        names = [
            RFM_SEGMENTS[row][column - 1]
            for row, column in zip(recent.tolist(), level.tolist(), strict=True)
        ]
        return pl.DataFrame(
            [
                pl.Series("rfm_segment", names, pl.String),
                pl.Series("rfm_score", 100 * recent + 10 * frequent + money, pl.Int64),
            ]
        )


def _exceeded(features: pl.DataFrame, name: str, edges: Sequence[float]) -> Ints:
    """Count the edges that a value exceeds."""
    if name == "spend":
        values = features.get_column("spend_per_visit") * features.get_column("visits")
    else:
        values = features.get_column(name)
    return np.asarray((values.to_numpy()[:, None] > np.array(edges)).sum(axis=1))
