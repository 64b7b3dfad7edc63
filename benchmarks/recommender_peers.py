"""The recommender compared with published methods on the same folds, in one run.

Methods with options are tuned at the cutoff before the first fold. Each method has one list for
the next basket and the horizon, and the same scores without purchased products for what is new to
the customer; the recommender has a list for each. Gains are over the better of tuned TIFU-KNN and
decayed frequency at each fold, paired by customer, with 95 % bootstrap intervals.

With `--strict`, each customer is evaluated once, on the last basket, from the records before the
day of that basket.

Run: python benchmarks/recommender_peers.py [--home .foresell] [--dataset NAME] [--folds 3]
     python benchmarks/recommender_peers.py --strict --dataset ta-feng
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from demand_cases import has_shared_data, ta_feng_orders
from recommender_methods import IMPLICIT, methods, repeat_rates, tune, without_purchased
from results import record

from features.dataset import Dataset, open_dataset
from features.typing import Bools, Floats
from training.backtest import FORESELL, rolling_origins
from training.metrics import bootstrap_interval
from training.models.recommender.baselines import BaselineRecommender
from training.models.recommender.candidates import inputs_at
from training.models.recommender.hits import customer_metrics, truth_at
from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.model import RecommenderModel
from training.models.recommender.task import RECOMMENDER

LABELS = {
    "recall_10": "next basket R@10",
    "ndcg_10": "next basket NDCG@10",
    "window_ndcg_10": "horizon NDCG@10",
    "window_precision_10": "horizon P@10",
    "explore_precision_10": "new to customer P@10",
    "explore_hit_rate_10": "new to customer HR@10",
    "new_product_hit_rate_10": "new products HR@10",
}
# The strongest method for metrics of products new to the customer, and for all other metrics.
NEW_REFERENCES = ("EASE",)
REFERENCES = ("TIFU-KNN", "decayed frequency")
# Metrics of last baskets, which are shown for customers with at least so many baskets before.
STRICT_METRICS = ("recall_10", "ndcg_10")
MIN_BASKETS = (1, 3)
# First number of baskets of each class of customers.
HISTORY_EDGES = (1, 3, 10, 30, 100)
PACKAGES = ("scikit-learn", "implicit")

# Values of metrics by customer, by method and fold.
Evaluated = Mapping[str, list[dict[str, Floats]]]


def compare(
    dataset: Dataset, origins: Sequence[datetime], options: dict[str, Any], only: set[str] | None
) -> tuple[Evaluated, dict[str, float], Floats]:
    """Evaluate methods at origins.

    Returns
    -------
    tuple
        Values of metrics; CPU seconds by method; number of earlier baskets of the customers.
    """
    earlier = origins[0] - timedelta(days=options["horizon_days"])
    chosen = tune(dataset, earlier, options, only)
    evaluated: dict[str, list[dict[str, Floats]]] = {}
    seconds: dict[str, float] = {}
    baskets = []
    for as_of in origins:
        known = interactions_at(dataset, as_of)
        ids = RECOMMENDER.population(dataset, as_of, options)
        rows = truth_at(dataset, as_of, options).rows
        baskets.append(known.customer_features["customer_baskets"][rows])
        models: dict[str, Any] = {
            FORESELL: RecommenderModel(**options),
            **{name: BaselineRecommender(method) for name, method in methods(chosen).items()},
        }
        for name, model in models.items():
            if only and name not in only:
                continue
            started = time.process_time()
            lists = {name: model.fit(dataset, as_of).predict(dataset, as_of, ids)}
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - started
            if name in IMPLICIT:
                # The same model with the default of implicit.
                model.scorer_ = without_purchased(model.scorer_, inputs_at(dataset, as_of))
                lists[f"{name}, filtered"] = model.predict(dataset, as_of, ids)
                seconds[f"{name}, filtered"] = seconds[name]
            for title, recommended in lists.items():
                values = customer_metrics(dataset, as_of, options, recommended)
                evaluated.setdefault(title, []).append(values)
                means = " ".join(f"{LABELS[m]} {np.nanmean(values[m]):.4f}" for m in LABELS)
                print(f"{as_of.date()} {title}: {means}", flush=True)
    return evaluated, seconds, np.concatenate(baskets)


def summary(evaluated: Evaluated, seconds: Mapping[str, float]) -> pl.DataFrame:
    """Return means over customers and folds, one row per method."""
    rows = []
    for name, folds in evaluated.items():
        means = {
            label: float(np.nanmean(np.concatenate([values[metric] for values in folds])))
            for metric, label in LABELS.items()
        }
        rows.append({"method": name, **means, "CPU s": seconds[name]})
    return pl.DataFrame(rows)


def gains(evaluated: Evaluated) -> pl.DataFrame:
    """Compare the recommender with the best reference method of each fold, by metric."""
    rows = []
    for metric, label in LABELS.items():
        references = NEW_REFERENCES if metric.startswith("explore") else REFERENCES
        model, reference, ratios = [], [], []
        for fold, values in enumerate(evaluated[FORESELL]):
            by_reference = [evaluated[name][fold][metric] for name in references]
            model.append(values[metric])
            reference.append(max(by_reference, key=lambda values: float(np.nanmean(values))))
            ratios.append(float(np.nanmean(model[-1]) / np.nanmean(reference[-1])))
        gain = np.concatenate(model) - np.concatenate(reference)
        base = float(np.nanmean(np.concatenate(reference)))
        low, high = bootstrap_interval(gain)
        rows.append(
            {
                "metric": label,
                "ratio": 1 + float(np.nanmean(gain)) / base,
                "low": 1 + low / base,
                "high": 1 + high / base,
                "by fold": " ".join(f"{ratio:.3f}" for ratio in ratios),
            }
        )
    return pl.DataFrame(rows)


def by_history(evaluated: Evaluated, baskets: Floats) -> pl.DataFrame:
    """Compare NDCG@10 of the next basket with TIFU-KNN, by number of earlier baskets."""
    model, reference = (
        np.concatenate([values["ndcg_10"] for values in evaluated[name]])
        for name in (FORESELL, "TIFU-KNN")
    )
    rows = []
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        members = baskets >= low
        if high is not None:
            members &= baskets < high
        if not members.any():
            continue
        gain_low, gain_high = bootstrap_interval(model[members] - reference[members])
        rows.append(
            {
                "baskets": f"{low} and more" if high is None else f"{low} to {high - 1}",
                "customers": int(members.sum()),
                FORESELL: float(model[members].mean()),
                "TIFU-KNN": float(reference[members].mean()),
                "gain, low": gain_low,
                "gain, high": gain_high,
            }
        )
    return pl.DataFrame(rows)


def compare_last_baskets(dataset: Dataset, days: int, horizon: int) -> pl.DataFrame:
    """Evaluate customers on their last baskets, if these are within the last days.

    Each list is from the records before the day of the basket; the recommender is fitted once,
    before the first of the days.
    """
    options = {"horizon_days": 1}
    origins = [dataset.end - timedelta(days=days - k) for k in range(days)]
    week_before = origins[0] - timedelta(days=7)
    chosen = tune(dataset, week_before, {"horizon_days": 7}, set(REFERENCES))
    compared = (*REFERENCES, "TAIW", "TAIWI")
    baselines = {name: method for name, method in methods(chosen).items() if name in compared}
    baselines["repeat-rate heuristic"] = repeat_rates
    model = RecommenderModel(horizon_days=horizon).fit(dataset, origins[0])
    values: dict[tuple[str, str], list[Floats]] = {}
    baskets = []
    for as_of in origins:
        known = interactions_at(dataset, as_of)
        rows = truth_at(dataset, as_of, options).rows
        is_last = _next_is_last(dataset, as_of, known.customers[rows].astype(object).tolist())
        if not is_last.any():
            continue
        baskets.append(known.customer_features["customer_baskets"][rows[is_last]])
        ids = known.customers[rows[is_last]].astype(object)
        customers = pl.DataFrame({"customer_id": ids}, {"customer_id": pl.String})
        lists = {FORESELL: model.predict(dataset, as_of, customers)}
        for name, method in baselines.items():
            baseline = BaselineRecommender(method).fit(dataset, as_of)
            lists[name] = baseline.predict(dataset, as_of, customers)
        for name, recommended in lists.items():
            measured = customer_metrics(dataset, as_of, options, recommended)
            for metric in STRICT_METRICS:
                values.setdefault((name, metric), []).append(measured[metric][is_last])
        means = {" ".join(k): round(float(np.concatenate(v).mean()), 4) for k, v in values.items()}
        print(as_of.date(), int(is_last.sum()), means, flush=True)
    earlier = np.concatenate(baskets)
    return pl.DataFrame(
        [
            _last_basket_row(values, name, least, earlier >= least)
            for least in MIN_BASKETS
            for name in (FORESELL, *baselines)
        ]
    )


def _next_is_last(dataset: Dataset, as_of: datetime, ids: Sequence[str]) -> Bools:
    """Return whether the customer's first basket from `as_of` on is the last of all records."""
    orders = dataset.table("orders").to_native().filter(pl.col("kind") == "sale")
    times = (
        orders.filter(pl.col("ts") >= as_of)
        .group_by("customer_id")
        .agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
        .collect()
    )
    last = dict(times.select("customer_id", pl.col("first") == pl.col("last")).iter_rows())
    return np.array([last[customer] for customer in ids], dtype=bool)


