"""The recommender against published methods, on the same folds in one run.

Run: python benchmarks/recommender_peers.py [--home .foresell] [--dataset NAME] [--folds 3]
     python benchmarks/recommender_peers.py --strict --dataset ta-feng

Peers that have options are tuned on the cut before the first fold. Each method answers the
next basket and the weeks of the horizon with its one list, and what is new to the customer with
the same scores, bought products left out; Foresell has a list of each kind. Gains are over the
better of tuned TIFU-KNN and decayed frequency at each fold, per customer, with a 95 % interval
by bootstrap over customers of all folds. `--strict` judges each customer once, on their last
basket, from what was known when the day began on which they bought it.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from numpy.typing import NDArray
from results import record
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.dataset import Dataset, open_dataset
from features.typing import Ints
from training.backtest import rolling_origins
from training.metrics import bootstrap_interval
from training.models.recommender import baselines as peers
from training.models.recommender.baselines import BaselineRecommender, Scorer
from training.models.recommender.candidates import RecommenderInputs, inputs_at
from training.models.recommender.hits import customer_metrics, truth_at
from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.model import RecommenderModel
from training.models.recommender.task import RECOMMENDER

SHOWN = {
    "recall_10": "next R@10",
    "ndcg_10": "next NDCG",
    "window_ndcg_10": "weeks NDCG",
    "window_precision_10": "weeks prec.",
    "explore_precision_10": "new prec.",
    "explore_hit_rate_10": "new hit",
    "new_product_hit_rate_10": "new products hit",
}
# What each peer is tuned over, by the metric that it is best at.
GRIDS: dict[str, tuple[Callable[..., Scorer], str, list[dict[str, Any]]]] = {
    "TIFU-KNN": (
        peers.tifu_knn,
        "ndcg_10",
        [{"k": k, "alpha": alpha} for k in (100, 300) for alpha in (0.3, 0.5)],
    ),
    "UP-CF": (peers.up_cf, "ndcg_10", [{"k": 300, "q": q} for q in (1.0, 5.0, 10.0)]),
    "EASE": (peers.ease, "explore_precision_10", [{"l2": l2} for l2 in (100.0, 300.0)]),
}
BARS = ("TIFU-KNN", "decayed frequency")
TUNED_ON = 2500
# Last baskets are shown for all customers, and for those with so many baskets before.
LEAST_BASKETS = (1, 3)


def factors(model: Any, inputs: RecommenderInputs) -> Scorer:
    """Scores of a factor model of implicit, on counts."""
    with threadpool_limits(1):
        model.fit(_counts(inputs), show_progress=False)
    return lambda rows: np.asarray(
        model.user_factors[rows] @ model.item_factors.T, dtype=np.float64
    )


def items(model: Any, inputs: RecommenderInputs) -> Scorer:
    """Scores of an item-neighbour model of implicit, on counts."""
    counts = _counts(inputs)
    # implicit weighs the matrix that it is given.
    model.fit(counts.copy(), show_progress=False)
    return lambda rows: np.asarray((counts[rows] @ model.similarity).toarray())


def _counts(inputs: RecommenderInputs) -> sparse.csr_matrix:
    return inputs.interactions.matrix(inputs.interactions.features["baskets"].astype(np.float64))


IMPLICIT: dict[str, Callable[[RecommenderInputs], Scorer]] = {
    "implicit ALS": lambda inputs: factors(
        AlternatingLeastSquares(factors=100, random_state=0, num_threads=1), inputs
    ),
    "implicit BPR": lambda inputs: factors(
        BayesianPersonalizedRanking(factors=64, random_state=0, num_threads=1), inputs
    ),
    "implicit cosine": lambda inputs: items(CosineRecommender(K=20, num_threads=1), inputs),
    "implicit BM25": lambda inputs: items(BM25Recommender(K=20, num_threads=1), inputs),
}


def filtered(scorer: Scorer, inputs: RecommenderInputs) -> Scorer:
    """Leave out what a customer bought, as implicit does by default."""
    bought = inputs.interactions.matrix(np.ones(len(inputs.interactions.rows), np.float32))

    def scores(rows: Ints) -> NDArray[np.float64]:
        found = np.array(scorer(rows), dtype=np.float64)
        found[bought[rows].nonzero()] = -1e6
        return found

    return scores


def methods(
    chosen: Mapping[str, dict[str, Any]],
) -> dict[str, Callable[[RecommenderInputs], Scorer]]:
    """All peers, those of `GRIDS` with the options chosen."""
    return {
        "decayed frequency": peers.decayed_frequency,
        "GP-TopFreq": peers.personal_frequency,
        **{name: partial(GRIDS[name][0], **options) for name, options in chosen.items()},
        **IMPLICIT,
    }


def tune(
    dataset: Dataset, as_of: datetime, asked: Mapping[str, Any], only: set[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Choose each peer's options on an earlier cut, by at most `TUNED_ON` customers.

    The others count as missed with every option alike.
    """
    chosen = {}
    known, rows = interactions_at(dataset, as_of), truth_at(dataset, as_of, asked).rows
    some = rows[np.linspace(0, len(rows) - 1, min(TUNED_ON, len(rows))).astype(int)]
    ids = pl.DataFrame({"customer_id": known.customers[some].astype(object)})
    ids = ids.cast({"customer_id": pl.String})
    for name, (method, metric, grid) in GRIDS.items():
        if only and name not in only:
            continue
        best = -1.0
        for options in grid:
            fitted = BaselineRecommender(partial(method, **options)).fit(dataset, as_of)
            answer = fitted.predict(dataset, as_of, ids)
            value = float(np.nanmean(customer_metrics(dataset, as_of, asked, answer)[metric]))
            if value > best:
                best, chosen[name] = value, options
        print(f"tuned on {as_of.date()}: {name} {chosen[name]} {metric} {best:.4f}", flush=True)
    return chosen


