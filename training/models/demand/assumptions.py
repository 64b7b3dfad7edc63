"""How far the plan of a forecast is known, and what the forecast assumes beyond it."""

from collections.abc import Sequence

import polars as pl

from features.demand.closures import PLAN
from features.demand.recurring_closures import WEEKDAY, YEAR

PLAN_KNOWN_UNTIL = "plan_known_until"
ASSUMES = "assumes"
COLUMNS = (PLAN_KNOWN_UNTIL, ASSUMES)
# Why a location is closed in a period.
_CLOSED = {
    PLAN: "closed as planned",
    WEEKDAY: "closed as on this weekday before",
    YEAR: "closed as in the years before",
}
# Between assumptions in one text.
SEPARATOR = "; "


def assumptions(
    until: pl.Expr, end: pl.Expr, closed: pl.Expr, fitted: Sequence[str]
) -> list[pl.Expr]:
    """Return expressions of `COLUMNS`.

    Parameters
    ----------
    until
        The first day on which promotions are unknown; null if they never were known.
    end
        The day after the horizon.
    closed
        Code of the reason for which the location is closed in the period, or on days of it.
    fitted
        Features that the model was fitted on: it assumes nothing about what it does not read.
    """
    last = (until - 1).cast(pl.Date)
    parts: list[pl.Expr] = []
    if any(name.startswith("promotion_") for name in fitted):
        parts.append(
            pl.when(until.is_null())
            .then(pl.lit("promotions as usual"))
            .when(until < end)
            .then(pl.format("promotions as usual after {}", last))
        )
    if "price_relative" in fitted:
        parts.append(pl.lit("prices unchanged after their last known change"))
    parts.append(closed.replace_strict(_CLOSED, default=None, return_dtype=pl.String))
    text = pl.concat_str(parts, separator=SEPARATOR, ignore_nulls=True)
    return [last.alias(PLAN_KNOWN_UNTIL), text.alias(ASSUMES)]


def common_assumptions() -> list[pl.Expr]:
    """Return aggregations of `COLUMNS` over series: those of the series that is known least far."""
    return [pl.col(name).sort_by(PLAN_KNOWN_UNTIL).first() for name in COLUMNS]
