"""Forecasts of the libraries in use: mlforecast and statsforecast, on the same past and plan.

Each takes a case, an origin and series, and gives means of shape (series, periods).
"""

import warnings
from datetime import datetime

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
from demand_cases import Case, Floats
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean

from features.calendar import day_start, to_day
from features.demand.promotions import promotion_kinds, promotion_shares
from features.demand.series import all_series, units_matrix

# Longer histories change these methods little and cost them much.
MOST_DAYS = 1_456


def past_of(case: Case, origin: datetime, ids: pl.DataFrame) -> Floats:
    """Lay out what had sold, shape (series, periods)."""
    day, length = to_day(origin), case.grain.days
    seen = min(day - case.dataset.days[0], MOST_DAYS) // length
    return units_matrix(case.dataset, case.grain, day, -seen, ids)


def mlforecast(case: Case, origin: datetime, ids: pl.DataFrame, *, plan: bool) -> Floats:
    """Forecast with mlforecast's usual set-up: lags, rolling means, LightGBM's defaults.

    With `plan`, promotions, prices and covariates enter as exogenous columns.
    """
    warnings.filterwarnings("ignore", module="mlforecast")
    grain = case.grain
    steps = case.horizon_days // grain.days
    past = past_of(case, origin, ids)
    seen, day = past.shape[1], to_day(origin)
    dates = [pd.Timestamp(day_start(day + grain.days * k)) for k in range(-seen, steps)]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(ids.height), seen + steps),
            "ds": np.tile(np.array(dates, dtype="datetime64[us]"), ids.height),
        }
    )
    if plan:
        for name, values in _plan(case, day, ids, seen, steps).items():
            frame[name] = values.ravel()
    known = (frame["ds"] < pd.Timestamp(origin)).to_numpy()
    first = np.array([np.argmax(row > 0) for row in past])
    begun = (np.arange(seen)[None, :] >= first[:, None]).ravel()
    weekly = grain.freq == "week"
    model = MLForecast(
        models={"mean": lgb.LGBMRegressor(verbosity=-1, n_jobs=1)},
        freq=f"{grain.days}D",
        lags=[1, 2, 4, 8] if weekly else [1, 7, 14, 28],
        lag_transforms={
            1: [ExpandingMean(), *(RollingMean(w) for w in ((4, 8) if weekly else (7, 28)))]
        },
        date_features=["month"] if weekly else ["dayofweek", "month"],
    )
    train = frame[known].assign(y=past.ravel())[begun]
    # Series shorter than the longest lag cannot be forecast by their lags: they get their mean.
    sizes = train.groupby("unique_id").size()
    long = sizes.index[sizes > (9 if weekly else 29)]
    train = train[train["unique_id"].isin(long)]
    model.fit(train, static_features=[])
    ahead = frame[~known & frame["unique_id"].isin(long).to_numpy()]
    said = model.predict(steps, X_df=ahead if len(ahead.columns) > 2 else None)
    found = np.repeat(past[:, -8:].mean(axis=1)[:, None], steps, axis=1)
    rows = np.sort(said["unique_id"].unique())
    said = said.sort_values(["unique_id", "ds"])
    found[rows] = said["mean"].to_numpy().reshape(-1, steps)
    return np.maximum(found, 0.0)


def _plan(case: Case, day: int, ids: pl.DataFrame, seen: int, steps: int) -> dict[str, Floats]:
    dataset, grain = case.dataset, case.grain
    shape = (ids.height, seen + steps)
    rows = ids.with_row_index("row")
    found: dict[str, Floats] = {}
    if dataset.has("promotions") and grain.product_keys:
        index = all_series(dataset, grain).index.collect().to_polars()
        numbered = rows.join(index, on=grain.keys)
        shares = promotion_shares(dataset, grain, day, day + grain.days * steps)
        cells = shares.collect().to_polars().join(numbered, on="series")
        cells = cells.with_columns(
            at=pl.col("block") - (day - day % grain.days) // grain.days + seen
        )
        cells = cells.filter(pl.col("at").is_between(0, seen + steps - 1))
        for kind in promotion_kinds(dataset):
            found[kind] = np.zeros(shape)
            found[kind][cells["row"].to_numpy(), cells["at"].to_numpy()] = cells[f"share_{kind}"]
    days = pl.DataFrame(
        {"day": [day + grain.days * k for k in range(-seen, steps)]}, schema={"day": pl.Int32}
    )
    if dataset.has("prices") and "product_id" in grain.keys:
        prices = dataset.table("prices").collect().to_polars()
        keys = [k for k in grain.keys if k in prices.columns]
        prices = prices.select(*keys, "price", day="from_day").sort("day")
        grid = ids.join(days, how="cross").sort("day")
        joined = grid.join_asof(prices, on="day", by=keys, check_sortedness=False)
        found["price"] = joined.sort(*grain.keys, "day")["price"].to_numpy().reshape(shape)
    if dataset.has("covariates"):
        table = (
            dataset.table("covariates")
            .collect()
            .to_polars()
            .with_columns(pl.col("day").cast(pl.Int32))
        )
        for (name,), values in table.sort("name").group_by("name", maintain_order=True):
            block = ((pl.col("day") - day) // grain.days * grain.days + day).alias("day")
            means = values.group_by(block).agg(pl.col("value").mean())
            line = days.join(means, on="day", how="left", maintain_order="left")["value"]
            found[str(name)] = np.tile(line.fill_null(0.0).to_numpy(), (ids.height, 1))
    return found


def classics(case: Case, origin: datetime, ids: pl.DataFrame) -> dict[str, Floats]:
    """Forecast with AutoETS, theta and the Croston family, each series from its first sale on."""
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
    past = past_of(case, origin, ids)
    found = {name: np.zeros((len(past), steps)) for name in models}
    for row, series in enumerate(past):
        own = series[np.argmax(series > 0) :]
        for name, model in models.items():
            if len(own) < 3 * season + 3:
                found[name][row] = own.mean()
            else:
                found[name][row] = np.nan_to_num(model.forecast(own, steps)["mean"])
    found = {name: np.maximum(values, 0.0) for name, values in found.items()}
    found["mean of statsforecast models"] = np.mean(list(found.values()), axis=0)
    return found
