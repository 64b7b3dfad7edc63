"""Answers about demand from one published folder: forecasts by series, totals and anomalies.

Published forecasts are looked up. Forecasts under another plan and explanations are computed
on request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.demand.grain import Grain
from features.demand.plan import KNOWN_UNTIL
from features.errors import InvalidInput, NotFound, Unavailable
from features.typing import Floats
from serving.demand.anomalies import AnomalyReader
from serving.demand.assumptions import Assumptions, read_assumptions
from serving.demand.cold_start import ColdStartForecaster
from serving.demand.points import add_explanations, forecast_points
from serving.demand.reforecast import Reforecaster, SeriesForecasts
from serving.demand.targets import Target, require_single_series
from serving.demand.totals import TotalsReader
from serving.entries import Result
from training.models.demand.assumptions import PLAN_KNOWN_UNTIL
from training.models.demand.publish import load_about, load_series, load_values
from training.models.demand.quantiles import interpolate_level

Keys = Mapping[str, str]
# An explanation takes some forty milliseconds a series, and a client waits.
MAX_EXPLAINED_SERIES = 100
NO_CHANGE = (
    "the plan changes no forecast of this series: it is of other products, locations or days"
)


@dataclass(frozen=True)
class DemandReader:
    """One published version's forecasts, in memory.

    Attributes
    ----------
    grain, horizon_days
        What a series is, and how far the forecasts reach.
    as_of
        Instant at which the forecasts were made, ISO.
    dates
        First day of each period, ISO.
    rows
        Row of each series in `values` and `own_history`, by the values of the grain's keys.
    values
        Shape (series, periods, 1 + quantiles): the mean, then each of `quantiles`.
    own_history
        By row, whether the forecast rests on the series' own past.
    assumptions
        By row, what the forecast assumes beyond the recorded plan.
    quantiles
        The published levels, ascending; others are interpolated.
    reforecaster
        Computes forecasts under another plan and explanations.
    totals
        Forecasts of departments, locations and the chain.
    cold_start
        Computes forecasts of series without sales.
    anomaly_reader
        None where the records are too short for anomalies.
    """

    grain: Grain
    horizon_days: int
    as_of: str
    dates: tuple[str, ...]
    rows: Mapping[tuple[str, ...], int]
    values: Floats
    own_history: NDArray[np.bool_]
    assumptions: Sequence[Assumptions]
    quantiles: tuple[float, ...]
    reforecaster: Reforecaster
    totals: TotalsReader
    cold_start: ColdStartForecaster
    anomaly_reader: AnomalyReader | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published demand folder."""
        about = load_about(folder)
        grain, series = Grain.parse(about.grain), load_series(folder)
        return cls(
            grain=grain,
            horizon_days=about.horizon_days,
            as_of=about.as_of,
            dates=about.dates,
            rows={keys: row for row, keys in enumerate(series.select(grain.keys).iter_rows())},
            values=load_values(folder),
            assumptions=read_assumptions(series),
            own_history=(series.get_column("basis") == "own_history").to_numpy(),
            quantiles=about.quantiles,
            reforecaster=Reforecaster.load(folder),
            totals=TotalsReader.load(folder, about),
            cold_start=ColdStartForecaster.load(folder, about.quantiles),
            anomaly_reader=AnomalyReader.load(folder, grain),
        )

    def answer(
        self,
        series: Sequence[Keys],
        horizon_days: int | None = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        plan: Sequence[Mapping[str, Any]] | None = None,
        explain: bool = False,  # noqa: FBT001, FBT002 - a field of the request
        decimals: int | None = None,
        plan_known_until: str | None = None,
    ) -> list[Result]:
        """Forecast each series, in the order of the request.

        Parameters
        ----------
        series
            Each by the keys of the grain, such as `{"product_id": "1082185"}`; a product
            outside the catalogue also by its department or category; a total by its keys.
        horizon_days
            By default the published horizon.
        quantiles
            Levels above 0 and below 1; those between published levels are interpolated.
        plan
            Promotions and prices that replace recorded ones; an empty plan cancels all promotions.
        explain
            Whether to split each mean into units by reason.
        decimals
            Decimals of the numbers; full precision by default.
        plan_known_until
            The last day for which the plan is complete, ISO; see `plan.complete_before`.

        Returns
        -------
        list of dict or NotFound
            The fields of `schemas.Forecast`; the error of a series that is unknown. With a plan,
            points have `mean_recorded_plan` and `difference`, and unchanged results `notes`; with
            `explain`, points have `explanation`: units by reason, which sum to the mean.

        Raises
        ------
        InvalidInput, MissingData
            If a key is missing or unexpected, the horizon too long or no multiple of the
            period, or the plan cannot be used.
        NotFound
            If an id in the plan is unknown.
        """
        periods = self._periods(horizon_days)
        targets, unknown = self._targets(series)
        _check_plan(plan, plan_known_until)
        if plan is not None or explain:
            require_single_series(targets, self.grain)
        new, without_values = self._cold_start_values(series, targets, quantiles)
        forecasts = self._series_forecasts(
            list(targets.values()), quantiles, plan, plan_known_until, explain=explain
        )
        results: dict[int, Result] = {**unknown, **without_values}
        for i in targets.keys() - results.keys():
            values = new[i] if i in new else self._values(targets[i], forecasts, quantiles)
            shown = values[:periods], forecasts, quantiles, decimals
            results[i] = self._result(series[i], targets[i], *shown)
        return [results[i] for i in range(len(series))]

    @cached_property
    def plan_known_until(self) -> str | None:
        """The last day, ISO, on which the promotions of every series are known; None if never."""
        distinct = {assumed[PLAN_KNOWN_UNTIL] for assumed in self.assumptions}
        return min((day for day in distinct if day is not None), default=None)

    def anomalies(self, **filters: Any) -> list[dict[str, Any]]:
        """Return recent anomalies; see `AnomalyReader.answer`.

        Raises
        ------
        Unavailable
            If the records are too short for historical forecasts.
        """
        if self.anomaly_reader is None:
            raise Unavailable(
                "There are no anomalies: when this version was published the records were too "
                "short to forecast their last part from the part before it. Import a longer "
                "history, then run `foresell train demand`."
            )
        return self.anomaly_reader.answer(**filters)

    def _periods(self, horizon_days: int | None) -> int:
        days = self.horizon_days if horizon_days is None else horizon_days
        if days > self.horizon_days:
            raise InvalidInput(
                f"horizon = {days} days is too long: forecasts at the grain {self.grain} reach "
                f"{self.horizon_days} days from {self.dates[0]} on; request no more.",
                field="horizon",
            )
        return self.grain.periods(days)

    def _series_forecasts(
        self,
        targets: Sequence[Target],
        quantiles: Sequence[float],
        plan: Sequence[Mapping[str, Any]] | None,
        plan_known_until: str | None,
        *,
        explain: bool,
    ) -> SeriesForecasts:
        """Look up the published series among the targets; apply the plan and explain."""
        rows = sorted({target.row for target in targets if target.kind == "series"})
        if explain and len(rows) > MAX_EXPLAINED_SERIES:
            raise InvalidInput(
                f"explain = true for {len(rows)} series: at most {MAX_EXPLAINED_SERIES} are "
                "explained at a time. Split the request.",
                field="explain",
            )
        values = self._interpolated(self.values[rows], quantiles)
        explanations: dict[int, Floats] = {}
        assumptions = [self.assumptions[row] for row in rows]
        if plan is not None or explain:
            shape = (len(rows), len(self.dates), -1)
            frame = self.reforecaster.features(rows, plan, plan_known_until)
            if plan is not None:
                computed, assumed = self.reforecaster.forecast(frame, quantiles)
                scenario, assumptions = computed.reshape(shape), assumed[:: len(self.dates)]
                recorded = values[:, :, :1]
                values = np.concatenate([scenario, recorded, scenario[:, :, :1] - recorded], axis=2)
            if explain:
                units = self.reforecaster.explain(frame).reshape(shape)
                explanations = dict(zip(rows, units, strict=True))
        return SeriesForecasts(
            plan is not None,
            dict(zip(rows, values, strict=True)),
            explanations,
            dict(zip(rows, assumptions, strict=True)),
        )

    def _values(
        self, target: Target, forecasts: SeriesForecasts, quantiles: Sequence[float]
    ) -> Floats:
        if target.kind == "series":
            return forecasts.values[target.row]
        return self._interpolated(self.totals.values[target.row], quantiles)

    def _result(
        self,
        keys: Keys,
        target: Target,
        values: Floats,
        forecasts: SeriesForecasts,
        quantiles: Sequence[float],
        decimals: int | None,
    ) -> dict[str, Any]:
        """Return the answer about one series from its values, shape (periods, ...)."""
        points = forecast_points(self.dates, values, quantiles, decimals)
        if target.row in forecasts.explanations:
            add_explanations(points, forecasts.explanations[target.row], decimals)
        result = {**self._heading(keys, target, forecasts), "forecast": points}
        if forecasts.is_planned and not values[:, -1].any():
            result["notes"] = [NO_CHANGE]
        return result

    def _heading(self, keys: Keys, target: Target, forecasts: SeriesForecasts) -> dict[str, Any]:
        """Name a series, the basis of its forecast and what it assumes."""
        if target.kind == "total":
            total_of = int(self.totals.series[target.row])
            assumed = self.totals.assumptions[target.row]
            return {**keys, "basis": "total", "total_of": total_of, **assumed}
        if target.kind == "cold_start":
            assumed = self.reforecaster.cold_start_assumptions()
            return {**keys, "basis": "look_alikes", **assumed}
        basis = "own_history" if self.own_history[target.row] else "look_alikes"
        named = {key: keys[key] for key in self.grain.keys}
        return {**named, "basis": basis, **forecasts.assumptions[target.row]}

    def _interpolated(self, values: Floats, quantiles: Sequence[float]) -> Floats:
        """Return the mean and the requested quantiles of published values, on the last axis."""
        flat = values.reshape(-1, values.shape[-1])
        columns = [
            flat[:, 0],
            *(interpolate_level(flat[:, 1:], level, self.quantiles) for level in quantiles),
        ]
        return np.stack(columns, axis=1).reshape(*values.shape[:-1], len(columns))

    def _targets(self, series: Sequence[Keys]) -> tuple[dict[int, Target], dict[int, NotFound]]:
        """Find what each entry names, or why it is unknown, by position in the request."""
        targets: dict[int, Target] = {}
        unknown: dict[int, NotFound] = {}
        for i, keys in enumerate(series):
            try:
                targets[i] = self._target(keys, f"series[{i}]")
            except NotFound as error:
                unknown[i] = error
        return targets, unknown

    def _target(self, keys: Keys, where: str) -> Target:
        """Find what the keys at the field `where` name."""
        level = self.totals.level_with(keys)
        if level is None or set(keys) == set(self.grain.keys):
            return self._series_target(keys, where)
        columns = self.totals.levels[level]
        row = self.totals.rows.get((level, *(keys[column] for column in columns)))
        if row is None:
            named = ", ".join(f"{column} {keys[column]!r}" for column in columns)
            raise NotFound(
                f"{where}: {named} is unknown: it has no sales before {self.as_of}; leave it out.",
                field=f"{where}.{columns[0]}",
            )
        return Target("total", row)

    def _series_target(self, keys: Keys, where: str) -> Target:
        grain_keys, attributes = self.grain.keys, self.cold_start.attributes
        self._check_keys(keys, where)
        row = self.rows.get(tuple(keys[key] for key in grain_keys))
        if row is None:
            self.cold_start.check(keys, where)
            return Target("cold_start")
        for key in attributes:
            if key in keys:
                raise InvalidInput(
                    f"{where}.{key} = {keys[key]!r} describes a product without sales, and this "
                    "product has sales; leave it out.",
                    field=f"{where}.{key}",
                )
        return Target("series", row)

    def _check_keys(self, keys: Keys, where: str) -> None:
        """Refuse keys that name neither a series nor a total."""
        grain_keys, attributes = self.grain.keys, self.cold_start.attributes
        levels = ", ".join(self.totals.levels)
        named = f"series are named by {' and '.join(grain_keys)} (grain {self.grain})"
        if attributes:
            named += f", products outside the catalogue also by {' or '.join(attributes)}"
        named += f", totals by {levels}" if levels else ""
        for key, value in keys.items():
            if key not in (*grain_keys, *attributes):
                raise InvalidInput(
                    f"{where}.{key} = {value!r} is not a key of the published forecasts: {named}; "
                    "leave it out, or train and publish another grain.",
                    field=f"{where}.{key}",
                )
        for key in grain_keys:
            if key not in keys:
                raise InvalidInput(f"{where} lacks {key}: {named}.", field=f"{where}.{key}")

    def _cold_start_values(
        self, series: Sequence[Keys], targets: Mapping[int, Target], quantiles: Sequence[float]
    ) -> tuple[dict[int, Floats], dict[int, NotFound]]:
        """Forecast the series without sales, by position; those without a forecast are unknown."""
        positions = [i for i, target in targets.items() if target.kind == "cold_start"]
        if not positions:
            return {}, {}
        known, values = self.cold_start.values([series[i] for i in positions])
        forecasts = {
            positions[row]: self._interpolated(published, quantiles)
            for row, published in zip(known.tolist(), values, strict=True)
        }
        unknown = {
            i: self._unknown(series[i], f"series[{i}]") for i in positions if i not in forecasts
        }
        return forecasts, unknown

    def _unknown(self, keys: Keys, where: str) -> NotFound:
        unknown = (
            key
            for i, key in enumerate(self.grain.keys)
            if not any(known[i] == keys[key] for known in self.rows)
        )
        key = next(unknown, self.grain.keys[0])
        remedy = f"Request a {key} with sales, or import the tables that name it"
        if key in self.grain.product_keys and self.cold_start.attributes:
            remedy += f"; or give its {' or '.join(self.cold_start.attributes)}"
        return NotFound(
            f"{where}.{key} = {keys[key]!r} is unknown: it has no sales before {self.as_of}, and "
            f"no table names it. {remedy}.",
            field=f"{where}.{key}",
        )


def _check_plan(plan: Sequence[Mapping[str, Any]] | None, known_until: str | None) -> None:
    if plan is None and known_until is not None:
        raise InvalidInput(
            f"{KNOWN_UNTIL} = {known_until!r} is of a plan: give `plan` as well, or leave it out.",
            field=KNOWN_UNTIL,
        )
