"""Published totals of departments, locations and the chain; the answers about demand ask here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.models.demand.distribution import level_name
from training.models.demand.publish import load_totals
from training.models.demand.reconciliation import columns_of


@dataclass(frozen=True)
class DemandTotals:
    """The totals of one published version, in memory.

    Attributes
    ----------
    levels
        Columns that name a total, by the level's name; none for the whole chain.
    rows
        Row of each total in `values`, by the level's name and the total's values.
    values
        Shape (totals, periods, 1 + quantiles), as of the series.
    series
        How many series each total adds up.
    """

    levels: Mapping[str, tuple[str, ...]]
    rows: Mapping[tuple[str, ...], int]
    values: NDArray[np.float64]
    series: NDArray[np.int64]

    @classmethod
    def load(
        cls, folder: Path, levels: Sequence[str], quantiles: Sequence[float], periods: int
    ) -> Self:
        """Read what `publish` wrote; nothing where the records were too short to look back on."""
        named = {level: tuple(columns_of(level)) for level in levels}
        names = ["mean", *map(level_name, quantiles)]
        rows: dict[tuple[str, ...], int] = {}
        if not levels:
            return cls(named, rows, np.zeros((0, periods, len(names))), np.zeros(0, dtype=int))
        frame = load_totals(folder)
        parts = []
        for level, columns in named.items():
            own = frame.filter(pl.col("level") == level).sort(*columns, "date")
            for one in own.gather_every(periods).select("level", *columns).iter_rows():
                rows[one] = len(rows)
            parts.append(own)
        whole = pl.concat(parts)
        values = whole.select(names).to_numpy().reshape(-1, periods, len(names))
        return cls(named, rows, values, whole["series"].to_numpy()[::periods])

    def level_of(self, keys: Mapping[str, str]) -> str | None:
        """Name the level whose totals are named by these keys, if there is one."""
        wanted = set(keys)
        return next((name for name, columns in self.levels.items() if set(columns) == wanted), None)
