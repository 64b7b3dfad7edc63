"""Answers about demand, from the forecasts that the demand model published; routes ask here.

A forecast is looked up; one under another plan, or with its reasons, is made again.
"""

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
from features.what_if import read_plan
from serving.answers.demand_again import DemandAgain
from training.models.demand import level_name
from training.models.demand_quantiles import between
from training.models.demand_why import REASONS

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
        The published levels, ascending; others are interpolated.
    again
        What the forecasts were made from.
    """

    grain: Grain
    horizon_days: int
    as_of: str
    dates: tuple[str, ...]
    rows: Mapping[Key, int]
    values: NDArray[np.float64]
    own_history: NDArray[np.bool_]
    quantiles: tuple[float, ...]
    again: DemandAgain

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `DemandModel.publish` wrote."""
        about = json.loads((folder / "about.json").read_text())
        grain, dates = Grain.parse(about["grain"]), tuple(about["dates"])
        answers = pl.read_parquet(folder / "answers.parquet").sort(*grain.keys, "date")
        names = ["mean", *map(level_name, about["quantiles"])]
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
            DemandAgain.load(folder, about["as_of"]),
        )

    def answer(
        self,
        series: Sequence[Mapping[str, str]],
        horizon_days: int | None = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        plan: Sequence[Mapping[str, Any]] = (),
        why: bool = False,  # noqa: FBT001, FBT002 - a field of the request
    ) -> list[dict[str, Any]]:
        """Answer for each series, in the order asked.

        Parameters
        ----------
        series
            Each by the keys of the grain, such as `{"product_id": "1082185"}`.
        horizon_days
            How far ahead; by default as far as was forecast.
        quantiles
            Levels wanted, above 0 and below 1; those between published ones are interpolated.
        plan
            Promotions and prices to forecast under, laid over those in the books.
        why
            Whether each period's reasons are wanted.

        Returns
        -------
        list of dict
            The keys, `basis` (`own_history`, or `look_alikes` for a series with little past of
            its own), and `forecast`: for each period `date`, `mean` and the quantiles, such as
            `q10` or `q97.5`. With a plan, also `mean_booked`, the mean under the books, and
            `difference`, by how much the plan moves it; with `why`, also `why`: units by
            reason, which add up to the mean.

        Raises
        ------
        InvalidInput, MissingData
            If a key is missing or not the grain's, the horizon too long or no multiple of the
            period, or the plan cannot be used.
        NotFound
            If a series, or what is planned, is unknown.
        """
        periods = self._periods(horizon_days)
        rows = [self._row(one, f"series[{i}]") for i, one in enumerate(series)]
        distinct = sorted(set(rows))
        booked = self._levels(self.values[distinct], quantiles)
        names, parts = ["mean", *map(level_name, quantiles)], [booked]
        shape = (len(distinct), len(self.dates), -1)
        frame = None
        if plan:
            frame = self.again.features(distinct, read_plan(plan, self.as_of))
            under = self.again.forecast(frame, quantiles).reshape(shape)
            mean = self.values[distinct][:, :, :1]
            names = [*names, "mean_booked", "difference"]
            parts = [under, mean, under[:, :, :1] - mean]
        numbers = np.concatenate(parts, axis=2)
        reasons: list[list[list[float]]] = []
        if why:
            frame = self.again.features(distinct) if frame is None else frame
            reasons = self.again.why(frame).reshape(shape).tolist()
        place = {row: i for i, row in enumerate(distinct)}
        answers = []
        for one, row in zip(series, rows, strict=True):
            forecast: list[dict[str, Any]] = [
                {"date": date, **dict(zip(names, cells, strict=True))}
                for date, cells in zip(
                    self.dates, numbers[place[row], :periods].tolist(), strict=False
                )
            ]
            if why:
                for point, cells in zip(forecast, reasons[place[row]], strict=False):
                    point["why"] = dict(zip(REASONS, cells, strict=True))
            basis = "own_history" if self.own_history[row] else "look_alikes"
            answers.append(
                {**{key: one[key] for key in self.grain.keys}, "basis": basis, "forecast": forecast}
            )
        return answers

    def _levels(
        self, values: NDArray[np.float64], quantiles: Sequence[float]
    ) -> NDArray[np.float64]:
        """Read the mean and any quantiles off published values, along the last axis."""
        flat = values.reshape(-1, values.shape[-1])
        columns = [
            flat[:, 0],
            *(between(flat[:, 1:], level, self.quantiles) for level in quantiles),
        ]
        return np.stack(columns, axis=1).reshape(*values.shape[:-1], len(columns))

    def _periods(self, horizon_days: int | None) -> int:
        days = self.horizon_days if horizon_days is None else horizon_days
        if days > self.horizon_days:
            raise InvalidInput(
                f"horizon = {days} days is too long: forecasts at the grain {self.grain} reach "
                f"{self.horizon_days} days from {self.dates[0]} on.",
                field="horizon",
            )
        return self.grain.periods(days)

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
