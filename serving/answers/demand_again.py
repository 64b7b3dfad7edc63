"""Forecasts made again for a few series: under another plan, or with their reasons.

Published features and books in, numbers out; the answers about demand ask here. Nothing but
the model is held in memory: features and books are read for the series at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.books import Books
from features.grain import Grain
from features.what_if import Planned
from training.models.demand import DemandModel, level_name
from training.models.demand_published import series_a_group
from training.models.demand_why import REASONS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DemandAgain:
    """What the published forecasts were made from.

    Attributes
    ----------
    features
        The published features: `periods` rows a series, in the order of the forecasts.
    periods
        Periods a series.
    model, books
        What turns features into forecasts, and what a plan is laid over.
    """

    features: Path
    periods: int
    model: DemandModel
    books: Books

    @classmethod
    def load(cls, folder: Path, as_of: str, periods: int) -> Self:
        """Read what `publish` wrote."""
        model = DemandModel.load(folder / "model")
        books = Books(folder / "books", Grain.parse(model.grain), as_of, model.horizon_days)
        return cls(folder / "features.parquet", periods, model, books)

    def under(
        self, rows: Sequence[int], plan: list[Planned], levels: Sequence[float]
    ) -> tuple[Floats, NDArray[np.bool_], pl.DataFrame]:
        """Forecast series under a plan.

        Parameters
        ----------
        rows
            Rows of the series among the published forecasts, ascending.
        plan, levels
            What is planned, and the quantiles wanted.

        Returns
        -------
        values, moved, frame
            Means and quantiles, shape (series, periods, 1 + levels), of the cells that the
            plan moves; which those are; and all cells' features.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            If the plan cannot be used; see `Books.replanned`.
        """
        booked = self.read(rows)
        frame = self.books.replanned(booked, plan)
        changed = [pl.Series(frame[c].ne_missing(booked[c])) for c in frame.columns]
        moved = pl.DataFrame(changed).select(pl.any_horizontal(pl.all())).to_series()
        names = ["mean", *map(level_name, levels)]
        values = np.zeros((frame.height, len(names)))
        if moved.any():
            found = self.model.forecast(frame.filter(moved), levels)
            values[moved.to_numpy()] = found.select(names).to_numpy()
        shape = (len(rows), self.periods)
        return values.reshape(*shape, len(names)), moved.to_numpy().reshape(shape), frame

    def why(self, frame: pl.DataFrame) -> Floats:
        """Say why in units, shape (series, periods, reasons), from features of whole series."""
        wide = self.model.why(frame).pivot(
            on="reason", index=[*self.books.grain.keys, "date"], values="units"
        )
        return wide.select(REASONS).to_numpy().reshape(-1, self.periods, len(REASONS))

    def read(self, rows: Sequence[int]) -> pl.DataFrame:
        """Read the features of series by their rows among the published forecasts."""
        scan, size = pl.scan_parquet(self.features), series_a_group(self.periods)
        # A group of series is decoded as a whole or not at all.
        groups = sorted({row // size for row in rows})
        length = size * self.periods
        parts = pl.collect_all([scan.slice(group * length, length) for group in groups])
        place = {group: i * size for i, group in enumerate(groups)}
        starts = np.array([(place[row // size] + row % size) * self.periods for row in rows])
        cells = (starts[:, None] + np.arange(self.periods)).ravel()
        return pl.concat(parts)[cells]