def _last_basket_row(
    values: Mapping[tuple[str, str], list[Floats]], name: str, least: int, members: Bools
) -> dict[str, Any]:
    """Return means of one method over the customers with at least `least` earlier baskets."""
    recall, ndcg = (np.concatenate(values[name, metric])[members] for metric in STRICT_METRICS)
    low, high = bootstrap_interval(ndcg)
    return {
        "baskets before": f"{least} and more",
        "method": name,
        "R@10": float(recall.mean()),
        "NDCG@10": float(ndcg.mean()),
        "low": low,
        "high": high,
        "customers": len(ndcg),
    }


def record_folds(
    dataset: Dataset, folds: int, horizon: int, only: set[str] | None, command: str
) -> None:
    """Compare methods on rolling origins; print and record the tables."""
    origins = rolling_origins(dataset, {"horizon_days": horizon}, folds, dataset.end)
    evaluated, seconds, baskets = compare(dataset, origins, {"horizon_days": horizon}, only)
    title = f"Recommendations: {dataset.name}, {folds} folds of {horizon} days"
    dates = ", ".join(str(origin.date()) for origin in origins)
    record(
        title,
        summary(evaluated, seconds),
        command=command,
        packages=PACKAGES,
        note=f"Cutoffs {dates}; peers tuned at the cutoff before. Offline: purchases were made "
        "without seeing the lists.",
    )
    if only:
        # Gains need all reference methods.
        return
    record(
        f"{title}: gains",
        gains(evaluated),
        command=command,
        packages=PACKAGES,
        note="Over the better of tuned TIFU-KNN and decayed frequency at each fold; over tuned "
        "EASE for products new to the customer. 95 % bootstrap intervals, paired by customer.",
    )
    record(f"{title}: by length of history", by_history(evaluated, baskets), command=command)


