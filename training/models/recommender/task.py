"""The recommender's task: which customers are evaluated, by which metrics, against what.

Recommendations and the records after `as_of` in; scores and figures out. The truth is the next
basket, repeat purchases included, of customers who bought before and buy within the horizon.
`window_` metrics cover all baskets of the horizon, `explore_` metrics the purchases that are new
to the customer, `new_product_` metrics products first sold within four weeks before. Intervals
are bootstrapped over customers. `NOTE` states what such numbers cannot show.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Bools, Ints
from training import metrics
from training.contract import Score, Space, Task
from training.customers.evaluation import main_features
from training.customers.horizon import CustomerHorizon
from training.models.recommender.baselines import BASELINES, BaselineRecommender
from training.models.recommender.beyond_accuracy import beyond_accuracy
from training.models.recommender.hits import (
    ListHits,
    customer_metrics,
    evaluated_customers,
    list_hits,
)
from training.models.recommender.index.erase import erase
from training.models.recommender.inputs.interactions import (
    Interactions,
    find_sorted,
    interactions_at,
)
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish
from training.models.recommender.ranking.examples import MIN_HISTORY_DAYS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE = (
    "Offline metrics count purchases that were made without seeing the list. They reward the "
    "prediction of routine purchases, cannot show whether a recommendation changed anything, and "
    "count products that were out of stock or never seen as misses. Only a trial with a control "
    "group measures additional sales."
)
# Limits between slices by number of baskets.
FEW, SOME, MANY = 3, 10, 50
# Metrics whose interval over customers is reported.
INTERVALS = ("ndcg_10", "recall_10", "window_ndcg_10", "explore_precision_10")
# Most customers who return do so within their usual gap. The newest cutoff needs its horizon
# after it, and the oldest one `MIN_HISTORY_DAYS` before it.
HORIZON = CustomerHorizon(needed=lambda days: days + MIN_HISTORY_DAYS)


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Return the customers with a purchase before `as_of`, or an evenly spaced part of them."""
    interactions = interactions_at(dataset, as_of)
    ids = interactions.customers[evaluated_customers(interactions)].astype(object)
    return pl.DataFrame({"customer_id": ids}, {"customer_id": pl.String})


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Score the next basket, the horizon, the lists themselves, and slices of customers."""
    interactions = interactions_at(dataset, as_of)
    hits = list_hits(dataset, as_of, options, predictions)
    n = len(hits.rows)
    if n == 0:
        return []
    by_customer = customer_metrics(dataset, as_of, options, predictions)
    scores = []
    for name, values in by_customer.items():
        applicable = values[~np.isnan(values)]
        if len(applicable):
            scores.append(Score("all", name, float(applicable.mean()), len(applicable)))
    for name in INTERVALS:
        low, high = metrics.bootstrap_interval(by_customer[name])
        scores += [Score("all", f"{name}_low", low, n), Score("all", f"{name}_high", high, n)]
    scores += _repeat_and_explore(hits)
    scores += _popularity_rank(interactions, hits)
    scores += _by_reason(predictions, hits, interactions)
    parts = slices(interactions, hits.rows)
    scores += beyond_accuracy(dataset, interactions, hits.rows, hits.shown, parts)
    for name, members in parts.items():
        if members.any():
            for metric in ("ndcg_10", "recall_10"):
                value = float(by_customer[metric][members].mean())
                scores.append(Score(name, metric, value, int(members.sum())))
    return scores


def slices(interactions: Interactions, rows: Ints) -> dict[str, Bools]:
    """Divide customers by their number of baskets and by what they spend."""
    baskets = interactions.customer_features["customer_baskets"][rows]
    members = {
        f"baskets=under_{FEW}": baskets < FEW,
        f"baskets=under_{SOME}": baskets < SOME,
        f"baskets={SOME}_to_{MANY - 1}": (baskets >= SOME) & (baskets < MANY),
        f"baskets={MANY}_and_more": baskets >= MANY,
    }
    if "spend" in interactions.features:
        spend = interactions.sum_by_customer("spend")[rows]
        low, high = np.quantile(spend, (1 / 3, 2 / 3))
        members["spending=low"] = spend <= low
        members["spending=middle"] = (spend > low) & (spend <= high)
        members["spending=high"] = spend > high
    return members


def _repeat_and_explore(hits: ListHits) -> list[Score]:
    """Recall of repeat purchases, and of purchases that are new to the customer."""
    parts = {
        "repeat": (hits.bought_before, hits.repeat_size),
        "explore": (~hits.bought_before, hits.next_size - hits.repeat_size),
    }
    scores = []
    for name, (shown, sizes) in parts.items():
        some = sizes > 0
        if some.any():
            recall = metrics.recall_at_k((hits.next_hits & shown)[some], sizes[some], 10)
            scores.append(Score("all", f"{name}_recall_10", float(recall.mean()), int(some.sum())))
    return scores


def _popularity_rank(interactions: Interactions, hits: ListHits) -> list[Score]:
    """Median popularity rank of the products shown."""
    products = len(interactions.products)
    shown = hits.shown[:, :10]
    shown = shown[(shown >= 0) & (shown < products)]
    rank = np.empty(products)
    rank[interactions.most_popular(products)] = np.arange(1, products + 1)
    median = float(np.median(rank[shown])) if len(shown) else float("nan")
    return [Score("all", "popularity_10", median, len(hits.rows))]


def _by_reason(
    predictions: pl.DataFrame, hits: ListHits, interactions: Interactions
) -> list[Score]:
    """Share of the first ten ranks, and of their hits, by reason."""
    if "reason" not in predictions.columns:
        return []
    top = predictions.filter(pl.col("rank") <= 10)
    reasons = top.get_column("reason").unique().sort().to_list()
    if len(reasons) < 2:
        return []
    customers = interactions.customer_codes(top.get_column("customer_id"))
    position = find_sorted(hits.rows, customers)
    evaluated = position >= 0
    hit = evaluated & hits.next_hits[position, top.get_column("rank").to_numpy() - 1]
    total_hits, total_shown = max(int(hit.sum()), 1), max(evaluated.sum(), 1)
    scores = []
    for reason in reasons:
        shown = (top.get_column("reason") == reason).to_numpy() & evaluated
        shares = {
            "share_of_shown_10": float(shown.sum() / total_shown),
            "share_of_hits_10": float(hit[shown].sum() / total_hits),
        }
        for metric, value in shares.items():
            scores.append(Score(f"reason={reason}", metric, value, len(hits.rows)))
    return scores


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw recall and hits by rank, in all and for repeat and new purchases."""
    from training.models.recommender.plots import draw  # matplotlib is slow to import

    hits = list_hits(dataset, as_of, options, predictions, ranks=100)
    if not len(hits.rows):
        return {}
    repeat = hits.next_hits & hits.bought_before
    return draw(
        {
            "whole basket": (hits.next_hits, hits.next_size),
            "bought before": (repeat, hits.repeat_size),
            "new to the customer": (hits.next_hits & ~repeat, hits.next_size - hits.repeat_size),
        }
    )


def _baseline(name: str) -> Callable[..., BaselineRecommender]:
    return partial(BaselineRecommender, BASELINES[name])


RECOMMENDER = Task(
    name="recommender",
    model=RecommenderModel,
    baselines={name: _baseline(name) for name in BASELINES},
    options=HORIZON.options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    population=population,
    evaluate=evaluate,
    plots=plots,
    per_case_metrics=customer_metrics,
    main_features=main_features,
    note=NOTE,
    publish=publish,
    erase=erase,
    primary="ndcg_10",
    lower_is_better=False,
    tunable={
        "learning_rate": Space(0.03, 0.15, log=True),
        "num_leaves": Space(15, 63, integer=True),
        "rounds": Space(50, 200, integer=True),
        "feature_fraction": Space(0.2, 0.7),
        "min_data_in_leaf": Space(50, 500, log=True, integer=True),
    },
)
