"""Published forecasts of totals: departments, locations, the whole chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Floats
from serving.demand.assumptions import Assumptions, read_assumptions
from training.models.demand.publish import PublishedAbout, load_totals
from training.models.demand.quantiles import level_name
from training.models.demand.reconciliation import level_columns


@dataclass(frozen=True)
class TotalsReader:
    """The totals of one published version, in memory.

    Attributes
    ----------
    levels
        Columns that name a total, by level; none for the whole chain.
    rows
        Row of each total in `values`, by the level and the values of its columns.
    values
        Shape (totals, periods, 1 + quantiles): the mean, then the published quantiles.
    series
        Number of series in each total.
    assumptions
        What the forecasts of each total assume.
    """

    levels: Mapping[str, tuple[str, ...]]
    rows: Mapping[tuple[str, ...], int]
    values: Floats
    series: NDArray[np.int64]
    assumptions: Sequence[Assumptions]

    @classmethod
    def load(cls, folder: Path, about: PublishedAbout) -> Self:
        """Read the totals of a published folder; none where it has no `total_levels`."""
        levels = {level: tuple(level_columns(level)) for level in about.total_levels}
        names = ["mean", *map(level_name, about.quantiles)]
        periods = len(about.dates)
        rows: dict[tuple[str, ...], int] = {}
        if not levels:
            return cls(levels, rows, np.zeros((0, periods, len(names))), np.zeros(0, dtype=int), [])
        frame = load_totals(folder)
        parts = []
        for level, columns in levels.items():
            part = frame.filter(pl.col("level") == level).sort(*columns, "date")
            for keys in part.gather_every(periods).select("level", *columns).iter_rows():
                rows[keys] = len(rows)
            parts.append(part)
        totals = pl.concat(parts)
        values = totals.select(names).to_numpy().reshape(-1, periods, len(names))
        first = totals.gather_every(periods)
        return cls(levels, rows, values, first["series"].to_numpy(), read_assumptions(first))

    def level_with(self, keys: Mapping[str, str]) -> str | None:
        """Return the level whose totals are named by exactly these keys, if there is one."""
        return next(
            (name for name, columns in self.levels.items() if set(columns) == set(keys)), None
        )
