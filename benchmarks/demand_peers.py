"""Demand against mlforecast, with and without the promotion plan, on the same folds and series.

Run: python benchmarks/demand_peers.py [--home .foresell] [--dataset complete-journey]
Needs the extra `bench`. Prints WAPE, RMSSE and bias by method, means over folds, and
processor seconds.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean

from features.calendar import day_start, to_day
from features.dataset import Dataset, open_dataset
from features.grain import Grain
from features.promotions import kinds, promotion_shares
from features.series import all_series, units_matrix
from training.backtest import rolling_origins
from training.models.demand import DemandModel
from training.tasks.demand import DEMAND, options

METRICS = ("wape", "rmsse", "bias")


def mlforecast(
    dataset: Dataset, as_of: datetime, asked: dict[str, Any], ids: pl.DataFrame, *, plan: bool
) -> pl.DataFrame:
    """Forecast with mlforecast's usual set-up; the plan enters as exogenous columns.

    Lags, rolling means and LightGBM's defaults as in the protocol of the recorded figures.
    """
    grain = Grain.parse(asked["grain"])
    day, steps = to_day(as_of), grain.periods(asked["horizon_days"])
    seen = (day - dataset.days[0]) // grain.days
    past = units_matrix(dataset, grain, day, -seen, ids)
    dates = [pd.Timestamp(day_start(day + grain.days * k)) for k in range(-seen, steps)]
    ids = ids.with_row_index("unique_id")
    index = ids.join(all_series(dataset, grain).index.collect().to_polars(), on=grain.keys)
    exogenous = pd.DataFrame(
        {
            "unique_id": np.repeat(ids["unique_id"].to_numpy(), seen + steps),
            "ds": np.tile(np.array(dates, dtype="datetime64[us]"), ids.height),
        }
    )
    names = kinds(dataset) if plan else []
    if plan:
        shares = promotion_shares(dataset, grain, day, day + grain.days * steps)
        cells = shares.collect().to_polars().join(index, on="series")
        column = (cells["block"] - day // grain.days + seen).to_numpy()
        inside = (column >= 0) & (column < seen + steps)
        at = cells["unique_id"].to_numpy()[inside] * (seen + steps) + column[inside]
        for kind in names:
            values = np.zeros(len(exogenous))
            values[at] = cells[f"share_{kind}"].to_numpy()[inside]
            exogenous[kind] = values
    known = exogenous["ds"] < pd.Timestamp(as_of)
    train = exogenous[known].assign(y=past.ravel())
    first = np.array([np.argmax(row > 0) for row in past])
    begun = np.arange(seen)[None, :] >= first[:, None]
    train = train[begun.ravel()]
    model = MLForecast(
        models={"mean": lgb.LGBMRegressor(verbosity=-1, n_jobs=1)},
        freq=f"{grain.days}D",
        lags=[1, 2, 4, 8] if grain.freq == "week" else [1, 7, 14, 28],
        lag_transforms={
            1: [ExpandingMean()]
            + [RollingMean(w) for w in ((4, 8) if grain.freq == "week" else (7, 28))]
        },
        date_features=["month"],
    )
    model.fit(train, static_features=[])
    ahead = exogenous[~known] if plan else None
    said = pl.from_pandas(model.predict(steps, X_df=ahead).reset_index(drop=True))
    return (
        said.join(ids.with_columns(pl.col("unique_id").cast(pl.Int64)), on="unique_id")
        .with_columns(pl.col("ds").cast(pl.Date).alias("date"), pl.col("mean").clip(0))
        .select(*grain.keys, "date", "mean")
    )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".foresell"))
    parser.add_argument("--dataset", default="complete-journey")
    parser.add_argument("--folds", type=int, default=3)
    arguments = parser.parse_args()
    # mlforecast says of each short series that it is not learned from.
    warnings.filterwarnings("ignore", module="mlforecast")
    dataset = open_dataset(arguments.home, arguments.dataset)
    asked = options(dataset)
    methods: dict[str, Callable[[datetime, pl.DataFrame], pl.DataFrame]] = {
        "foresell": lambda as_of, ids: (
            DemandModel(**asked).fit(dataset, as_of).predict(dataset, as_of, ids)
        ),
        "mlforecast": lambda as_of, ids: mlforecast(dataset, as_of, asked, ids, plan=False),
        "mlforecast + promotions": lambda as_of, ids: mlforecast(
            dataset, as_of, asked, ids, plan=True
        ),
        "recent mean": lambda as_of, ids: DEMAND.baselines["recent_mean"](**asked).predict(
            dataset, as_of, ids
        ),
    }
    rows: dict[str, list[list[float]]] = {name: [] for name in methods}
    seconds = dict.fromkeys(methods, 0.0)
    for as_of in rolling_origins(dataset, asked["horizon_days"], arguments.folds, dataset.end):
        ids = DEMAND.population(dataset, as_of, asked)
        for name, method in methods.items():
            started = time.process_time()
            answer = method(as_of, ids)
            seconds[name] += time.process_time() - started
            scores = DEMAND.judge(dataset, as_of, asked, answer)
            found = {s.metric: s.value for s in scores if s.slice == "all"}
            rows[name].append([found[metric] for metric in METRICS])
    print(
        f"{dataset.name}, {asked['grain']}, {asked['horizon_days']} days, {arguments.folds} folds"
    )
    print(f"{'method':<26}" + "".join(f"{m:>9}" for m in METRICS) + f"{'CPU s':>9}   WAPE by fold")
    for name, folds in rows.items():
        means = np.mean(folds, axis=0)
        by_fold = " ".join(f"{fold[0]:.3f}" for fold in folds)
        print(
            f"{name:<26}"
            + "".join(f"{m:>9.3f}" for m in means)
            + f"{seconds[name]:>9.1f}   {by_fold}"
        )


if __name__ == "__main__":
    main()
