"""Recommendations as a question: who is judged, how, and against what.

The truth is the next basket, products bought before allowed; customers are judged who had
bought before and buy within the horizon. `window_` metrics take all that they buy in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from features.dataset import Dataset
from features.interactions import next_baskets
from features.rhythm import Horizon, purchase_horizon, rhythm
from training import metrics
from training.baselines.recommender import BASELINES, Ranked
from training.contract import Score, Space, Task
from training.models import histories
from training.models.histories import Histories, Ints, find_sorted
from training.models.recommender import MIN_HISTORY_DAYS, RecommenderModel
from training.plots.recommender import draw

SHOWN = 20
FEW, MANY = 10, 50

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What was shown beside what was bought, one row a judged customer.

    Attributes
    ----------
    rows
        Codes of the customers.
    shown
        Codes of the products shown, best first; -1 for places left empty.
    next_hits, window_hits
        Whether each shown product was in the next basket, and in any of the horizon.
    bought_before
        Whether each shown product had been bought before.
    next_size, window_size, repeat_size
        Products in the next basket, in all of them, and those of the next bought before.
    """

    rows: Ints
    shown: Ints
    next_hits: Bools
    window_hits: Bools
    bought_before: Bools
    next_size: Ints
    window_size: Ints
    repeat_size: Ints


