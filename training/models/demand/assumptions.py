"""How far the plan of a forecast is known, and what the forecast assumes beyond it."""

from collections.abc import Sequence

import polars as pl

PLAN_KNOWN_UNTIL = "plan_known_until"
ASSUMES = "assumes"
COLUMNS = (PLAN_KNOWN_UNTIL, ASSUMES)
# Between assumptions in one text.
SEPARATOR = "; "


def assumptions(until: pl.Expr, end: pl.Expr, fitted: Sequence[str]) -> list[pl.Expr]:
    """Return expressions of `COLUMNS`.

    Parameters
    ----------
    until
        The first day on which promotions are unknown; null if they never were known.
    end
        The day after the horizon.
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
    text = pl.concat_str(parts, separator=SEPARATOR, ignore_nulls=True) if parts else pl.lit("")
    return [last.alias(PLAN_KNOWN_UNTIL), text.alias(ASSUMES)]


def common_assumptions() -> list[pl.Expr]:
    """Return aggregations of `COLUMNS` over series: those of the series that is known least far."""
    return [pl.col(name).sort_by(PLAN_KNOWN_UNTIL).first() for name in COLUMNS]
