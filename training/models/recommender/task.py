"""Recommendations as a question: who is judged, how, and against what.

The truth is the next basket, products bought before allowed; customers are judged who had
bought before and buy within the horizon. `window_` metrics take all that they buy in it, and
`explore_` metrics what of that is new to them, each on the list of its kind; `new_product_`
metrics take products first sold within four weeks before. Intervals are of the mean over
customers, by bootstrap.

What such numbers cannot show stands in `NOTE`, beneath every report.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.dataset import Dataset
from features.typing import Bools, Ints
from training import metrics
from training.contract import Score, Space, Task
from training.customers.horizon import CustomerHorizon
from training.models.recommender.baselines import BASELINES, Ranked
from training.models.recommender.beyond_accuracy import beyond_accuracy
from training.models.recommender.hits import Outcome, asked_about, measures, outcome
from training.models.recommender.index.erase import erase
from training.models.recommender.inputs import interactions as histories
from training.models.recommender.inputs.interactions import Interactions, find_sorted
from training.models.recommender.model import RecommenderModel
from training.models.recommender.plots import draw
from training.models.recommender.publish import publish
from training.models.recommender.ranking.examples import MIN_HISTORY_DAYS

NOTE = (
    "Offline figures count what people bought without seeing the list: they reward guessing "
    "habits, cannot tell whether a recommendation changed anything, and count as missed what was "
    "not on the shelf or never seen. Only a trial with a control group shows what lists sell."
)
SHOWN = 20
NEWCOMER, FEW, MANY = 3, 10, 50
# Metrics whose interval over customers is reported.
INTERVALS = ("ndcg_10", "recall_10", "window_ndcg_10", "explore_precision_10")
# Most who come back do so within their usual gap. The newest cut needs its window, and the
# shortest history that is learnt from.
HORIZON = CustomerHorizon(needed=lambda days: days + MIN_HISTORY_DAYS)


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Every customer with a purchase before `as_of`; of very many an even pick."""
    known = histories.known_at(dataset, as_of)
    ids = known.customers[asked_about(known)].astype(object)
    return pl.DataFrame({"customer_id": ids}, {"customer_id": pl.String})


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure the next basket, the whole horizon, what is shown, and slices of customers."""
    known = histories.known_at(dataset, as_of)
    laid = outcome(dataset, as_of, options, predictions)
    n = len(laid.rows)
    if n == 0:
        return []
    by_customer = measures(dataset, as_of, options, predictions)
    scores = []
    for name, values in by_customer.items():
        judged = values[~np.isnan(values)]
        if len(judged):
            scores.append(Score("all", name, float(judged.mean()), len(judged)))
    for name in INTERVALS:
        low, high = metrics.bootstrap_interval(by_customer[name])
        scores += [Score("all", f"{name}_low", low, n), Score("all", f"{name}_high", high, n)]
    scores += _by_kind(laid) + _shown(known, laid) + _by_source(predictions, laid, known)
    parts = slices(known, laid.rows)
    scores += beyond_accuracy(dataset, known, laid.rows, laid.shown, parts)
    for name, members in parts.items():
        if members.any():
            for metric in ("ndcg_10", "recall_10"):
                value = float(by_customer[metric][members].mean())
                scores.append(Score(name, metric, value, int(members.sum())))
    return scores


def slices(known: Interactions, rows: Ints) -> dict[str, Bools]:
    """Divide customers by the number of their baskets and by what they spend."""
    baskets = known.customer["customer_baskets"][rows]
    found = {
        f"baskets=under_{NEWCOMER}": baskets < NEWCOMER,
        f"baskets=under_{FEW}": baskets < FEW,
        f"baskets={FEW}_to_{MANY - 1}": (baskets >= FEW) & (baskets < MANY),
        f"baskets={MANY}_and_more": baskets >= MANY,
    }
    if "spend" in known.pairs:
        spend = known.by_customer("spend")[rows]
        low, high = np.quantile(spend, (1 / 3, 2 / 3))
        found["spending=low"] = spend <= low
        found["spending=middle"] = (spend > low) & (spend <= high)
        found["spending=high"] = spend > high
    return found


def _by_kind(laid: Outcome) -> list[Score]:
    """Recall of what was bought before, and of what is new to the customer."""
    kinds = {
        "repeat": (laid.bought_before, laid.repeat_size),
        "explore": (~laid.bought_before, laid.next_size - laid.repeat_size),
    }
    scores = []
    for kind, (shown, sizes) in kinds.items():
        some = sizes > 0
        if some.any():
            hits = (laid.next_hits & shown)[some]
            recall = metrics.recall_at_k(hits, sizes[some], 10)
            scores.append(Score("all", f"{kind}_recall_10", float(recall.mean()), int(some.sum())))
    return scores


def _shown(known: Interactions, laid: Outcome) -> list[Score]:
    """Median place of what is shown in the order of popularity."""
    shown = laid.shown[:, :10]
    shown = shown[(shown >= 0) & (shown < len(known.products))]
    place = np.empty(len(known.products))
    place[known.most_popular(len(known.products))] = np.arange(1, len(known.products) + 1)
    median = float(np.median(place[shown])) if len(shown) else float("nan")
    return [Score("all", "popularity_10", median, len(laid.rows))]


def _by_source(predictions: pl.DataFrame, laid: Outcome, known: Interactions) -> list[Score]:
    """Share of the first ten places and of their hits that each source's reason accounts for."""
    if "reason" not in predictions.columns:
        return []
    top = predictions.filter(pl.col("rank") <= 10)
    reasons = top.get_column("reason").unique().sort().to_list()
    if len(reasons) < 2:
        return []
    at = find_sorted(laid.rows, known.codes(top.get_column("customer_id")))
    place = top.get_column("rank").to_numpy() - 1
    hit = (at >= 0) & laid.next_hits[at, place]
    total, n = max(int(hit.sum()), 1), len(laid.rows)
    scores = []
    for reason in reasons:
        of = (top.get_column("reason") == reason).to_numpy() & (at >= 0)
        shown = float(of.sum() / max((at >= 0).sum(), 1))
        scores.append(Score(f"source={reason}", "share_of_shown_10", shown, n))
        scores.append(
            Score(f"source={reason}", "share_of_hits_10", float(hit[of].sum() / total), n)
        )
    return scores


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw recall by the length of the list, in all and of repeats and new products."""
    laid = outcome(dataset, as_of, options, predictions, shown=100)
    if not len(laid.rows):
        return {}
    repeat = laid.next_hits & laid.bought_before
    return draw(
        {
            "whole basket": (laid.next_hits, laid.next_size),
            "bought before": (repeat, laid.repeat_size),
            "new to the customer": (laid.next_hits & ~repeat, laid.next_size - laid.repeat_size),
        }
    )


def _baseline(name: str) -> Callable[..., Ranked]:
    return partial(Ranked, BASELINES[name])


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
    per_case_metrics=measures,
    note=NOTE,
    publish=publish,
    erase=erase,
    primary="ndcg_10",
    lower_is_better=False,
    tunable={
        "learning_rate": Space(0.03, 0.15, log=True),
        "num_leaves": Space(15, 63, integer=True),
        "moment_rounds": Space(40, 160, integer=True),
        "feature_fraction": Space(0.2, 0.7),
        "min_data_in_leaf": Space(50, 500, log=True, integer=True),
    },
)
