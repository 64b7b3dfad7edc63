"""Latency of lists, accuracy by diversity, posted orders, and calibration of replenishment.

Fits the recommender on the bundled dataset four weeks before its end, publishes it and requests
lists in process on one core. Lists at several settings of `diversity` and lists from posted orders
are compared with the next purchases, and so are replenishment states at two cutoffs.

Run: python benchmarks/recommender_lists.py
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results import record

import foresell
from features.dataset import Dataset
from features.interactions.builder import next_baskets
from serving.recommender.diversity_tradeoff import diversity_tradeoff
from serving.recommender.posted_history import read
from serving.recommender.query import LISTS, Filters, ListQuery
from serving.recommender.reader import RecommenderReader
from serving.recommender.request import ListRequest
from training.models.recommender.hits import customer_metrics
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.replenishment import (
    DUE,
    LAPSED,
    NOT_YET,
    SOON,
    ReplenishmentCurve,
)
from training.models.recommender.inputs.interactions import find_sorted, interactions_at
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

HORIZON_DAYS = 28
REQUESTS = 500
WARM_UP_REQUESTS = 20
COMMAND = "python benchmarks/recommender_lists.py"
UNKNOWN = "unknown"
# Metrics by the list that they are measured on.
METRICS = {
    "for_you": ("ndcg_10", "recall_10"),
    "new_to_you": ("explore_precision_10", "explore_hit_rate_10"),
}

Request = Callable[[str], object]


def milliseconds(request: Request, ids: Sequence[str]) -> tuple[float, float]:
    """Return median and 95th percentile of the CPU time of a request, in milliseconds."""
    for entity in ids[:WARM_UP_REQUESTS]:
        request(entity)
    times = []
    for entity in ids:
        started = time.thread_time()
        request(entity)
        times.append(1e3 * (time.thread_time() - started))
    return float(np.quantile(times, 0.5)), float(np.quantile(times, 0.95))


def latency(answers: RecommenderReader) -> pl.DataFrame:
    """Time every list, with and without a history, a basket and a ranker."""
    index = answers.index
    step = max(len(index.customer_ids) // REQUESTS, 1)
    known = index.customer_ids[::step][:REQUESTS]
    unknown = [UNKNOWN] * REQUESTS
    products = [index.catalogue.ids[code] for code in index.popular.top[-1].tolist()]
    location = index.popular.locations[0].decode() if len(index.popular.locations) else None
    basket = [index.catalogue.ids[code] for code in index.association.partner[:3].tolist()]
    filters = Filters(location_id=location)
    tomorrow = index.candidates.as_of + timedelta(days=1)
    unranked = replace(index.candidates, about=replace(index.candidates.about, lists=()))
    without_ranker = RecommenderReader(replace(index, candidates=unranked))
    diverse = ListQuery(diversity=0.3, basket_product_ids=basket, filters=filters)
    from_basket = ListQuery(basket_product_ids=basket)
    cases: dict[str, tuple[Request, Sequence[str]]] = {
        name: (_request(answers, ListQuery(list_name=name, at=tomorrow, filters=filters)), known)
        for name in LISTS
    }
    cases |= {
        "for_you, diversity 0.3, with basket": (_request(answers, diverse), known),
        "unknown customer, with basket": (_request(answers, from_basket), unknown),
        "decayed frequency, no ranker": (_request(without_ranker), known),
        "unknown customer": (_request(answers), unknown),
        "similar": (lambda product: answers.similar([product], 10, Filters()), products),
        "frequently_bought_together": (
            lambda product: answers.bought_together([product], 10, Filters()),
            products,
        ),
        "customers_for_product": (lambda product: answers.customers_for([product], 100), products),
    }
    rows = [(name, *milliseconds(request, ids)) for name, (request, ids) in cases.items()]
    return pl.DataFrame(rows, ["list", "p50, CPU ms", "p95, CPU ms"], orient="row")


def _request(answers: RecommenderReader, query: ListQuery | None = None) -> Request:
    """Return a function that requests a list of ten for one customer."""
    return lambda customer: answers.answer([customer], 10, [], query)


def replenishment(dataset: Dataset, cutoffs: Sequence[datetime], days: int = 7) -> pl.DataFrame:
    """Compare replenishment states at cutoffs with the purchases of the next days, by state."""
    rows = []
    for cutoff in cutoffs:
        known = interactions_at(dataset, cutoff)
        catalogue = Catalogue.build(dataset, cutoff)
        codes = [catalogue.codes[product] for product in known.products]
        status = ReplenishmentCurve.fit(dataset, cutoff, catalogue).status(
            known.features["baskets"],
            known.features["recency_days"],
            known.features["gap_mean"],
            catalogue.gap[codes][known.cols],
            days,
        )
        purchases = next_baskets(dataset, cutoff, days).collect().to_polars()
        customer = known.customer_codes(purchases.get_column("customer_id"))
        ids = purchases.get_column("product_id").to_numpy().astype(str)
        product = find_sorted(known.products, ids)
        is_known = (customer >= 0) & (product >= 0)
        position = known.find(customer[is_known], product[is_known])
        bought = np.zeros(len(known.cols), bool)
        bought[position[position >= 0]] = True
        for state in (DUE, SOON, NOT_YET, LAPSED):
            in_state = status.states == state
            rows.append(
                {
                    "as of": str(cutoff.date()),
                    "state": state,
                    "customers x products": int(in_state.sum()),
                    "predicted probability": float(status.probability[in_state].mean()),
                    "share bought": float(bought[in_state].mean()),
                }
            )
    return pl.DataFrame(rows)


def posted(answers: RecommenderReader, dataset: Dataset) -> pl.DataFrame:
    """Evaluate lists by customer id, from posted orders of the same customers, and without both."""
    as_of, options = answers.index.candidates.as_of, {"horizon_days": HORIZON_DAYS}
    orders = dataset.known("orders", as_of).collect().to_polars().drop_nulls("customer_id")
    known = read(orders, as_of)

    def by_id(request: ListRequest, customer: str) -> dict[str, Any]:
        return next(request.answers([customer]))

    def by_orders(request: ListRequest, customer: str) -> dict[str, Any]:
        return request.answer_posted(customer, known.get(customer))

    def by_popularity(request: ListRequest, customer: str) -> dict[str, Any]:
        return request.answer_posted(customer, None)

    rows = []
    methods = {"by id": by_id, "posted orders": by_orders, "no orders": by_popularity}
    for method, answer in methods.items():
        row: dict[str, object] = {"customers": method}
        for list_name, metrics in METRICS.items():
            query = ListQuery(list_name=list_name, k=10, allow_adjacent_category=True)
            request = ListRequest(answers.index, query)
            items = [
                (customer, item["rank"], item["product_id"], -float(item["rank"]))
                for customer in answers.index.customer_ids
                for item in answer(request, customer)["items"]
            ]
            columns = ["customer_id", "rank", "product_id", "explore"]
            lists = pl.DataFrame(items, columns, orient="row")
            values = customer_metrics(dataset, as_of, options, lists)
            row |= {metric: float(np.nanmean(values[metric])) for metric in metrics}
        rows.append(row)
    return pl.DataFrame(rows)


def main() -> None:
    """Measure and record the four tables."""
    dataset = foresell.load()
    as_of = dataset.end - timedelta(days=HORIZON_DAYS)
    model = RecommenderModel(horizon_days=HORIZON_DAYS).fit(dataset, as_of)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A newly opened dataset has no features in memory.
        reopened = foresell.load()
        started = time.process_time()
        publish(model, reopened, as_of, folder)
        seconds = time.process_time() - started
        answers = RecommenderReader.load(folder)
        record(
            "Recommendations: latency of a list",
            latency(answers),
            command=COMMAND,
            packages=("scikit-learn", "numpy"),
            note="Lists of ten with explanations, in process on one core. Candidates of a customer "
            "are scored for a location and the next day. Publishing all customers took "
            f"{seconds:.0f} CPU-seconds.",
        )
        record(
            "Recommendations: accuracy against diversity",
            diversity_tradeoff(answers.index, dataset),
            command=COMMAND,
            note=f"Lists as served, as of {as_of.date()}; `diversity` is the request's field. "
            "Distance: 0 for products of one subcategory, 1 for unrelated products. Long tail: "
            "outside the products that make up 80 % of sales. Popularity lift and price gap: "
            "listed products relative to purchased products, minus one.",
        )
        record(
            "Recommendations: posted orders",
            posted(answers, dataset),
            command=COMMAND,
            note=f"All customers as of {as_of.date()}, with all their orders before it posted.",
        )
    record(
        "Recommendations: replenishment states",
        replenishment(dataset, (as_of - timedelta(days=HORIZON_DAYS), as_of)),
        command=COMMAND,
        note="All products that a customer bought before, and the share bought again within the "
        "next seven days.",
    )


if __name__ == "__main__":
    main()
