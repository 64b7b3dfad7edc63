"""Demand against mlforecast and statsforecast, with and without the same plan, on the same folds.

Run: python benchmarks/demand_peers.py [--home .foresell] [--only WORD]
Needs the extra `bench`. A table a case: means over the origins, and processor seconds.
"""

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import demand_cases as cases
import numpy as np
import polars as pl
from demand_cases import SHARED, Case, Floats
from demand_methods import classics, mlforecast, past_of
from results import record

from features.calendar import to_day
from features.demand.series import units_matrix
from training import metrics
from training.models.demand.model import DemandModel

PACKAGES = ("lightgbm", "mlforecast", "statsforecast")
Answer = dict[str, Floats]


def foresell(case: Case, origin: datetime, ids: pl.DataFrame) -> Answer:
    """Fit and forecast; mean and quantiles, each of shape (series, periods)."""
    model = DemandModel(grain=str(case.grain), horizon_days=case.horizon_days)
    said = model.fit(case.dataset, origin).predict(case.dataset, origin, ids)
    ordered = ids.join(said, on=case.grain.keys, how="left").sort(*case.grain.keys, "date")
    names = ("mean", "q10", "q50", "q90")
    return {name: ordered[name].to_numpy().reshape(ids.height, -1) for name in names}


def judge(case: Case, origin: datetime, ids: pl.DataFrame, answer: Answer) -> dict[str, float]:
    """Measure one answer at one origin."""
    steps = case.horizon_days // case.grain.days
    truth = units_matrix(case.dataset, case.grain, to_day(origin), steps, ids)
    past, mean = past_of(case, origin, ids), answer["mean"]
    errors = metrics.rmsse(truth, mean, metrics.squared_step(past))
    scaled = ~np.isnan(errors)
    weights = np.ones(len(ids)) if case.weights is None else case.weights(origin, ids)
    total, said, before = truth.sum(axis=0), mean.sum(axis=0), past.sum(axis=0)
    found = {
        "WAPE": metrics.wape(truth, mean),
        "RMSSE": float(errors[scaled].mean()),
        "WRMSSE": float(np.average(errors[scaled], weights=weights[scaled])),
        "bias": metrics.bias(truth, mean),
        "total WAPE": metrics.wape(total, said),
        "total RMSSE": float(
            metrics.rmsse(total[None], said[None], metrics.squared_step(before[None]))[0]
        ),
    }
    if "q10" in answer:
        losses = [
            metrics.pinball(truth.ravel(), answer[f"q{q}"].ravel(), q / 100) for q in (10, 50, 90)
        ]
        found |= {
            "pinball": float(np.mean(losses) / truth.mean()),
            "below q10": float((truth < answer["q10"]).mean()),
            "above q90": float((truth > answer["q90"]).mean()),
        }
    return found


def compare(case: Case, methods: tuple[str, ...]) -> pl.DataFrame:
    """Run the methods at each origin; one row a method with means over origins."""
    run: dict[str, Callable[[datetime, pl.DataFrame], Answer]] = {
        "foresell": lambda origin, ids: foresell(case, origin, ids),
        "mlforecast": lambda origin, ids: {"mean": mlforecast(case, origin, ids, plan=False)},
        "mlforecast + plan": lambda origin, ids: {"mean": mlforecast(case, origin, ids, plan=True)},
    }
    rows: dict[str, list[dict[str, float]]] = {}
    for origin in case.origins:
        ids = case.series(origin)
        for name in methods:
            if name in run:
                started = time.process_time()
                answer = run[name](origin, ids)
                spent = {"CPU s": time.process_time() - started}
                rows.setdefault(name, []).append(judge(case, origin, ids, answer) | spent)
    return _means(rows)


def compare_classics(case: Case) -> pl.DataFrame:
    """Run statsforecast's models and ours on a part of the series."""
    rows: dict[str, list[dict[str, float]]] = {}
    for origin in case.origins:
        ids = case.series(origin)
        order = pl.concat_str(case.grain.keys, separator="|").hash(seed=5)
        ids = ids.sort(order).head(case.classics).sort(case.grain.keys)
        answers: dict[str, Answer] = {"foresell": foresell(case, origin, ids)}
        answers |= {name: {"mean": mean} for name, mean in classics(case, origin, ids).items()}
        for name, answer in answers.items():
            rows.setdefault(name, []).append(judge(case, origin, ids, answer))
    return _means(rows)


def _means(rows: dict[str, list[dict[str, float]]]) -> pl.DataFrame:
    lines = []
    for name, folds in rows.items():
        means = {key: float(np.mean([fold[key] for fold in folds])) for key in folds[0]}
        by_fold = " ".join(f"{fold['WAPE']:.3f}" for fold in folds)
        lines.append({"method": name, **means, "WAPE by origin": by_fold})
    return pl.concat([pl.DataFrame(line) for line in lines], how="diagonal")


def main() -> None:
    """Print and record the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".foresell"))
    parser.add_argument("--only", default="", help="a word of the titles of the tables wanted")
    parser.add_argument("--ours", action="store_true", help="print ours alone, record nothing")
    arguments = parser.parse_args()
    makers: dict[str, Callable[[], Case]] = {
        "journey product week": lambda: cases.journey_weeks(arguments.home),
        "journey fast prices": lambda: cases.journey_prices(arguments.home),
        "journey category day": lambda: cases.journey_days(arguments.home),
        "journey category shop week": lambda: cases.journey_shops(arguments.home),
    }
    if SHARED.is_dir():
        makers |= {
            "walmart item day": cases.walmart_days,
            "walmart item week": cases.walmart_weeks,
            "ta-feng product week": lambda: cases.ta_feng_case("product:week", 14),
            "ta-feng category day": lambda: cases.ta_feng_case("category:day", 14),
        }
    else:
        print(f"The further data are not at {SHARED}; FORESELL_SHARED_DATA names their folder.")
    command = "python benchmarks/demand_peers.py"
    for name, maker in makers.items():
        if arguments.only not in name:
            continue
        case = maker()
        if arguments.ours:
            with pl.Config(tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=60):
                print(name, compare(case, ("foresell",)))
            continue
        table = compare(case, ("foresell", "mlforecast", "mlforecast + plan"))
        record(case.title, table, command=command, packages=PACKAGES, note=case.note)
        if case.classics:
            title = f"{case.title}: against statsforecast"
            note = f"{case.classics} of the series: AutoETS takes seconds a series."
            record(title, compare_classics(case), command=command, packages=PACKAGES, note=note)


if __name__ == "__main__":
    main()
