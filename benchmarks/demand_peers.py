"""The demand model compared with mlforecast and statsforecast on the same origins.

One table per case: metrics and CPU seconds, as means over the origins. mlforecast runs without and
with the plan (promotions, prices, covariates) that the demand model knows.

Run: python benchmarks/demand_peers.py [--home .foresell] [--only WORD]; needs the extra `bench`.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import demand_cases as cases
import numpy as np
import polars as pl
from demand_cases import Case
from demand_methods import mlforecast, past_units, statsforecast
from results import record

from features.calendar import to_day
from features.demand.series import units_matrix
from features.typing import Floats
from training import metrics
from training.models.demand.model import DemandModel

PACKAGES = ("lightgbm", "mlforecast", "statsforecast")
Forecast = dict[str, Floats]


def foresell(case: Case, origin: datetime, ids: pl.DataFrame) -> Forecast:
    """Fit and forecast; return the mean and quantiles, each of shape (series, periods)."""
    model = DemandModel(grain=str(case.grain), horizon_days=case.horizon_days)
    predicted = model.fit(case.dataset, origin).predict(case.dataset, origin, ids)
    ordered = ids.join(predicted, on=case.grain.keys, how="left").sort(*case.grain.keys, "date")
    names = ("mean", "q10", "q50", "q90")
    return {name: ordered[name].to_numpy().reshape(ids.height, -1) for name in names}


METHODS: dict[str, Callable[[Case, datetime, pl.DataFrame], Forecast]] = {
    "foresell": foresell,
    "mlforecast": lambda case, origin, ids: {"mean": mlforecast(case, origin, ids, plan=False)},
    "mlforecast + plan": lambda case, origin, ids: {
        "mean": mlforecast(case, origin, ids, plan=True)
    },
}


def evaluate(
    case: Case, origin: datetime, ids: pl.DataFrame, forecast: Forecast
) -> dict[str, float]:
    """Measure one forecast at one origin."""
    steps = case.horizon_days // case.grain.days
    truth = units_matrix(case.dataset, case.grain, to_day(origin), steps, ids)
    past, mean = past_units(case, origin, ids), forecast["mean"]
    errors = metrics.rmsse(truth, mean, metrics.squared_step(past))
    scaled = ~np.isnan(errors)
    weights = np.ones(len(ids)) if case.weights is None else case.weights(origin, ids)
    total, total_mean, total_past = truth.sum(axis=0), mean.sum(axis=0), past.sum(axis=0)
    total_scale = metrics.squared_step(total_past[None])
    measured = {
        "WAPE": metrics.wape(truth, mean),
        "RMSSE": float(errors[scaled].mean()),
        "WRMSSE": float(np.average(errors[scaled], weights=weights[scaled])),
        "bias": metrics.bias(truth, mean),
        "total WAPE": metrics.wape(total, total_mean),
        "total RMSSE": float(metrics.rmsse(total[None], total_mean[None], total_scale)[0]),
    }
    if "q10" in forecast:
        losses = [
            metrics.pinball(truth.ravel(), forecast[f"q{q}"].ravel(), q / 100) for q in (10, 50, 90)
        ]
        measured |= {
            "pinball": float(np.mean(losses) / truth.mean()),
            "below q10": float((truth < forecast["q10"]).mean()),
            "above q90": float((truth > forecast["q90"]).mean()),
        }
    return measured


def compare(case: Case, methods: Iterable[str] = tuple(METHODS)) -> pl.DataFrame:
    """Evaluate methods at each origin; return one row per method with means over origins."""
    rows: dict[str, list[dict[str, float]]] = {}
    for origin in case.origins:
        ids = case.series(origin)
        for name in methods:
            started = time.process_time()
            forecast = METHODS[name](case, origin, ids)
            seconds = {"CPU s": time.process_time() - started}
            rows.setdefault(name, []).append(evaluate(case, origin, ids, forecast) | seconds)
    return _means(rows)


def compare_statsforecast(case: Case) -> pl.DataFrame:
    """Evaluate the models of statsforecast and the demand model on a sample of the series."""
    rows: dict[str, list[dict[str, float]]] = {}
    for origin in case.origins:
        ids = case.series(origin)
        order = pl.concat_str(case.grain.keys, separator="|").hash(seed=5)
        ids = ids.sort(order).head(case.statsforecast_series).sort(case.grain.keys)
        forecasts: dict[str, Forecast] = {"foresell": foresell(case, origin, ids)}
        forecasts |= {name: {"mean": m} for name, m in statsforecast(case, origin, ids).items()}
        for name, forecast in forecasts.items():
            rows.setdefault(name, []).append(evaluate(case, origin, ids, forecast))
    return _means(rows)


def _means(rows: dict[str, list[dict[str, float]]]) -> pl.DataFrame:
    means = []
    for name, folds in rows.items():
        row = {key: float(np.mean([fold[key] for fold in folds])) for key in folds[0]}
        by_origin = " ".join(f"{fold['WAPE']:.3f}" for fold in folds)
        means.append(pl.DataFrame({"method": name, **row, "WAPE by origin": by_origin}))
    return pl.concat(means, how="diagonal")


def main() -> None:
    """Print and record the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".foresell"))
    parser.add_argument("--only", default="", help="run the cases whose name contains this text")
    parser.add_argument(
        "--ours", action="store_true", help="run Foresell alone; print, do not record"
    )
    arguments = parser.parse_args()
    case_makers: dict[str, Callable[[], Case]] = {
        "journey product week": lambda: cases.journey_weeks(arguments.home),
        "journey fast prices": lambda: cases.journey_prices(arguments.home),
        "journey category day": lambda: cases.journey_days(arguments.home),
        "journey category shop week": lambda: cases.journey_shops(arguments.home),
    }
    if cases.has_shared_data():
        case_makers |= {
            "walmart item day": cases.walmart_days,
            "walmart item week": cases.walmart_weeks,
            "ta-feng product week": lambda: cases.ta_feng_case("product:week", 14),
            "ta-feng category day": lambda: cases.ta_feng_case("category:day", 14),
        }
    command = "python benchmarks/demand_peers.py"
    for name, make_case in case_makers.items():
        if arguments.only not in name:
            continue
        case = make_case()
        if arguments.ours:
            with pl.Config(tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=60):
                print(name, compare(case, ("foresell",)))
            continue
        record(case.title, compare(case), command=command, packages=PACKAGES, note=case.note)
        if case.statsforecast_series:
            title = f"{case.title}: against statsforecast"
            table = compare_statsforecast(case)
            note = f"{case.statsforecast_series} of the series, because AutoETS takes seconds each."
            record(title, table, command=command, packages=PACKAGES, note=note)


if __name__ == "__main__":
    main()