def options(
    dataset: Dataset,
    *,
    grain: str | None = None,  # noqa: ARG001
    horizon_days: int | None = None,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """Look for the next basket within customers' usual gap, or the days asked for."""
    return {"horizon_days": horizon_days or usual_horizon(dataset, as_of).days}


def usual_horizon(dataset: Dataset, as_of: datetime | None) -> Horizon:
    """Choose by the gaps known at `as_of`: most who come back do so within it."""
    return purchase_horizon(rhythm(dataset, as_of), _needed)


def reason(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> str:  # noqa: ARG001
    """Say why the horizon is what it is."""
    return usual_horizon(dataset, as_of).reason


def needed_days(dataset: Dataset, options: Mapping[str, Any], as_of: datetime) -> int:  # noqa: ARG001
    """Count the days of the newest cut's window, and those before it."""
    return _needed(options["horizon_days"])


def _needed(horizon_days: int) -> int:
    return horizon_days + MIN_HISTORY_DAYS


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Every customer with a purchase before `as_of`."""
    known = histories.known_at(dataset, as_of)
    return pl.DataFrame({"customer_id": known.customers.astype(object)}, {"customer_id": pl.String})


def outcome(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    predictions: pl.DataFrame,
    shown: int = SHOWN,
) -> Outcome:
    """Lay the first `shown` places beside what was bought."""
    known = histories.known_at(dataset, as_of)
    bought = next_baskets(dataset, as_of, options["horizon_days"]).collect().to_polars()
    buyers = known.codes(bought.get_column("customer_id"))
    # Products too rare to have a code stay in the truth: theirs follow the others'.
    everything = bought.get_column("product_id").unique().sort()
    rare = everything.filter(find_sorted(known.products, _text(everything)) < 0)

    def codes(ids: pl.Series) -> Ints:
        common, seldom = (find_sorted(among, _text(ids)) for among in (known.products, _text(rare)))
        return np.where(
            common >= 0, common, np.where(seldom >= 0, len(known.products) + seldom, -1)
        )

    size = len(known.products) + len(rare)
    judged = buyers >= 0
    keys = buyers * size + codes(bought.get_column("product_id"))
    window = np.sort(keys[judged])
    following = np.sort(keys[judged & bought.get_column("is_next").to_numpy()])
    rows = np.unique(buyers[judged])

    top = predictions.filter(pl.col("rank") <= shown)
    at = find_sorted(rows, known.codes(top.get_column("customer_id")))
    places = np.full((len(rows), shown), -1, np.int64)
    places[at[at >= 0], top.get_column("rank").to_numpy()[at >= 0] - 1] = codes(
        top.get_column("product_id")
    )[at >= 0]
    wanted = np.where(places >= 0, rows[:, None] * size + places, -1)

    def among(pairs: Ints) -> Bools:
        return find_sorted(pairs, wanted.ravel()).reshape(wanted.shape) >= 0

    before = known.rows * size + known.cols
    own = following[find_sorted(before, following) >= 0]
    return Outcome(
        rows,
        places,
        among(following),
        among(window),
        among(before),
        _sizes(following // size, rows),
        _sizes(window // size, rows),
        _sizes(own // size, rows),
    )


def judge(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure the next basket, the whole horizon, what is shown, and slices of customers."""
    known = histories.known_at(dataset, as_of)
    laid = outcome(dataset, as_of, options, predictions)
    n = len(laid.rows)
    if n == 0:
        return []
    by_customer = measures(laid)
    scores = [Score("all", name, float(v.mean()), n) for name, v in by_customer.items()]
    scores += _by_kind(laid) + _shown(known, laid)
    for name, members in slices(known, laid.rows).items():
        if members.any():
            for metric in ("ndcg_10", "recall_10"):
                value = float(by_customer[metric][members].mean())
                scores.append(Score(name, metric, value, int(members.sum())))
    return scores


def measures(laid: Outcome) -> dict[str, metrics.Floats]:
    """Measure each customer's list."""
    found: dict[str, metrics.Floats] = {}
    for k in (10, 20):
        found[f"ndcg_{k}"] = metrics.ndcg_at_k(laid.next_hits, laid.next_size, k)
        found[f"recall_{k}"] = metrics.recall_at_k(laid.next_hits, laid.next_size, k)
        found[f"hit_rate_{k}"] = metrics.hit_rate_at_k(laid.next_hits, k)
    found["window_ndcg_10"] = metrics.ndcg_at_k(laid.window_hits, laid.window_size, 10)
    found["window_recall_10"] = metrics.recall_at_k(laid.window_hits, laid.window_size, 10)
    found["window_precision_10"] = metrics.precision_at_k(laid.window_hits, 10)
    return found


def slices(known: Histories, rows: Ints) -> dict[str, Bools]:
    """Divide customers by the number of their baskets and by what they spend."""
    baskets = known.customer["customer_baskets"][rows]
    found = {
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


def _shown(known: Histories, laid: Outcome) -> list[Score]:
    """Share of the products that anyone is shown; median place in the order of popularity."""
    shown = laid.shown[:, :10]
    shown = shown[(shown >= 0) & (shown < len(known.products))]
    place = np.empty(len(known.products))
    place[known.most_popular(len(known.products))] = np.arange(1, len(known.products) + 1)
    coverage = len(np.unique(shown)) / len(known.products)
    median = float(np.median(place[shown])) if len(shown) else float("nan")
    n = len(laid.rows)
    return [Score("all", "coverage_10", coverage, n), Score("all", "popularity_10", median, n)]


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw recall by the length of the list, in all and of repeats and new products."""
    laid = outcome(dataset, as_of, options, predictions, shown=100)
    repeat = laid.next_hits & laid.bought_before
    return draw(
        {
            "whole basket": (laid.next_hits, laid.next_size),
            "bought before": (repeat, laid.repeat_size),
            "new to the customer": (laid.next_hits & ~repeat, laid.next_size - laid.repeat_size),
        }
    )


def _sizes(owners: Ints, rows: Ints) -> Ints:
    return np.bincount(find_sorted(rows, owners), minlength=len(rows))


def _text(ids: pl.Series) -> NDArray[np.str_]:
    return ids.to_numpy().astype(str)


def _baseline(name: str) -> Callable[..., Ranked]:
    return partial(Ranked, BASELINES[name])


RECOMMENDER = Task(
    name="recommender",
    model=RecommenderModel,
    baselines={name: _baseline(name) for name in BASELINES},
    options=options,
    reason=reason,
    needed_days=needed_days,
    population=population,
    judge=judge,
    plots=plots,
    primary="ndcg_10",
    lower_is_better=False,
    tunable={
        "learning_rate": Space(0.03, 0.15, log=True),
        "num_leaves": Space(15, 63, integer=True),
        "rounds": Space(100, 300, integer=True),
        "feature_fraction": Space(0.2, 0.7),
        "min_data_in_leaf": Space(50, 500, log=True, integer=True),
    },
)
