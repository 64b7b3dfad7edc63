"""Figures of demand: seasonality, one series with its forecast, explanations, calibration."""

from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
from matplotlib.figure import Figure

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.promotions import promotes, promotion_kinds, promotion_shares
from features.demand.series import all_series, units_by_period, units_matrix
from training.models.demand.contributions import REASONS

# Opacity of the most promoted period.
_MAX_ALPHA = 0.4


def seasonality(dataset: Dataset, as_of: datetime) -> Figure:
    """Draw units by week, and mean units by day of the week."""
    grain = Grain.parse("department:day")
    units = units_by_period(dataset, grain, to_day(as_of)).collect().to_polars()
    daily = units.group_by("block").agg(pl.col("units").sum() / 1000).sort("block")
    daily = daily.filter(pl.col("block") < to_day(as_of)).with_columns(
        date=pl.col("block").cast(pl.Int32).cast(pl.Date)
    )
    week = (to_day(as_of) - pl.col("block") - 1) // 7
    weeks = daily.group_by(week.alias("week")).agg(
        pl.col("units").sum(), pl.col("date").min(), pl.len().alias("days")
    )
    weeks = weeks.filter(pl.col("days") == 7).sort("date")
    days = daily.group_by(pl.col("date").dt.weekday()).agg(pl.col("units").mean()).sort("date")
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 1])
    left.plot(weeks["date"], weeks["units"], color="tab:blue")
    left.set_ylim(0)
    left.set_title("Units a week")
    right.bar(days["date"], days["units"], color="tab:blue")
    # Positions rather than names: bars with equal names would merge.
    right.set_xticks(range(1, 8), list("MTWTFSS"))
    right.set_title("Units a day, by weekday")
    return figure


def fan_chart(
    dataset: Dataset,
    as_of: datetime,
    grain: Grain,
    forecasts: pd.DataFrame,
    scenario: pd.DataFrame | None = None,
    *,
    past: int = 26,
) -> Figure:
    """Draw one series: past sales, forecast with 80 % interval, promotions and outcomes.

    Parameters
    ----------
    dataset, as_of, grain
        The records, instant and grain of the forecasts.
    forecasts
        Of one series, as `foresell.predict` returns them.
    scenario
        Its forecasts under another plan.
    past
        Periods to draw before `as_of`.
    """
    forecast = pl.from_pandas(forecasts)
    ids = forecast.select(grain.keys).unique()
    day, steps = to_day(as_of), forecast.height
    sold = [units_matrix(dataset, grain, day, periods, ids)[0] for periods in (-past, steps)]
    before, after = (
        np.array([day_start(first) for first in grain.shift(day, np.arange(*periods))])
        for periods in ((-past, 0), (0, steps))
    )
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots()
    for start, share in _promoted_shares(dataset, grain, day, ids, past, steps).items():
        axes.axvspan(start, start + grain.days, color="tab:orange", alpha=_MAX_ALPHA * share, lw=0)
    axes.plot(before, sold[0], color="0.6", label="sold before")
    axes.plot(after, sold[1], color="black", label="sold since")
    axes.fill_between(
        after, forecast["q10"], forecast["q90"], color="tab:blue", alpha=0.2, label="80 %"
    )
    axes.plot(after, forecast["mean"], color="tab:blue", label="forecast")
    if scenario is not None:
        axes.plot(after, scenario["mean"], color="tab:red", linestyle="--", label="under the plan")
    axes.set_title(f"{' · '.join(ids.row(0))}: units a {grain.freq}; the darker, the more promoted")
    axes.legend(fontsize=8, ncols=5)
    return figure


def _promoted_shares(
    dataset: Dataset, grain: Grain, day: int, ids: pl.DataFrame, past: int, steps: int
) -> dict[float, float]:
    """Return the promoted share of periods over the largest, by first day as matplotlib counts."""
    if not promotes(dataset, grain):
        return {}
    shares = promotion_shares(dataset, grain, day, int(grain.shift(day, steps)))
    index = all_series(dataset, grain).index.select("series", *grain.keys).collect().to_polars()
    series = index.join(ids, on=grain.keys, how="semi").get_column("series")
    cells = shares.collect().to_polars().filter(pl.col("series").is_in(series.implode()))
    share = pl.max_horizontal(f"share_{kind}" for kind in promotion_kinds(dataset))
    first = grain.start(pl.col("block"), grain.phase(day))
    cells = cells.select(first.alias("day"), share.alias("share")).sort("day")
    low, high = (int(grain.shift(day, periods)) for periods in (-past, steps - 1))
    shown = cells.filter(pl.col("day").is_between(low, high))
    most = shown.select(pl.col("share").max().fill_null(0.0)).item()
    return {float(d): s / most for d, s in shown.iter_rows()} if most > 0 else {}


def contributions(explained: pd.DataFrame) -> Figure:
    """Draw the units by reason of each period of one series, as `foresell.explain` returns them."""
    rows = (
        pl.from_pandas(explained)
        .group_by("date")
        .agg(
            pl.col("units").filter(pl.col("reason") == reason).sum().alias(reason)
            for reason in REASONS
        )
    )
    wide = rows.sort("date")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots()
    labels = wide["date"].dt.strftime("%d %b").to_list()
    above, below = np.zeros(wide.height), np.zeros(wide.height)
    for reason in REASONS:
        values = wide[reason].to_numpy()
        base = np.where(values >= 0, above, below)
        axes.bar(labels, values, bottom=base, label=reason)
        above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
    total = wide.select(pl.sum_horizontal(REASONS)).to_series()
    axes.plot(labels, total, color="black", marker="o", linestyle="none", label="forecast")
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.set_ylabel("units")
    axes.legend(fontsize=8, ncols=8)
    return figure


def quantile_calibration(
    dataset: Dataset, as_of: datetime, grain: Grain, forecasts: pl.DataFrame
) -> Figure:
    """Draw the share of outcomes below each quantile against its level."""
    ids = forecasts.select(grain.keys).unique(maintain_order=True)
    steps = forecasts.get_column("date").n_unique()
    truth = units_matrix(dataset, grain, to_day(as_of), steps, ids).ravel()
    names = [name for name in forecasts.columns if name[0] == "q" and name[1:2].isdigit()]
    levels = [float(name[1:]) / 100 for name in names]
    # Sales are counts: outcomes equal to the quantile count as half below it.
    shares = [
        float((truth < quantile).mean() / 2 + (truth <= quantile).mean() / 2)
        for quantile in (forecasts.get_column(name).to_numpy() for name in names)
    ]
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axes.plot(levels, shares, marker="o", color="tab:blue")
    axes.set_xlabel("quantile")
    axes.set_ylabel("share of periods that sold less")
    axes.set_title(f"{len(truth):,} periods from {as_of.date()} on")
    return figure
