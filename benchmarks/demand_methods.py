"""Forecasts by mlforecast and statsforecast, from the same records and plan.

A case, an origin and series go in; means of shape (series, periods) come out.
"""

import warnings
from datetime import datetime
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
from demand_cases import Case
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean

from features.calendar import day_start, to_day
from features.demand.promotions import promotion_kinds, promotion_shares
from features.demand.series import all_series, units_matrix
from features.typing import Floats

# A longer history changes these methods little and makes them slow.
MAX_PAST_DAYS = 1_456


def past_units(case: Case, origin: datetime, ids: pl.DataFrame) -> Floats:
    """Return units sold before the origin, shape (series, periods)."""
    day = to_day(origin)
    periods = min(day - case.dataset.days[0], MAX_PAST_DAYS) // case.grain.days
    return units_matrix(case.dataset, case.grain, day, -periods, ids)


def mlforecast(case: Case, origin: datetime, ids: pl.DataFrame, *, plan: bool) -> Floats:
    """Forecast with the usual set-up of mlforecast: lags, rolling means, defaults of LightGBM.

    With `plan`, promotions, prices and covariates are exogenous columns.
    """
    warnings.filterwarnings("ignore", module="mlforecast")
    grain = case.grain
    steps = case.horizon_days // grain.days
    past = past_units(case, origin, ids)
    periods, day = past.shape[1], to_day(origin)
    dates = [pd.Timestamp(day_start(day + grain.days * k)) for k in range(-periods, steps)]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(ids.height), periods + steps),
            "ds": np.tile(np.array(dates, dtype="datetime64[us]"), ids.height),
        }
    )
    if plan:
        for name, values in _plan(case, day, ids, periods, steps).items():
            frame[name] = values.ravel()
    is_past = (frame["ds"] < pd.Timestamp(origin)).to_numpy()
    first = np.array([np.argmax(row > 0) for row in past])
    started = (np.arange(periods)[None, :] >= first[:, None]).ravel()
    weekly = grain.freq == "week"
    lags = [1, 2, 4, 8] if weekly else [1, 7, 14, 28]
    windows = (4, 8) if weekly else (7, 28)
    # ExpandingMean has no type annotations.
    transforms: list[Any] = [ExpandingMean(), *(RollingMean(w) for w in windows)]  # type: ignore[no-untyped-call]
    model = MLForecast(
        models={"mean": lgb.LGBMRegressor(verbosity=-1, n_jobs=1)},
        freq=f"{grain.days}D",
        lags=lags,
        lag_transforms={1: transforms},
        date_features=["month"] if weekly else ["dayofweek", "month"],
    )
    train = frame[is_past].assign(y=past.ravel())[started]
    # Series without enough history for the longest lag are forecast by their mean.
    sizes = train.groupby("unique_id").size()
    long_enough = sizes.index[sizes > lags[-1] + 1]
    train = train[train["unique_id"].isin(long_enough)]
    model.fit(train, static_features=[])
    future = frame[~is_past & frame["unique_id"].isin(long_enough).to_numpy()]
    predicted = model.predict(steps, X_df=future if len(future.columns) > 2 else None)
    predicted = predicted.sort_values(["unique_id", "ds"])
    mean = np.repeat(past[:, -8:].mean(axis=1)[:, None], steps, axis=1)
    rows = np.sort(predicted["unique_id"].unique())
    mean[rows] = predicted["mean"].to_numpy().reshape(-1, steps)
    return np.asarray(np.maximum(mean, 0.0))


def _plan(case: Case, day: int, ids: pl.DataFrame, periods: int, steps: int) -> dict[str, Floats]:
    """Return planned columns by name, each of shape (series, past and future periods)."""
    dataset = case.dataset
    starts = [day + case.grain.days * k for k in range(-periods, steps)]
    days = pl.DataFrame({"day": starts}, schema={"day": pl.Int32})
    columns: dict[str, Floats] = {}
    if dataset.has("promotions") and case.grain.product_keys:
        columns |= _promotion_shares(case, day, ids, periods, steps)
    if dataset.has("prices") and "product_id" in case.grain.keys:
        columns["price"] = _prices(case, ids, days)
    if dataset.has("covariates"):
        columns |= _covariates(case, day, ids, days)
    return columns


