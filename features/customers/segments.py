"""Lifecycle stages and RFM segments of customers, by fixed rules.

In: customer features. Out: the names of each customer's stage and segment. Stages compare a
customer with their own gaps between visits, RFM segments with all other customers; no model is
involved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import narwhals as nw

from features.calendar import AsOf
from features.columns import CUSTOMER_ID
from features.customers.builder import customers
from features.customers.visit_features import COMEBACK_DAYS
from features.dataset import Dataset
from features.typing import Frame

NEW, GROWING, LOYAL = "new", "growing", "loyal"
SLIPPING, LAPSED, WON_BACK = "slipping", "lapsed", "won back"

# Visits from which on a customer's own gaps are used.
FEW_VISITS = 3
# Daily visits of the last 28 days over those of the last 84, from which a customer is growing.
GROWTH = 4 / 3

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


def segments(dataset: Dataset, as_of: AsOf, horizon_days: int = 28) -> Frame:
    """Return the stage and the RFM segment of each customer, from what was known at `as_of`.

    Parameters
    ----------
    dataset, as_of
        As for `customers`.
    horizon_days
        Length of inactivity that matters; the usual gap of customers with too few gaps.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, stage, rfm_segment, rfm_score (recency, frequency and money, 111 to 555).

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    frame = customers(dataset, as_of)
    segmented = Rfm.fit(frame).with_segments(frame)
    return segmented.select(
        CUSTOMER_ID, stage(horizon_days).alias("stage"), "rfm_segment", "rfm_score"
    )


def stage(horizon_days: int) -> nw.Expr:
    """Return the expression of a customer's lifecycle stage.

    The usual gap is the 0.9 quantile of the customer's gaps between visits; for customers with
    fewer than three visits, the horizon. The first rule that holds names the stage:

    - new: fewer than three visits, the first of them within two horizons.
    - lapsed: inactive for longer than twice the usual gap; slipping: for longer than it.
    - won back: returned within the last 84 days after a gap of over two horizons and over twice
      the 0.25 quantile of the customer's gaps.
    - growing: first visit within four horizons, or three visits or more in the last 28 days at a
      daily rate at least a third above that of the last 84.
    - loyal: all others.
    """
    few = nw.col("visits") < FEW_VISITS
    usual = nw.when(few).then(nw.lit(float(horizon_days))).otherwise(nw.col("gap_q90"))
    inactive = nw.col("recency")
    short_gap = nw.when(few).then(nw.lit(0.0)).otherwise(nw.col("gap_q25"))
    ended_gap = nw.col(f"gap_max_{COMEBACK_DAYS}").fill_null(0.0)
    returned = (ended_gap > 2 * horizon_days) & (ended_gap > 2 * short_gap)
    faster = (nw.col("visits_28") >= FEW_VISITS) & (nw.col("visits_trend") >= GROWTH)
    rules: list[tuple[nw.Expr, str]] = [
        (few & (nw.col("tenure") <= 2 * horizon_days), NEW),
        (inactive > 2 * usual, LAPSED),
        (inactive > usual, SLIPPING),
        (returned, WON_BACK),
        ((nw.col("tenure") <= 4 * horizon_days) | faster, GROWING),
    ]
    return _first_that_holds(rules, LOYAL)


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
