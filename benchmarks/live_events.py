"""Gain of logged events: stale answers, live answers, and a version published a week later.

The order lines of the week after a version's instant are replayed as events. Lists are compared by
the first basket after that week, churn by purchases within its horizon from then on.

    python benchmarks/live_events.py [lists|churn] [--households N]
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from sklearn.metrics import log_loss, roc_auc_score

from features.dataset import Dataset, open_dataset
from features.events.records import LoggedEvent
from foresell.settings import Settings
from serving.customers.live import live_customers
from serving.events.live import CustomerEvents
from serving.recommender.query import ListQuery
from serving.recommender.reader import RecommenderReader
from training.customers import histories
from training.customers.population import Population
from training.models.churn.model import ChurnModel
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

WEEK = timedelta(days=7)
HORIZON_DAYS = 28
LENGTH = 10
FIELDS = ("product_id", "ts", "quantity", "revenue", "order_id", "location_id", "channel")


@dataclass(frozen=True)
class Replayed:
    """The order lines of a week as events that no model has seen."""

    customers: Mapping[str, CustomerEvents]

    @classmethod
    def read(cls, orders: pl.DataFrame) -> "Replayed":
        """Turn order lines into events."""
        empty: dict[str, Any] = dict.fromkeys(LoggedEvent._fields) | {
            "type": "purchase",
            "position": 1,
        }
        parts = orders.sort("ts").partition_by("customer_id", as_dict=True)
        return cls(
            {
                str(name): CustomerEvents(
                    tuple(
                        LoggedEvent(**empty | row | {"customer_id": str(name)})
                        for row in part.select(FIELDS).iter_rows(named=True)
                    )
                )
                for (name,), part in parts.items()
            }
        )

    def customer(self, customer_id: str) -> CustomerEvents | None:
        """Return the events of a customer."""
        return self.customers.get(customer_id)

    def session(self, session_id: str) -> None:
        """Return nothing: order lines have no session."""

    def unavailable(self, at: datetime | None) -> frozenset[str]:  # noqa: ARG002
        """Return nothing: all products are available."""
        return frozenset()


def lists(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return NDCG@10 and recall@10 of the first basket after the week."""
    orders = _orders(dataset)
    events = Replayed.read(_between(orders, as_of, as_of + WEEK))
    baskets = _first_baskets(_between(orders, as_of + WEEK, as_of + 4 * WEEK))
    model = RecommenderModel().fit(dataset, as_of)
    stale, later = _reader(model, dataset, as_of), _reader(model, dataset, as_of + WEEK)
    ids = [name for name in events.customers if name in baskets and name in stale.known_ids]
    at = ListQuery(at=as_of + WEEK)
    answers = {
        "stale": stale.answer(ids, LENGTH),
        "stale, dated": stale.answer(ids, LENGTH, query=at),
        "live": stale.answer(ids, LENGTH, query=at, events=events),  # type: ignore[arg-type]
        "published a week later": later.answer(ids, LENGTH),
    }
    return pl.DataFrame(
        [
            {"lists": name, "customers": len(ids), **_accuracy(rows, baskets)}
            for name, rows in answers.items()
        ]
    )


def churn(dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return the log loss and AUC of no purchase within the horizon after the week."""
    orders = _orders(dataset)
    events = Replayed.read(_between(orders, as_of, as_of + WEEK))
    end = as_of + WEEK + timedelta(days=HORIZON_DAYS)
    returned = set(_between(orders, as_of + WEEK, end).get_column("customer_id"))
    model = ChurnModel(horizon_days=HORIZON_DAYS).fit(dataset, as_of)
    stale, later = (model.predict(dataset, day) for day in (as_of, as_of + WEEK))
    ids = stale.get_column("customer_id").to_list()
    known = dict(stale.select("customer_id", "churn_probability").iter_rows())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        histories.publish(dataset, as_of, folder)
        population = Population.measure(dataset, as_of)
        published = histories.Histories.load(folder)
        live = live_customers(published, events, ids, as_of)  # type: ignore[arg-type]
        scored = {
            name: float(
                model.timing_.survival(
                    model.features(customers.dataset(population), customers.as_of)
                )[0]
            )
            for name, customers in live.items()
        }
    label = np.array([name not in returned for name in ids])
    published_later = dict(later.select("customer_id", "churn_probability").iter_rows())
    answers = {
        "stale": known,
        "live": known | scored,
        "published a week later": published_later,
    }
    rows = []
    for name, answer in answers.items():
        probability = np.array([answer[customer] for customer in ids])
        rows.append(
            {
                "answers": name,
                "customers": len(ids),
                "log loss": float(log_loss(label, probability)),
                "AUC": float(roc_auc_score(label, probability)),
            }
        )
    return pl.DataFrame(rows)


def _sample(dataset: Dataset, households: int) -> Dataset:
    """Keep the records of some households, evenly spaced by their ids."""
    ids = _orders(dataset).get_column("customer_id").unique().sort()
    chosen = ids.gather_every(max(len(ids) // households, 1)).head(households).to_list()
    mine = nw.col("customer_id").is_in(chosen)
    names = ("orders", "customers", "touchpoints")
    tables = {
        name: nw.from_native(dataset.table(name).filter(mine).collect().to_polars().lazy())
        for name in names
    }
    return dataset.with_tables("sample", tables)


def _orders(dataset: Dataset) -> pl.DataFrame:
    orders = dataset.table("orders").collect().to_polars()
    return orders.filter(pl.col("kind") == "sale").drop_nulls(["customer_id", "product_id"])


def _between(orders: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return orders.filter(pl.col("ts") >= start, pl.col("ts") < end)


def _first_baskets(orders: pl.DataFrame) -> dict[str, set[str]]:
    first = orders.sort("ts", "order_id").group_by("customer_id").agg(pl.col("order_id").first())
    lines = orders.join(first, on=["customer_id", "order_id"], how="semi")
    baskets = lines.group_by("customer_id").agg(pl.col("product_id").unique())
    return {str(name): set(products) for name, products in baskets.iter_rows()}


def _reader(model: RecommenderModel, dataset: Dataset, as_of: datetime) -> RecommenderReader:
    folder = Path(tempfile.mkdtemp())
    publish(model, dataset, as_of, folder)
    return RecommenderReader.load(folder)


def _accuracy(rows: list[dict[str, Any]], baskets: Mapping[str, set[str]]) -> dict[str, float]:
    gains = 1 / np.log2(np.arange(2, LENGTH + 2))
    ndcg, recall = [], []
    for row in rows:
        basket = baskets[row["customer_id"]]
        hits = np.zeros(LENGTH)
        for position, item in enumerate(row["items"]):
            hits[position] = item["product_id"] in basket
        most = min(len(basket), LENGTH)
        ndcg.append((hits * gains).sum() / gains[:most].sum())
        recall.append(hits.sum() / len(basket))
    return {"NDCG@10": float(np.mean(ndcg)), "recall@10": float(np.mean(recall))}


def main() -> None:
    """Print the table of one comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("lists", "churn"), help="by default both")
    parser.add_argument("--households", type=int, help="a sample of so many, by default all")
    arguments = parser.parse_args()
    dataset = open_dataset(Settings().home, "complete-journey")
    if arguments.households is not None:
        dataset = _sample(dataset, arguments.households)
    as_of = dataset.end - WEEK - timedelta(days=HORIZON_DAYS)
    with pl.Config(float_precision=4, tbl_hide_dataframe_shape=True):
        for compare in (lists, churn):
            if arguments.what in (None, compare.__name__):
                print(compare(dataset, as_of))


if __name__ == "__main__":
    main()
