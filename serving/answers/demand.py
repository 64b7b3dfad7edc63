"""Answers about demand, from the forecasts that the demand model published; routes ask here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.errors import InvalidInput, NotFound
from features.grain import Grain

Key = tuple[str, ...]


@dataclass(frozen=True)
class DemandAnswers:
    """One published version's forecasts, in memory.

    Attributes
    ----------
    grain, horizon_days
        What a series is, and how far the forecasts reach.
    as_of
        The instant at which they were made, ISO.
    dates
        First day of each period, ISO.
    rows
        Row of each series in `values` and `own_history`.
    values
        Shape (series, periods, 1 + quantiles): the mean, then each of `quantiles`.
    own_history
        Whether a series' own past carries its forecast, by row.
    quantiles
        The published levels, ascending.
    """

    grain: Grain
    horizon_days: int
    as_of: str
    dates: tuple[str, ...]
    rows: Mapping[Key, int]
    values: NDArray[np.float64]
    own_history: NDArray[np.bool_]
    quantiles: tuple[float, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `DemandModel.publish` wrote."""
        about = json.loads((folder / "about.json").read_text())
        grain, dates = Grain.parse(about["grain"]), tuple(about["dates"])
        answers = pl.read_parquet(folder / "answers.parquet").sort(*grain.keys, "date")
        names = ["mean", *(_name(quantile) for quantile in about["quantiles"])]
        values = answers.select(names).to_numpy().reshape(-1, len(dates), len(names))
        series = answers.gather_every(len(dates))
        rows = {key: row for row, key in enumerate(series.select(grain.keys).iter_rows())}
        return cls(
            grain,
            about["horizon_days"],
            about["as_of"],
            dates,
            rows,
            values,
            (series.get_column("basis") == "own_history").to_numpy(),
            tuple(about["quantiles"]),
        )

    def answer(
        self,
        series: Sequence[Mapping[str, str]],
        horizon_days: int | None = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    ) -> list[dict[str, Any]]:
        """Answer for each series, in the order asked.

        Parameters
        ----------
        series
            Each by the keys of the grain, such as `{"product_id": "1082185"}`.
        horizon_days
            How far ahead; by default as far as was forecast.
        quantiles
            Levels wanted, of those published.

        Returns
        -------
        list of dict
            The keys, `basis` (`own_history`, or `look_alikes` for a series with little past of
            its own), and `forecast`: for each period `date`, `mean` and the quantiles.

        Raises
        ------
        InvalidInput
            If a key is missing or not the grain's, the horizon too long or no multiple of the
            period, or a quantile not published.
        NotFound
            If a series is unknown.
        """
        periods = self._periods(horizon_days)
        places = [self._place(level, i) for i, level in enumerate(quantiles)]
        names = ["mean", *(_name(level) for level in quantiles)]
        rows = [self._row(one, f"series[{i}]") for i, one in enumerate(series)]
        values = self.values[rows][:, :periods][:, :, [0, *places]].tolist()
        answers = []
        for one, row, own in zip(series, rows, values, strict=True):
            forecast = [
                {"date": date, **dict(zip(names, numbers, strict=True))}
                for date, numbers in zip(self.dates, own, strict=False)
            ]
            basis = "own_history" if self.own_history[row] else "look_alikes"
            answers.append(
                {**{key: one[key] for key in self.grain.keys}, "basis": basis, "forecast": forecast}
            )
        return answers

    def _periods(self, horizon_days: int | None) -> int:
        days = self.horizon_days if horizon_days is None else horizon_days
        if days > self.horizon_days:
            raise InvalidInput(
                f"horizon = {days} days is too long: forecasts at the grain {self.grain} reach "
                f"{self.horizon_days} days from {self.dates[0]} on.",
                field="horizon",
            )
        return self.grain.periods(days)

    def _place(self, quantile: float, position: int) -> int:
        if quantile not in self.quantiles:
            raise InvalidInput(
                f"quantiles[{position}] = {quantile} is not published; there is "
                f"{', '.join(str(level) for level in self.quantiles)}.",
                field=f"quantiles[{position}]",
            )
        return 1 + self.quantiles.index(quantile)

    def _row(self, one: Mapping[str, str], where: str) -> int:
        keys = self.grain.keys
        named = f"series here are named by {' and '.join(keys)} (grain {self.grain})"
        for key, value in one.items():
            if key not in keys:
                raise InvalidInput(
                    f"{where}.{key} = {value!r} is not a key of the published forecasts: {named}; "
                    "leave it out, or train and publish another grain.",
                    field=f"{where}.{key}",
                )
        for key in keys:
            if key not in one:
                raise InvalidInput(f"{where} lacks {key}: {named}.", field=f"{where}.{key}")
        row = self.rows.get(tuple(one[key] for key in keys))
        if row is None:
            raise self._unknown(one, where)
        return row

    def _unknown(self, one: Mapping[str, str], where: str) -> NotFound:
        for place, key in enumerate(self.grain.keys):
            if not any(known[place] == one[key] for known in self.rows):
                return NotFound(
                    f"{where}.{key} = {one[key]!r} is unknown: nothing with it was sold before "
                    f"{self.as_of}. Ask for a {key} with sales.",
                    field=f"{where}.{key}",
                )
        pair = ", ".join(f"{key} {one[key]!r}" for key in self.grain.keys)
        return NotFound(
            f"{where}: {pair} never sold together before {self.as_of}; each did with others.",
            field=where,
        )


def _name(quantile: float) -> str:
    return f"q{round(100 * quantile, 4):g}"
