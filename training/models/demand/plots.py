"""Demand forecasts in, figures that a person would look at out."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import units_matrix

_SHOWN = 6
_PAST_PERIODS = 26


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw forecasts against what sold, and forecast against outcome by decile of forecast."""
    grain = Grain.parse(options["grain"])
    found = {"forecast_against_actual": _courses(dataset, as_of, options, grain, predictions)}
    found["calibration"] = _calibration(dataset, as_of, options, grain, predictions)
    return found


def _courses(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    grain: Grain,
    predictions: pl.DataFrame,
) -> Figure:
    """Draw series from the largest to the smallest, evenly spaced by rank."""
    day, steps = to_day(as_of), grain.periods(options["horizon_days"])
    totals = predictions.group_by(grain.keys).agg(pl.col("mean").sum())
    ranked = totals.sort("mean", *grain.keys, descending=[True, *[False] * len(grain.keys)])
    ranks = np.unique(np.linspace(0, (ranked.height - 1) * 0.5, _SHOWN).astype(int))
    shown = ranked.select(grain.keys)[ranks]
    past = units_matrix(dataset, grain, day, -_PAST_PERIODS, shown)
    truth = units_matrix(dataset, grain, day, steps, shown)
    before = _dates(as_of, grain, range(-_PAST_PERIODS, 0))
    after = _dates(as_of, grain, range(steps))
    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, row, keys in zip(
        figure.subplots(3, 2).ravel(), range(shown.height), shown.iter_rows(), strict=False
    ):
        own = predictions.join(shown[row], on=grain.keys, how="semi").sort("date")
        axes.plot(before, past[row], color="0.6")
        axes.plot(after, truth[row], color="black", label="sold")
        axes.plot(own["date"], own["mean"], color="tab:blue", label="forecast")
        if "q10" in own.columns:
            axes.fill_between(
                own["date"], own["q10"], own["q90"], alpha=0.2, color="tab:blue", label="80 %"
            )
        axes.set_title(" · ".join(keys), fontsize=9)
        axes.tick_params(axis="x", rotation=30, labelsize=7)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(f"Units a {grain.freq} as of {as_of.date()}")
    return figure


def _dates(as_of: datetime, grain: Grain, steps: range) -> list[datetime]:
    return [as_of + timedelta(days=grain.days * step) for step in steps]


def _calibration(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    grain: Grain,
    predictions: pl.DataFrame,
) -> Figure:
    day, steps = to_day(as_of), grain.periods(options["horizon_days"])
    ids = predictions.select(grain.keys).unique(maintain_order=True)
    truth = units_matrix(dataset, grain, day, steps, ids)
    given = predictions.join(ids.with_row_index("row"), on=grain.keys, how="left")
    step = ((given["date"].cast(pl.Int32) - day) // grain.days).to_numpy()
    sold = truth[given["row"].to_numpy(), step]
    mean = given["mean"].to_numpy()
    parts = np.array_split(np.argsort(mean, kind="stable"), 10)
    parts = [part for part in parts if len(part)]
    said = [mean[part].mean() for part in parts]
    happened = [sold[part].mean() for part in parts]
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    top = max(*said, *happened, 1e-9) * 1.1
    axes.plot([0, top], [0, top], color="0.7", linestyle="--")
    axes.plot(said, happened, marker="o")
    axes.set_xlabel(f"forecast, units a {grain.freq} (mean of a decile)")
    axes.set_ylabel("sold")
    axes.set_title(f"Calibration as of {as_of.date()}")
    return figure
