"""CPU milliseconds of answers of the served version, in process: by id, in bulk, and by history.

The histories are the recorded order lines of customers of the bundled data, posted as a request
posts them. Needs a published version with all models: `make run`.

Run: python benchmarks/serving_cost.py
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl
from results import record

from features.dataset import open_dataset
from foresell.settings import Settings
from serving.customers.posted_history import History, PostedCustomers
from serving.customers.profile import profiles
from serving.customers.timing import timing_of
from serving.predictor import VersionHolder
from serving.readers import READERS
from serving.recommender.query import Filters, ListQuery
from serving.recommender.reader import RecommenderReader

COMMAND = "python benchmarks/serving_cost.py"
DATASET = "complete-journey"
CUSTOMERS = 1_000
REPEATS = 20
# Fields of posted order lines.
FIELDS = ("order_id", "product_id", "location_id", "channel", "quantity", "revenue", "discount")
Answer = Callable[[PostedCustomers], Any]


def milliseconds(compute: Callable[[int], Any], repeats: int) -> float:
    """Return the mean CPU milliseconds of a call, after one that fills caches."""
    compute(0)
    started = time.process_time()
    for number in range(1, repeats + 1):
        compute(number)
    return (time.process_time() - started) / repeats * 1000


def by_history(readers: dict[str, Any]) -> dict[str, Answer]:
    """Return what answers from a posted history."""
    timing = timing_of(readers)
    return {
        "churn": lambda posted: readers["churn"].answer(posted, timing=timing),
        "next purchase": lambda posted: readers["next-purchase"].answer(posted, timing=timing),
        "value": lambda posted: readers["value"].answer(posted, timing=timing),
        "profile": lambda posted: profiles(readers, posted),
    }


def _posted(answer: Answer, history: History, as_of: datetime, _: int) -> Any:
    return answer(PostedCustomers.read([history], as_of))


def _list(lists: RecommenderReader, history: History, _: int) -> Any:
    return lists.posted([history])


def main() -> None:
    """Measure and record."""
    home = Settings().home
    holder = VersionHolder([home], READERS, poll_seconds=60, dataset=DATASET)
    holder.refresh()
    readers: dict[str, Any] = dict(holder.current().readers)
    lists, churn = readers["recommender"], readers["churn"]
    ids = list(lists.index.customer_ids[:CUSTOMERS])
    query = ListQuery(filters=Filters(max_price=20.0))
    costs: dict[str, float] = {
        "churn of a known customer": milliseconds(lambda k: churn.answer([ids[k]]), REPEATS),
        f"churn of {CUSTOMERS:,} customers": milliseconds(lambda _: churn.answer(ids), 5),
        "list of ten": milliseconds(lambda k: lists.answer([ids[k]]), REPEATS),
        "list of ten, filtered": milliseconds(
            lambda k: lists.answer([ids[k]], query=query), REPEATS
        ),
        f"{CUSTOMERS:,} lists of ten": milliseconds(lambda _: lists.answer(ids), 3),
    }
    orders = open_dataset(home, DATASET).known("orders", churn.as_of).collect().to_polars()
    counts = orders.group_by("customer_id").len().drop_nulls().sort("len", "customer_id")
    for share in (0.25, 0.5, 0.9):
        name, lines = counts.row(int(share * counts.height))
        names = [column for column in FIELDS if column in orders.columns]
        rows = orders.filter(pl.col("customer_id") == name).select("ts", *names).to_dicts()
        history = {"orders": [row | {"ts": row["ts"].isoformat()} for row in rows]}
        for answer, compute in by_history(readers).items():
            cost = milliseconds(partial(_posted, compute, history, churn.as_of), REPEATS)
            costs[f"{answer} of a history of {lines} lines"] = cost
        cost = milliseconds(partial(_list, lists, history), REPEATS)
        costs[f"list of a history of {lines} lines"] = cost
    table = pl.DataFrame({"answer": list(costs), "CPU ms": list(costs.values())})
    record("Serving: CPU of answers", table, command=COMMAND, packages=("polars", "lightgbm"))


if __name__ == "__main__":
    main()