def record_last_baskets(dataset: Dataset, days: int, horizon: int, command: str) -> None:
    """Compare methods on last baskets; print and record the table."""
    record(
        f"Recommendations: {dataset.name}, last baskets of {days} days in strict time order",
        compare_last_baskets(dataset, days, horizon),
        command=f"{command} --strict --days {days} --horizon {horizon}",
        packages=PACKAGES,
        note=f"Customers whose last basket is within the last {days} days; lists from the records "
        "before the day of that basket. The recommender is fitted once, before the first day.",
    )


def main() -> None:
    """Run the chosen comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".foresell"))
    parser.add_argument("--dataset", default="complete-journey")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--horizon", type=int, default=28)
    parser.add_argument("--strict", action="store_true", help="evaluate last baskets, day by day")
    parser.add_argument("--days", type=int, default=28, help="days of last baskets")
    parser.add_argument("--only", help="methods to run, separated by commas; by default all")
    arguments = parser.parse_args()
    shared = arguments.dataset == "ta-feng" and has_shared_data()
    dataset = ta_feng_orders() if shared else open_dataset(arguments.home, arguments.dataset)
    command = f"python benchmarks/recommender_peers.py --dataset {dataset.name}"
    if arguments.strict:
        record_last_baskets(dataset, arguments.days, arguments.horizon, command)
    else:
        only = set(arguments.only.split(",")) if arguments.only else None
        record_folds(dataset, arguments.folds, arguments.horizon, only, command)


if __name__ == "__main__":
    main()
