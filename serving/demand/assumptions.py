"""What published forecasts assume beyond the known plan, as fields of answers."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from training.models.demand.assumptions import ASSUMES, COLUMNS, PLAN_KNOWN_UNTIL, SEPARATOR

Assumptions = Mapping[str, Any]


def read_assumptions(forecasts: pl.DataFrame) -> list[Assumptions]:
    """Return `plan_known_until` (ISO) and `assumes` (a list) of each row; equal ones are shared."""
    rows = forecasts.select(COLUMNS).rows()
    distinct = {row: _fields(*row) for row in set(rows)}
    return [distinct[row] for row in rows]


def _fields(known_until: Any, assumes: str) -> Assumptions:
    return {
        PLAN_KNOWN_UNTIL: None if known_until is None else known_until.isoformat(),
        ASSUMES: assumes.split(SEPARATOR) if assumes else [],
    }
