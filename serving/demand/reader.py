"""Answers about demand, from the forecasts that the demand model published; routes ask here.

A forecast is looked up; one under another plan, or with its reasons, is made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.demand.grain import Grain
from features.demand.plan import read_plan
from features.errors import InvalidInput, NotFound, Unavailable
from serving.demand.anomalies import Anomalies
from serving.demand.cold_start import DemandNew, refuse_plan
from serving.demand.reforecast import DemandAgain
from serving.demand.totals import DemandTotals
from training.models.demand.contributions import REASONS
from training.models.demand.distribution import between, level_name
from training.models.demand.publish import load_about, scan_answers

Key = tuple[str, ...]
# Reasons take some forty milliseconds a series, and a client waits.
MOST_EXPLAINED = 100
# Where a series is found that has not sold yet; other places are levels of totals.
_NEW = "new"


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
    totals
        The same of departments, locations and the chain.
    new
        What series without sales are forecast from.
    found
        What was not as expected of late; None where the records are too short to tell.
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
    totals: DemandTotals
    new: DemandNew
    found: Anomalies | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `DemandModel.publish` wrote."""
        about = load_about(folder)
        grain, dates = Grain.parse(about.grain), about.dates
        answers = scan_answers(folder).collect().sort(*grain.keys, "date")
        names = ["mean", *map(level_name, about.quantiles)]
        values = answers.select(names).to_numpy().reshape(-1, len(dates), len(names))
        series = answers.gather_every(len(dates))
        rows = {key: row for row, key in enumerate(series.select(grain.keys).iter_rows())}
        return cls(
            grain,
            about.horizon_days,
            about.as_of,
            dates,
            rows,
            values,
            (series.get_column("basis") == "own_history").to_numpy(),
            about.quantiles,
            DemandAgain.load(folder),
            DemandTotals.load(folder, about.total_levels, about.quantiles, len(dates)),
            DemandNew.load(folder, about.quantiles),
            Anomalies.load(folder, grain),
        )

    def answer(
        self,
        series: Sequence[Mapping[str, str]],
        horizon_days: int | None = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        plan: Sequence[Mapping[str, Any]] = (),
        why: bool = False,  # noqa: FBT001, FBT002 - a field of the request
        decimals: int | None = None,
    ) -> list[dict[str, Any]]:
        """Answer for each series, in the order asked.

        Parameters
        ----------
        series
            Each by the keys of the grain, such as `{"product_id": "1082185"}`; a product in no
            catalogue also by its department or category.
        horizon_days
            How far ahead; by default as far as was forecast.
        quantiles
            Levels wanted, above 0 and below 1; those between published ones are interpolated.
        plan
            Promotions and prices to forecast under, laid over those in the books.
        why
            Whether each period's reasons are wanted.
        decimals
            Decimals that numbers are rounded to; full precision by default.

        Returns
        -------
        list of dict
            The keys, `basis` (`own_history`, or `look_alikes` for a series with little past of
            its own or none), and `forecast`: for each period `date`, `mean` and the quantiles, such
            as `q10` or `q97.5`. With a plan, also `mean_booked`, the mean under the books, and
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
        places = [self._place(one, f"series[{i}]") for i, one in enumerate(series)]
        rows = sorted({row for level, row in places if level is None})
        if plan or why:
            self._refuse_plan([level for level, _ in places])
        launched = self._launched(series, places)
        if why and len(rows) > MOST_EXPLAINED:
            raise InvalidInput(
                f"why = true for {len(rows)} series: reasons are answered for at most "
                f"{MOST_EXPLAINED} at a time. Ask in parts.",
                field="why",
            )
        names = ["mean", *map(level_name, quantiles)]
        numbers = self._levels(self.values[rows], quantiles)
        reasons: list[list[list[float]]] = []
        if plan or why:
            shape = (len(rows), len(self.dates), -1)
            frame = self.again.features(rows, read_plan(plan, self.as_of))
            if plan:
                under = self.again.forecast(frame, quantiles).reshape(shape)
                mean = numbers[:, :, :1]
                names = [*names, "mean_booked", "difference"]
                numbers = np.concatenate([under, mean, under[:, :, :1] - mean], axis=2)
            if why:
                units = self.again.why(frame).reshape(shape)
                reasons = (units if decimals is None else np.round(units, decimals)).tolist()
        position = {row: i for i, row in enumerate(rows)}
        answers = []
        for i, (one, (level, row)) in enumerate(zip(series, places, strict=True)):
            about: dict[str, Any] = {key: one[key] for key in self.grain.keys if key in one}
            if level is None:
                cells = numbers[position[row]]
                about["basis"] = "own_history" if self.own_history[row] else "look_alikes"
            elif level == _NEW:
                cells = self._levels(launched[i], quantiles)
                about = {**one, "basis": "look_alikes"}
            else:
                cells = self._levels(self.totals.values[row : row + 1], quantiles)[0]
                about = {**one, "basis": "total", "total_of": int(self.totals.series[row])}
            if decimals is not None:
                cells = np.round(cells, decimals)
            forecast: list[dict[str, Any]] = [
                {"date": date, **dict(zip(names, values, strict=True))}
                for date, values in zip(self.dates, cells[:periods].tolist(), strict=False)
            ]
            if why:
                for point, parts in zip(forecast, reasons[position[row]], strict=False):
                    point["why"] = dict(zip(REASONS, parts, strict=True))
            answers.append({**about, "forecast": forecast})
        return answers

    def anomalies(self, **asked: Any) -> list[dict[str, Any]]:
        """Return what was not as expected of late; see `Anomalies.answer`.

        Raises
        ------
        Unavailable
            If the records were too short to look back on.
        """
        if self.found is None:
            raise Unavailable(
                "Nothing is known of anomalies: when this version was published the records were "
                "too short to forecast their last part from what was before it. Import more of the "
                "past, then run `foresell train demand`."
            )
        return self.found.answer(**asked)

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
                f"{self.horizon_days} days from {self.dates[0]} on; ask for no more.",
                field="horizon",
            )
        return self.grain.periods(days)

    def _place(self, one: Mapping[str, str], where: str) -> tuple[str | None, int]:
        """Find a series, or a total: the level's name, and the row."""
        level = self.totals.level_of(one)
        if level is None or set(one) == set(self.grain.keys):
            return self._row(one, where)
        columns = self.totals.levels[level]
        row = self.totals.rows.get((level, *(one[column] for column in columns)))
        if row is None:
            asked = ", ".join(f"{column} {one[column]!r}" for column in columns)
            raise NotFound(
                f"{where}: {asked} is unknown: nothing of it sold in the half year before "
                f"{self.as_of}; leave it out.",
                field=f"{where}.{columns[0]}",
            )
        return level, row

    def _row(self, one: Mapping[str, str], where: str) -> tuple[str | None, int]:
        keys, described = self.grain.keys, self.new.described_by
        levels = ", ".join(self.totals.levels)
        named = f"series here are named by {' and '.join(keys)} (grain {self.grain})"
        named += f", products in no catalogue also by {' or '.join(described)}" if described else ""
        named += f", totals by {levels}" if levels else ""
        for key, value in one.items():
            if key not in (*keys, *described):
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
            self.new.check(one, where)
            return _NEW, 0
        for key in described:
            if key in one:
                raise InvalidInput(
                    f"{where}.{key} = {one[key]!r} describes a product that has not sold, and this "
                    "one has; leave it out.",
                    field=f"{where}.{key}",
                )
        return None, row

    def _launched(
        self, series: Sequence[Mapping[str, str]], places: Sequence[tuple[str | None, int]]
    ) -> dict[int, NDArray[np.float64]]:
        """Forecast the series that have not sold, by their place in the request."""
        asked = [i for i, (level, _) in enumerate(places) if level == _NEW]
        if not asked:
            return {}
        known, values = self.new.values([series[i] for i in asked])
        found = {asked[row]: cells for row, cells in zip(known.tolist(), values, strict=True)}
        for i in asked:
            if i not in found:
                raise self._unknown(series[i], f"series[{i}]")
        return found

    def _refuse_plan(self, levels: Sequence[str | None]) -> None:
        for i, level in enumerate(levels):
            if level == _NEW:
                raise refuse_plan(f"series[{i}]")
            if level is not None:
                raise InvalidInput(
                    f"series[{i}] is a total: a plan and reasons are answered for single series, "
                    f"named by {' and '.join(self.grain.keys)}.",
                    field=f"series[{i}]",
                )

    def _unknown(self, one: Mapping[str, str], where: str) -> NotFound:
        unknown = (
            key
            for place, key in enumerate(self.grain.keys)
            if not any(known[place] == one[key] for known in self.rows)
        )
        key = next(unknown, self.grain.keys[0])
        remedy = f"Ask for a {key} with sales, or import the tables that name it"
        if key in self.grain.product_keys and self.new.described_by:
            remedy += f"; or say of which {' or '.join(self.new.described_by)} it is"
        return NotFound(
            f"{where}.{key} = {one[key]!r} is unknown: nothing with it was sold before "
            f"{self.as_of}, and no table names it. {remedy}.",
            field=f"{where}.{key}",
        )
