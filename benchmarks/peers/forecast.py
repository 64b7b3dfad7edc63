"""Forecasts by mlforecast and statsforecast, in an environment of their own.

A folder that `demand_methods.peers` wrote in, `forecasts.parquet` and `seconds.json` out. It does
not import Foresell: these packages require an older pandas.

Run: python benchmarks/peers/forecast.py FOLDER
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import cast

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean
from statsforecast import StatsForecast
from statsforecast.models import AutoETS, DynamicOptimizedTheta, SeasonalNaive

KEYS = ["unique_id", "ds"]
YEARLY_LAGS = [1, 2, 3, 4, 8, 13, 51, 52, 53]
WEEKS = 52
MEAN = "mean of statsforecast models"


class Request:
    """What is to be forecast.

    Attributes
    ----------
    past, future
        `unique_id`, `ds` and the plan's columns; `past` also `y`, from a series' first sale on.
    freq_days, horizon
        Days of a period, and periods ahead.
    sample
        Series on which statsforecast runs.
    """

    def __init__(self, folder: Path) -> None:
        self.past = pd.read_parquet(folder / "past.parquet")
        self.future = pd.read_parquet(folder / "future.parquet")
        options = json.loads((folder / "request.json").read_text())
        self.freq_days: int = options["freq_days"]
        self.horizon: int = options["horizon"]
        self.sample: list[int] = options["sample"]

    @property
    def freq(self) -> str:
        """Return the period as pandas writes it."""
        return f"{self.freq_days}D"

    @property
    def longest(self) -> int:
        """Return the number of periods of the longest series."""
        return int(self.past.groupby("unique_id").size().max())


def lagged(request: Request, lags: list[int], *, plan: bool) -> pd.DataFrame:
    """Forecast by mlforecast: lags, rolling means, calendar, defaults of LightGBM.

    With `plan`, promotions, prices and covariates are exogenous columns. Series too short for the
    longest lag are forecast by the mean of their last eight periods.
    """
    weekly = request.freq_days == 7
    windows = (4, 8) if weekly else (7, 28)
    transforms = [ExpandingMean(), *(RollingMean(w) for w in windows)]
    model = MLForecast(
        models={"mean": lgb.LGBMRegressor(verbosity=-1, n_jobs=1)},
        freq=request.freq,
        lags=lags,
        lag_transforms={1: transforms},
        date_features=["month"] if weekly else ["dayofweek", "month"],
    )
    past, future = request.past, request.future
    if not plan:
        past, future = past[[*KEYS, "y"]], future[KEYS]
    sizes = past.groupby("unique_id").size()
    long_enough = sizes.index[sizes > max(lags) + 1]
    model.fit(past[past["unique_id"].isin(long_enough)], static_features=[])
    exogenous = future[future["unique_id"].isin(long_enough)]
    has_plan = len(future.columns) > len(KEYS)
    predicted = model.predict(request.horizon, X_df=exogenous if has_plan else None)
    last = past.groupby("unique_id")["y"].apply(lambda y: y.tail(8).mean()).rename("last")
    joined = request.future[KEYS].merge(predicted, on=KEYS, how="left").merge(last, on="unique_id")
    return joined[KEYS].assign(mean=joined["mean"].fillna(joined["last"]))


def univariate(request: Request) -> pd.DataFrame:
    """Forecast the sample by the models of statsforecast, and by their mean."""
    season = 7 if request.freq_days == 1 else WEEKS if request.longest >= 2 * WEEKS else 1
    models = [
        # A season of a year has too many parameters for exponential smoothing.
        AutoETS(season_length=season if season < WEEKS else 1),
        DynamicOptimizedTheta(season_length=season),
        SeasonalNaive(season_length=season),
    ]
    fallback = SeasonalNaive(season_length=1)
    past = request.past.loc[request.past["unique_id"].isin(request.sample), [*KEYS, "y"]]
    forecaster = StatsForecast(models, request.freq, n_jobs=1, fallback_model=fallback)
    predicted = forecaster.forecast(df=past, h=request.horizon)
    predicted = predicted.rename(
        columns={"DynamicOptimizedTheta": "theta", "SeasonalNaive": "statsforecast seasonal naive"}
    )
    names = [name for name in predicted.columns if name not in KEYS]
    # A season without a value (a series that began within it) is forecast by the others.
    filled = predicted[names].apply(lambda row: row.fillna(row.mean()), axis=1).fillna(0.0)
    mean = filled.mean(axis=1)
    return cast("pd.DataFrame", predicted[KEYS].join(filled).assign(**{MEAN: mean}))


def methods(request: Request) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return the methods that suit the request, by name."""
    lags = [1, 2, 4, 8] if request.freq_days == 7 else [1, 7, 14, 28]
    planned = len(request.future.columns) > len(KEYS)
    chosen = {"mlforecast": lambda: lagged(request, lags, plan=False)}
    if planned:
        chosen["mlforecast + plan"] = lambda: lagged(request, lags, plan=True)
    if request.freq_days == 7 and request.longest > max(YEARLY_LAGS) + 26:
        name = "mlforecast + plan, yearly lags" if planned else "mlforecast, yearly lags"
        chosen[name] = lambda: lagged(request, YEARLY_LAGS, plan=planned)
    if request.sample:
        chosen[MEAN] = lambda: univariate(request)
    return chosen


def main() -> None:
    """Forecast by each method; write means and CPU seconds."""
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    request = Request(folder)
    forecasts, seconds = request.future[KEYS], {}
    for name, method in methods(request).items():
        started = time.process_time()
        predicted = method()
        seconds[name] = time.process_time() - started
        columns = [column for column in predicted.columns if column not in KEYS]
        named = {"mean": name} if columns == ["mean"] else {}
        forecasts = forecasts.merge(predicted.rename(columns=named), on=KEYS, how="left")
    values = [column for column in forecasts.columns if column not in KEYS]
    forecasts[values] = np.maximum(forecasts[values], 0.0)
    forecasts.to_parquet(folder / "forecasts.parquet")
    packages = {name: version(name) for name in ("lightgbm", "mlforecast", "statsforecast")}
    (folder / "seconds.json").write_text(json.dumps({"seconds": seconds, "packages": packages}))


if __name__ == "__main__":
    main()