def compare(
    dataset: Dataset, origins: Iterable[datetime], asked: dict[str, Any], only: set[str] | None
) -> tuple[dict[str, list[dict[str, NDArray[np.float64]]]], dict[str, float], list[Any]]:
    """Judge every method at every origin; per customer, and processor seconds."""
    origins = list(origins)
    earlier = origins[0] - timedelta(days=asked["horizon_days"])
    chosen = tune(dataset, earlier, asked, only)
    found: dict[str, list[dict[str, NDArray[np.float64]]]] = {}
    seconds: dict[str, float] = {}
    sizes = []
    for as_of in origins:
        known = interactions_at(dataset, as_of)
        ids = RECOMMENDER.population(dataset, as_of, asked)
        rows = truth_at(dataset, as_of, asked).rows
        sizes.append(known.customer_features["customer_baskets"][rows])
        every: dict[str, Any] = {
            "foresell": RecommenderModel(**asked),
            **{name: BaselineRecommender(method) for name, method in methods(chosen).items()},
        }
        for name, method in every.items():
            if only and name not in only:
                continue
            started = time.process_time()
            answers = {name: method.fit(dataset, as_of).predict(dataset, as_of, ids)}
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - started
            if name in IMPLICIT:
                # The same model, answering as it does by default.
                method.scorer_ = filtered(method.scorer_, inputs_at(dataset, as_of))
                answers[f"{name}, filtered"] = method.predict(dataset, as_of, ids)
                seconds[f"{name}, filtered"] = seconds[name]
            for title, answer in answers.items():
                judged = dict(customer_metrics(dataset, as_of, asked, answer))
                found.setdefault(title, []).append(judged)
                shown = " ".join(f"{SHOWN[m]} {np.nanmean(judged[m]):.4f}" for m in SHOWN)
                print(f"{as_of.date()} {title}: {shown}", flush=True)
    return found, seconds, sizes


