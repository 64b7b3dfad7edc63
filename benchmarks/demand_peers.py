"""The demand model compared with seasonal naive forecasts, mlforecast and statsforecast.

One table per case: metrics and CPU seconds, as means over the origins. mlforecast runs without and
with the plan (promotions, prices, covariates) that the demand model knows, by week also with lags
around a year. statsforecast is slow by day: it runs on a sample, in a table of its own.

Run: make bench-peers, once; then python benchmarks/demand_peers.py [--only WORD]. A quick look at
the demand model alone: `--ours --only "rossmann fev day" --shops 200 --windows 2`.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import demand_cases as cases
import demand_rossmann
import numpy as np
import polars as pl
from demand_cases import Case
from demand_methods import past_units, peers, seasonal_naive
from results import record

from features.calendar import to_day
from features.demand.series import units_matrix
from features.typing import Floats, Ints
from training import metrics
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import level_name

COMMAND = "make bench-peers"
# Daily series on which the models of statsforecast run.
SAMPLE = 60
LEVELS = tuple(q / 10 for q in range(1, 10))
Forecast = dict[str, Floats]
Method = Callable[[Case, datetime, pl.DataFrame], Forecast]


def foresell(case: Case, origin: datetime, ids: pl.DataFrame) -> Forecast:
    """Fit and forecast; return the mean and quantiles, each of shape (series, periods)."""
    grain = case.grain
    model = DemandModel(str(grain), case.horizon_days, country=case.country)
    predicted = model.fit(case.dataset, origin).predict(case.dataset, origin, ids, quantiles=LEVELS)
    ordered = ids.join(predicted, on=grain.keys, how="left").sort(*grain.keys, "date")
    names = ("mean", *map(level_name, LEVELS))
    return {name: ordered[name].to_numpy().reshape(ids.height, -1) for name in names}


OURS: dict[str, Method] = {
    "foresell": foresell,
    "last week": lambda *at: {"mean": seasonal_naive(7, *at)},
    "the year before": lambda *at: {"mean": seasonal_naive(364, *at)},
}


def evaluate(
    case: Case, origin: datetime, ids: pl.DataFrame, forecast: Forecast
) -> dict[str, float]:
    """Measure one forecast at one origin."""
    steps = case.horizon_days // case.grain.days
    truth = units_matrix(case.dataset, case.grain, to_day(origin), steps, ids)
    if case.only_sold:
        forecast = {name: np.where(truth > 0, values, 0.0) for name, values in forecast.items()}
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
    return measured | _of_quantiles(truth, forecast, only_sold=case.only_sold)


def _of_quantiles(truth: Floats, forecast: Forecast, *, only_sold: bool) -> dict[str, float]:
    """Measure quantiles; WQL is the mean over levels of twice the pinball loss over the units.

    Tails are of the periods that are not forecast as closed, in which zero is certain.
    """
    if "q10" not in forecast:
        return {}
    counted = truth > 0 if only_sold else truth >= 0
    y, quantiles = truth[counted], {name: f[counted] for name, f in forecast.items()}
    losses = [metrics.pinball(y, quantiles[level_name(level)], level) for level in LEVELS]
    uncertain = (quantiles["mean"] > 0) | (y > 0)
    below, above = (
        float(beyond[uncertain].mean()) for beyond in (y < quantiles["q10"], y > quantiles["q90"])
    )
    return {
        "WAPE of q50": metrics.wape(y, quantiles["q50"]),
        "WQL": float(2 * np.mean(losses) / y.mean()),
        "below q10": below,
        "above q90": above,
        "within 80 %": 1 - below - above,
        "width": float((quantiles["q90"] - quantiles["q10"]).mean() / y.mean()),
    }


def compare(case: Case, *, ours: bool) -> tuple[pl.DataFrame, pl.DataFrame | None, list[str]]:
    """Evaluate the methods at each origin.

    Returns
    -------
    tuple
        One row per method with means over origins; the same on a sample, with the models of
        statsforecast; packages of the peers with their versions.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    sampled: dict[str, list[dict[str, float]]] = {}
    packages: dict[str, str] = {}
    for origin in case.origins:
        ids = case.series(origin)
        forecasts: dict[str, Forecast] = {}
        seconds: dict[str, float] = {}
        for name, method in OURS.items():
            started = time.process_time()
            forecasts[name] = method(case, origin, ids)
            seconds[name] = time.process_time() - started
        sample = _sample(case, ids)
        if not ours:
            found = peers(case, origin, ids, sample)
            forecasts |= {name: {"mean": mean} for name, mean in found.means.items()}
            seconds, packages = seconds | found.seconds, found.packages
        for name, forecast in forecasts.items():
            if not np.isnan(forecast["mean"]).any():
                row = evaluate(case, origin, ids, forecast)
                row |= {"CPU s": seconds[name]} if name in seconds else {}
                rows.setdefault(name, []).append(row)
            if len(sample) < ids.height and not ours:
                part = {name: values[sample] for name, values in forecast.items()}
                row = evaluate(case, origin, ids[sample], part)
                sampled.setdefault(name, []).append(row)
    published = [pl.DataFrame({"method": name, **row}) for name, row in case.published.items()]
    table = pl.concat([_means(rows), *published], how="diagonal")
    versions = [f"{name} {number}" for name, number in packages.items()]
    return table, _means(sampled) if sampled else None, versions


def _sample(case: Case, ids: pl.DataFrame) -> Ints:
    """Return the rows of all weekly series, or of a sample by hash of daily ones."""
    order = pl.concat_str(case.grain.keys, separator="|").hash(seed=5)
    size = ids.height if case.grain.freq == "week" else SAMPLE
    rows = ids.with_row_index("row").sort(order).head(size)["row"]
    return np.sort(rows.to_numpy().astype(np.int64))


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
    parser.add_argument("--ours", action="store_true", help="no peers; print, do not record")
    parser.add_argument("--shops", type=int, default=demand_rossmann.SHOPS, help="of Rossmann")
    parser.add_argument("--windows", type=int, help="the last origins of each case alone")
    arguments = parser.parse_args()
    shops = arguments.shops
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
            "walmart 13 weeks": lambda: cases.walmart_weeks(13),
            "walmart 39 weeks": lambda: cases.walmart_weeks(39, windows=1),
            "ta-feng product week": lambda: cases.ta_feng_case("product:week", 14),
            "ta-feng category day": lambda: cases.ta_feng_case("category:day", 14),
            "rossmann fev day": lambda: demand_rossmann.fev_days(shops),
            "rossmann fev week": lambda: demand_rossmann.fev_weeks(shops),
            "rossmann open days": lambda: demand_rossmann.open_days(shops),
            "rossmann 39 weeks": lambda: demand_rossmann.rossmann_case("week", 273, shops),
        }
    for name, make_case in case_makers.items():
        if arguments.only not in name:
            continue
        case = make_case()
        if arguments.windows:
            case = replace(case, origins=case.origins[-arguments.windows :])
        table, sample, versions = compare(case, ours=arguments.ours)
        if arguments.ours:
            with pl.Config(tbl_cols=-1, tbl_width_chars=300, fmt_str_lengths=80, float_precision=4):
                print(name, table)
            continue
        record(case.title, table, command=COMMAND, packages=versions, note=case.note)
        if sample is not None:
            title = f"{case.title}: against statsforecast"
            note = f"{SAMPLE} of the series, because AutoETS is slow."
            record(title, sample, command=COMMAND, packages=versions, note=note)


if __name__ == "__main__":
    main()
