"""Figures of an evaluation: demand forecasts in, figures of forecasts and outcomes out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import units_matrix

_EXAMPLES = 6
_PAST_PERIODS = 26


def draw(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw example series, and mean outcome against mean forecast by decile of forecast."""
    grain = Grain.parse(options["grain"])
    return {
        "forecast_against_actual": _example_series(dataset, as_of, options, grain, predictions),
        "calibration": _mean_calibration(dataset, as_of, options, grain, predictions),
    }


def _example_series(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    grain: Grain,
    predictions: pl.DataFrame,
) -> Figure:
    """Draw series from the largest to the median, evenly spaced by rank."""
    day, steps = to_day(as_of), grain.periods(options["horizon_days"])
    totals = predictions.group_by(grain.keys).agg(pl.col("mean").sum())
    ranked = totals.sort("mean", *grain.keys, descending=[True, *[False] * len(grain.keys)])
    ranks = np.unique(np.linspace(0, (ranked.height - 1) * 0.5, _EXAMPLES).astype(int))
    examples = ranked.select(grain.keys)[ranks]
    past = units_matrix(dataset, grain, day, -_PAST_PERIODS, examples)
    truth = units_matrix(dataset, grain, day, steps, examples)
    before = _dates(as_of, grain, range(-_PAST_PERIODS, 0))
    after = _dates(as_of, grain, range(steps))
    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, row, keys in zip(
        figure.subplots(3, 2).ravel(), range(examples.height), examples.iter_rows(), strict=False
    ):
        forecast = predictions.join(examples[row], on=grain.keys, how="semi").sort("date")
        axes.plot(before, past[row], color="0.6")
        axes.plot(after, truth[row], color="black", label="sold")
        axes.plot(forecast["date"], forecast["mean"], color="tab:blue", label="forecast")
        if "q10" in forecast.columns:
            axes.fill_between(
                forecast["date"],
                forecast["q10"],
                forecast["q90"],
                alpha=0.2,
                color="tab:blue",
                label="80 %",
            )
        axes.set_title(" · ".join(keys), fontsize=9)
        axes.tick_params(axis="x", rotation=30, labelsize=7)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(f"Units a {grain.freq} as of {as_of.date()}")
    return figure


def _dates(as_of: datetime, grain: Grain, steps: range) -> list[datetime]:
    return [day_start(day) for day in grain.shift(to_day(as_of), np.array(steps))]


def _mean_calibration(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    grain: Grain,
    predictions: pl.DataFrame,
) -> Figure:
    """Draw mean outcome against mean forecast by decile of forecast."""
    day, steps = to_day(as_of), grain.periods(options["horizon_days"])
    ids = predictions.select(grain.keys).unique(maintain_order=True)
    truth = units_matrix(dataset, grain, day, steps, ids)
    cells = predictions.join(ids.with_row_index("row"), on=grain.keys, how="left")
    dates, phase = cells["date"].cast(pl.Int32).to_numpy(), grain.phase(day)
    step = grain.number(dates, phase) - grain.number(day, phase)
    units = truth[cells["row"].to_numpy(), step]
    mean = cells["mean"].to_numpy()
    deciles = np.array_split(np.argsort(mean, kind="stable"), 10)
    deciles = [rows for rows in deciles if len(rows)]
    forecasts = [mean[rows].mean() for rows in deciles]
    outcomes = [units[rows].mean() for rows in deciles]
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    top = max(*forecasts, *outcomes, 1e-9) * 1.1
    axes.plot([0, top], [0, top], color="0.7", linestyle="--")
    axes.plot(forecasts, outcomes, marker="o")
    axes.set_xlabel(f"forecast, units a {grain.freq} (mean of a decile)")
    axes.set_ylabel("sold")
    axes.set_title(f"Calibration as of {as_of.date()}")
    return figure
