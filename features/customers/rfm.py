"""RFM segments of customers, by recency, frequency and money compared with all other customers.

In: customer features. Out: the score and the name of each customer's segment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import narwhals as nw

from features.typing import Frame

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
            values["money"] = _spend()
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

    def with_segments(self, features: Frame) -> Frame:
        """Add `rfm_score` and `rfm_segment` to customer features."""
        recent = len(SCORES) - _exceeded(nw.col("recency"), self.recency)
        frequent = 1 + _exceeded(nw.col("visits"), self.frequency)
        money = 1 + _exceeded(_spend(), self.money) if self.money else frequent
        scored = features.with_columns((100 * recent + 10 * frequent + money).alias("rfm_score"))
        score = nw.col("rfm_score")
        level = ((score // 10) % 10 + score % 10 + 1) // 2
        cells: dict[str, list[int]] = {}
        for row, names in RFM_SEGMENTS.items():
            for column, name in zip(SCORES, names, strict=True):
                cells.setdefault(name, []).append(10 * row + column)
        rules = [(nw.col("cell").is_in(codes), name) for name, codes in cells.items()]
        return (
            scored.with_columns((10 * (score // 100) + level).alias("cell"))
            .with_columns(_first_that_holds(rules, RFM_SEGMENTS[1][0]).alias("rfm_segment"))
            .drop("cell")
        )


def _spend() -> nw.Expr:
    return nw.col("spend_per_visit") * nw.col("visits")


def _exceeded(value: nw.Expr, edges: Sequence[float]) -> nw.Expr:
    """Count the edges that a value exceeds."""
    count = (value > edges[0]).cast(nw.Int64)
    for edge in edges[1:]:
        count = count + (value > edge).cast(nw.Int64)
    return count


def _first_that_holds(rules: Sequence[tuple[nw.Expr, str]], otherwise: str) -> nw.Expr:
    expression = nw.lit(otherwise)
    for condition, name in reversed(rules):
        expression = nw.when(condition).then(nw.lit(name)).otherwise(expression)
    return expression
