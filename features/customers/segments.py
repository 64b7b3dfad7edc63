"""Where a customer stands: lifecycle stage and RFM segment, by rules that stand here alone.

Customer features go in, names that a marketer uses come out; scores, answers, audiences and
notebooks read them. No model is asked: the rules are the customer's own gaps between visits
and a comparison with all other customers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import narwhals as nw

from features.calendar import AsOf
from features.columns import CUSTOMER_ID
from features.customers.builder import COMEBACK_DAYS, customers
from features.dataset import Dataset
from features.typing import Frame

NEW, GROWING, LOYAL = "new", "growing", "loyal"
SLIPPING, LAPSED, WON_BACK = "slipping", "lapsed", "won back"

# With fewer visits a customer's own gaps say little.
FEW_VISITS = 3
# Visits of the last 28 days over those of 84, both a day, from which a customer grows.
GROWTH = 4 / 3

SCORES = (1, 2, 3, 4, 5)
# Rows: how recently, 5 is the most recent fifth of all customers. Columns: how often and how
# much, the mean of both scores.
RFM_SEGMENTS = {
    #    1              2                  3                     4             5
    5: ("new",         "promising",       "potential loyalist", "champion",   "champion"),
    4: ("promising",   "promising",       "potential loyalist", "loyal",      "champion"),
    3: ("about to sleep", "about to sleep", "needs attention",  "loyal",      "loyal"),
    2: ("hibernating", "hibernating",     "at risk",            "at risk",    "cannot lose"),
    1: ("lost",        "lost",            "hibernating",        "at risk",    "cannot lose"),
}  # fmt: skip


def segments(dataset: Dataset, as_of: AsOf, horizon_days: int = 28) -> Frame:
    """Name where each customer stands, from what was known at `as_of`.

    Parameters
    ----------
    dataset, as_of
        As for `customers`.
    horizon_days
        How long a silence matters: what counts as usual for who has too few gaps of their own.

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
    named = Rfm.fit(frame).name(frame)
    return named.select(CUSTOMER_ID, stage(horizon_days).alias("stage"), "rfm_segment", "rfm_score")


def stage(horizon_days: int) -> nw.Expr:
    """Return the rule that names a customer's lifecycle stage.

    `usual` is the gap between visits that nine in ten of the customer's own do not exceed; for
    who has fewer than three visits, the horizon.

    - new: fewer than three visits, the first of them within two horizons.
    - lapsed: silent for longer than twice the usual; slipping: for longer than usual.
    - won back: back, within the last 84 days, after a silence of over two horizons that was
      also over twice what a quarter of the own gaps exceed least.
    - growing: customer for no longer than four horizons, or three visits or more in the last 28
      days and a third more of them a day than in the last 84.
    - loyal: all others, who come as they always have.
    """
    few = nw.col("visits") < FEW_VISITS
    usual = nw.when(few).then(nw.lit(float(horizon_days))).otherwise(nw.col("gap_q90"))
    silent = nw.col("recency")
    own = nw.when(few).then(nw.lit(0.0)).otherwise(nw.col("gap_q25"))
    back = nw.col(f"gap_max_{COMEBACK_DAYS}").fill_null(0.0)
    returned = (back > 2 * horizon_days) & (back > 2 * own)
    faster = (nw.col("visits_28") >= FEW_VISITS) & (nw.col("visits_trend") >= GROWTH)
    rising = (nw.col("tenure") <= 4 * horizon_days) | faster
    rules: list[tuple[nw.Expr, str]] = [
        (few & (nw.col("tenure") <= 2 * horizon_days), NEW),
        (silent > 2 * usual, LAPSED),
        (silent > usual, SLIPPING),
        (returned, WON_BACK),
        (rising, GROWING),
    ]
    return _first_that_holds(rules, LOYAL)


@dataclass(frozen=True)
class Rfm:
    """Recency, frequency and money in fifths of a population.

    Attributes
    ----------
    recency, frequency, money
        The four edges between the fifths: days since the last visit, visits, spend (empty where
        the records have no money).
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    money: tuple[float, ...]

    @classmethod
    def fit(cls, features: Frame) -> Self:
        """Measure the edges on what `customers` returns for a population."""
        measured = {"recency": nw.col("recency"), "frequency": nw.col("visits")}
        if "spend_per_visit" in features.collect_schema().names():
            measured["money"] = _spend()
        levels = [number / len(SCORES) for number in SCORES[:-1]]
        edges = features.select(
            expression.quantile(level, interpolation="linear").alias(f"{name}_{level}")
            for name, expression in measured.items()
            for level in levels
        )
        row = edges.collect().rows(named=True)[0]

        def of(name: str) -> tuple[float, ...]:
            return tuple(float(row[f"{name}_{level}"] or 0.0) for level in levels)

        return cls(of("recency"), of("frequency"), of("money") if "money" in measured else ())

    @classmethod
    def from_edges(cls, edges: Mapping[str, Sequence[float]]) -> Self:
        """Rebuild from what `dataclasses.asdict` wrote."""
        return cls(**{name: tuple(values) for name, values in edges.items()})

    def name(self, features: Frame) -> Frame:
        """Add `rfm_score` and `rfm_segment` to what `customers` returns."""
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