def _promotion_shares(
    case: Case, day: int, ids: pl.DataFrame, periods: int, steps: int
) -> dict[str, Floats]:
    dataset, grain = case.dataset, case.grain
    index = all_series(dataset, grain).index.collect().to_polars()
    numbered = ids.with_row_index("row").join(index, on=grain.keys)
    shares = promotion_shares(dataset, grain, day, day + grain.days * steps)
    period = pl.col("block") - (day - day % grain.days) // grain.days + periods
    cells = shares.collect().to_polars().join(numbered, on="series")
    cells = cells.with_columns(period.alias("period"))
    cells = cells.filter(pl.col("period").is_between(0, periods + steps - 1))
    columns = {}
    for kind in promotion_kinds(dataset):
        columns[kind] = np.zeros((ids.height, periods + steps))
        columns[kind][cells["row"].to_numpy(), cells["period"].to_numpy()] = cells[f"share_{kind}"]
    return columns


def _prices(case: Case, ids: pl.DataFrame, days: pl.DataFrame) -> Floats:
    prices = case.dataset.table("prices").collect().to_polars()
    keys = [key for key in case.grain.keys if key in prices.columns]
    prices = prices.select(*keys, "price", day="from_day").sort("day")
    grid = ids.join(days, how="cross").sort("day")
    joined = grid.join_asof(prices, on="day", by=keys, check_sortedness=False)
    ordered = joined.sort(*case.grain.keys, "day")["price"]
    return ordered.to_numpy().reshape(ids.height, days.height)


def _covariates(case: Case, day: int, ids: pl.DataFrame, days: pl.DataFrame) -> dict[str, Floats]:
    length = case.grain.days
    table = case.dataset.table("covariates").collect().to_polars()
    table = table.with_columns(pl.col("day").cast(pl.Int32))
    block = ((pl.col("day") - day) // length * length + day).alias("day")
    columns = {}
    for (name,), values in table.sort("name").group_by("name", maintain_order=True):
        means = values.group_by(block).agg(pl.col("value").mean())
        series = days.join(means, on="day", how="left", maintain_order="left")["value"]
        columns[str(name)] = np.tile(series.fill_null(0.0).to_numpy(), (ids.height, 1))
    return columns


def statsforecast(case: Case, origin: datetime, ids: pl.DataFrame) -> dict[str, Floats]:
    """Forecast each series from its first sale on with AutoETS, theta and the Croston family."""
    from statsforecast.models import IMAPA, TSB, AutoETS, CrostonOptimized, DynamicOptimizedTheta

    season = 7 // case.grain.days if case.grain.freq == "day" else 1
    models = {
        "AutoETS": AutoETS(season_length=season),
        "theta": DynamicOptimizedTheta(season_length=season),
        "Croston": CrostonOptimized(),
        "IMAPA": IMAPA(),
        "TSB": TSB(0.05, 0.05) if season > 1 else TSB(0.15, 0.15),
    }
    steps = case.horizon_days // case.grain.days
    past = past_units(case, origin, ids)
    forecasts = {name: np.zeros((len(past), steps)) for name in models}
    for row, units in enumerate(past):
        history = units[np.argmax(units > 0) :]
        for name, model in models.items():
            if len(history) < 3 * season + 3:
                forecasts[name][row] = history.mean()
            else:
                forecasts[name][row] = np.nan_to_num(model.forecast(history, steps)["mean"])
    forecasts = {name: np.maximum(values, 0.0) for name, values in forecasts.items()}
    forecasts["mean of statsforecast models"] = np.mean(list(forecasts.values()), axis=0)
    return forecasts