def gains(found: Mapping[str, list[dict[str, NDArray[np.float64]]]]) -> pl.DataFrame:
    """Foresell over the better of the bars at each fold (EASE for what is new)."""
    rows = []
    for metric, title in SHOWN.items():
        against = ("EASE",) if metric.startswith("explore") else BARS
        ours, theirs, ratios = [], [], []
        for fold, judged in enumerate(found["foresell"]):
            best = max(against, key=lambda name: float(np.nanmean(found[name][fold][metric])))
            ours.append(judged[metric])
            theirs.append(found[best][fold][metric])
            ratios.append(float(np.nanmean(ours[-1]) / np.nanmean(theirs[-1])))
        gain = np.concatenate(ours) - np.concatenate(theirs)
        base = float(np.nanmean(np.concatenate(theirs)))
        low, high = bootstrap_interval(gain)
        rows.append(
            {
                "metric": title,
                "ratio": 1 + float(np.nanmean(gain)) / base,
                "low": 1 + low / base,
                "high": 1 + high / base,
                "by fold": " ".join(f"{ratio:.3f}" for ratio in ratios),
            }
        )
    return pl.DataFrame(rows)


def by_history(
    found: Mapping[str, list[dict[str, NDArray[np.float64]]]], sizes: list[Any]
) -> pl.DataFrame:
    """NDCG of the next basket by the number of baskets before, our gain with its interval."""
    baskets = np.concatenate(sizes)
    ours = np.concatenate([one["ndcg_10"] for one in found["foresell"]])
    theirs = np.concatenate([one["ndcg_10"] for one in found["TIFU-KNN"]])
    rows = []
    for low, high in ((1, 3), (3, 10), (10, 30), (30, 100), (100, 10**6)):
        of = (baskets >= low) & (baskets < high)
        if not of.any():
            continue
        least, most = bootstrap_interval(ours[of] - theirs[of])
        rows.append(
            {
                "baskets": f"{low} to {high - 1}" if high < 10**6 else f"{low} and more",
                "customers": int(of.sum()),
                "foresell": float(ours[of].mean()),
                "TIFU-KNN": float(theirs[of].mean()),
                "gain, low": least,
                "gain, high": most,
            }
        )
    return pl.DataFrame(rows)


def table(
    found: Mapping[str, list[dict[str, NDArray[np.float64]]]], seconds: Mapping[str, float]
) -> pl.DataFrame:
    """Means over customers and folds."""
    return pl.DataFrame(
        [
            {
                "method": name,
                **{
                    title: float(np.nanmean(np.concatenate([one[metric] for one in folds])))
                    for metric, title in SHOWN.items()
                },
                "CPU s": seconds[name],
            }
            for name, folds in found.items()
        ]
    )


def without_learning(inputs: RecommenderInputs) -> Scorer:
    """Score what is bought again by its own repeat rate, and what was in last baskets.

    1.6 x baskets with it / (baskets + 3) x the product's repeat rate, and the share of customers
    whose last basket held it.
    """
    known = inputs.interactions
    customers, products = known.shape
    baskets = known.features["baskets"]
    buyers = np.bincount(known.cols, minlength=products)
    again = np.bincount(known.cols, weights=baskets > 1, minlength=products)
    repeated = again / np.maximum(buyers, 1)
    last = known.features["recency_baskets"] == 0
    share = np.bincount(known.cols[last], minlength=products) / customers
    size = known.customer_features["customer_baskets"][known.rows]
    own = known.matrix(1.6 * baskets / (size + 3) * repeated[known.cols])
    return lambda rows: np.asarray(own[rows].toarray() + share)


def strict(dataset: Dataset, days: int, horizon: int) -> pl.DataFrame:
    """Judge the last baskets of the last days, each from what was known as its day began."""
    asked = {"horizon_days": 1}
    starts = [dataset.end - timedelta(days=days - k) for k in range(days)]
    chosen = tune(dataset, starts[0] - timedelta(days=7), {"horizon_days": 7}, set(BARS))
    bars = {name: method for name, method in methods(chosen).items() if name in BARS}
    bars["no learning"] = without_learning
    # One model for all days, learned before the first of them.
    model = RecommenderModel(horizon_days=horizon).fit(dataset, starts[0])
    orders = dataset.table("orders").to_native().filter(pl.col("kind") == "sale")
    last = dict(orders.group_by("customer_id").agg(pl.col("ts").max()).collect().iter_rows())
    found: dict[str, list[NDArray[np.float64]]] = {}
    sizes: list[NDArray[Any]] = []
    for start in starts:
        known = interactions_at(dataset, start)
        rows = truth_at(dataset, start, asked).rows
        ids = known.customers[rows].astype(object)
        first = dict(
            orders.filter(pl.col("ts") >= start)
            .group_by("customer_id")
            .agg(pl.col("ts").min())
            .collect()
            .iter_rows()
        )
        # Whose first basket from this day on is their last of all.
        once = np.array([last[one] == first[one] for one in ids], dtype=bool)
        if not once.any():
            continue
        sizes.append(known.customer_features["customer_baskets"][rows[once]])
        wanted = pl.DataFrame({"customer_id": ids[once]}, {"customer_id": pl.String})
        answers = {"foresell": model.predict(dataset, start, wanted)}
        for name, method in bars.items():
            answers[name] = (
                BaselineRecommender(method).fit(dataset, start).predict(dataset, start, wanted)
            )
        for name, answer in answers.items():
            values = customer_metrics(dataset, start, asked, answer)
            for metric in ("recall_10", "ndcg_10"):
                found.setdefault(f"{name} {metric}", []).append(values[metric][once])
        means = {key: round(float(np.concatenate(v).mean()), 4) for key, v in found.items()}
        print(start.date(), int(once.sum()), means, flush=True)
    baskets = np.concatenate(sizes)
    return pl.DataFrame(
        [
            _strictly(found, name, least, baskets >= least)
            for least in LEAST_BASKETS
            for name in ("foresell", *bars)
        ]
    )


def _strictly(
    found: Mapping[str, list[NDArray[np.float64]]], name: str, least: int, of: NDArray[np.bool_]
) -> dict[str, Any]:
    """Means of one method over customers with at least so many baskets before."""
    recall, ndcg = (np.concatenate(found[f"{name} {m}"])[of] for m in ("recall_10", "ndcg_10"))
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


def main() -> None:
    """Print the comparison, and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".foresell"))
    parser.add_argument("--dataset", default="complete-journey")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--horizon", type=int, default=28)
    parser.add_argument("--strict", action="store_true", help="last baskets, day by day")
    parser.add_argument("--days", type=int, default=28, help="of last baskets")
    parser.add_argument("--only", help="methods to run, by comma; all by default")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.home, arguments.dataset)
    command = f"python benchmarks/recommender_peers.py --dataset {dataset.name}"
    packages = ("lightgbm", "implicit")
    if arguments.strict:
        found = strict(dataset, arguments.days, arguments.horizon)
        record(
            f"Recommendations: {dataset.name}, "
            f"last baskets of {arguments.days} days in strict time order",
            found,
            command=f"{command} --strict --days {arguments.days} --horizon {arguments.horizon}",
            packages=packages,
            note=f"Customers whose last basket of all falls into the last {arguments.days} days, "
            "each from what was known as its day began; one model, learned before all of them.",
        )
        return
    asked = {"horizon_days": arguments.horizon}
    origins = rolling_origins(dataset, arguments.horizon, arguments.folds, dataset.end)
    only = set(arguments.only.split(",")) if arguments.only else None
    judged, seconds, sizes = compare(dataset, origins, asked, only)
    title = f"Recommendations: {dataset.name}, {arguments.folds} folds of {arguments.horizon} days"
    dates = ", ".join(str(one.date()) for one in origins)
    record(
        title,
        table(judged, seconds),
        command=command,
        packages=packages,
        note=f"Cuts {dates}; peers tuned on the cut before. Offline, by what was bought without "
        "the lists being seen.",
    )
    if only:
        # Gains are over all the bars.
        return
    record(
        f"{title}: gains",
        gains(judged),
        command=command,
        packages=packages,
        note="Over the better of tuned TIFU-KNN and decayed frequency at each fold, for what is "
        "new over tuned EASE; intervals of 95 % by bootstrap over customers, paired.",
    )
    record(f"{title}: by length of history", by_history(judged, sizes), command=command)


if __name__ == "__main__":
    main()
