"""Time per list, accuracy by diversity, posted orders, and calibration of replenishment.

Fits the recommender on the bundled data four weeks before its end, publishes it and requests lists
in process on one core. Compares lists at several settings of `diversity`, and lists from posted
orders, with later purchases; and replenishment states at two cutoffs with later purchases.

Run: python benchmarks/recommender_lists.py
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from results import record

import foresell
from features.dataset import Dataset
from features.interactions.builder import next_baskets
from serving.recommender.diversity_tradeoff import diversity_tradeoff
from serving.recommender.posted_history import read
from serving.recommender.query import LISTS, Filters, ListQuery
from serving.recommender.reader import RecommenderAnswers
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
COMMAND = "python benchmarks/recommender_lists.py"


def milliseconds(ask: Callable[[str], object], customer_ids: Sequence[str]) -> tuple[float, float]:
    """Return median and 95th percentile of the processor time of one request."""
    for one in customer_ids[:20]:
        ask(one)
    times = []
    for one in customer_ids:
        started = time.thread_time()
        ask(one)
        times.append(1e3 * (time.thread_time() - started))
    return float(np.quantile(times, 0.5)), float(np.quantile(times, 0.95))


def speed(answers: RecommenderAnswers) -> pl.DataFrame:
    """Time every list, with and without a history or a ranker."""
    index = answers.index
    step = max(len(index.customer_ids) // REQUESTS, 1)
    known = index.customer_ids[::step][:REQUESTS]
    location = index.popular.locations[0].decode() if len(index.popular.locations) else None
    basket = [index.catalogue.ids[code] for code in index.association.partner[:3].tolist()]
    tomorrow = index.candidates.as_of + timedelta(days=1)
    cases = {
        name: (known, ListQuery(list_name=name, at=tomorrow, filters=Filters(location_id=location)))
        for name in LISTS
    }
    cases["for_you, varied, a basket in hand"] = (
        known,
        ListQuery(diversity=0.3, basket_product_ids=basket, filters=Filters(location_id=location)),
    )
    cases["unknown customer, a basket in hand"] = (
        ["nobody"] * REQUESTS,
        ListQuery(basket_product_ids=basket),
    )
    rows = []
    for name, (customers, query) in cases.items():
        median, late = milliseconds(
            lambda one, query=query: answers.answer([one], 10, [], query), customers
        )
        rows.append((name, median, late))
    store = index.candidates
    unranked = replace(store, about=replace(store.about, lists=()))
    fallback = RecommenderAnswers(replace(index, candidates=unranked))
    rows.append(("no ranker", *milliseconds(lambda one: fallback.answer([one]), known)))
    nobody = ["nobody"] * REQUESTS
    rows.append(("unknown customer", *milliseconds(lambda one: answers.answer([one]), nobody)))
    for name, ask in (
        ("similar", lambda one: answers.similar([one], 10, Filters())),
        ("bought together", lambda one: answers.bought_together([one], 10, Filters())),
        ("customers_for_product", lambda one: answers.customers_for([one], 100)),
    ):
        products = [index.catalogue.ids[code] for code in index.popular.top[-1].tolist()]
        rows.append((name, *milliseconds(ask, products)))
    return pl.DataFrame(rows, ["list", "p50, CPU ms", "p95, CPU ms"], orient="row")


def replenishment(dataset: Dataset, cutoffs: Sequence[datetime], days: int = 7) -> pl.DataFrame:
    """Compare replenishment states with purchases within some days, by state."""
    rows = []
    for cutoff in cutoffs:
        known = interactions_at(dataset, cutoff)
        catalogue = Catalogue.build(dataset, cutoff)
        codes = [catalogue.codes[one] for one in known.products]
        pairs = known.features
        status = ReplenishmentCurve.fit(dataset, cutoff, catalogue).status(
            pairs["baskets"],
            pairs["recency_days"],
            pairs["gap_mean"],
            catalogue.gap[codes][known.cols],
            days,
        )
        after = next_baskets(dataset, cutoff, days).collect().to_polars()
        who = known.customer_codes(after.get_column("customer_id"))
        what = find_sorted(known.products, after.get_column("product_id").to_numpy().astype(str))
        at = known.find(who[(who >= 0) & (what >= 0)], what[(who >= 0) & (what >= 0)])
        bought = np.zeros(len(known.cols), bool)
        bought[at[at >= 0]] = True
        for state in (DUE, SOON, NOT_YET, LAPSED):
            rows_of_state = status.states == state
            rows.append(
                {
                    "as of": str(cutoff.date()),
                    "state": state,
                    "customers x products": int(rows_of_state.sum()),
                    "predicted probability": float(status.probability[rows_of_state].mean()),
                    "share bought": float(bought[rows_of_state].mean()),
                }
            )
    return pl.DataFrame(rows)


def posted(answers: RecommenderAnswers, dataset: Dataset) -> pl.DataFrame:
    """Compare lists from posted orders with those of the same customers by id."""
    as_of, options = answers.index.candidates.as_of, {"horizon_days": HORIZON_DAYS}
    orders = dataset.known("orders", as_of).collect().to_polars().drop_nulls("customer_id")
    known = read(orders, as_of)
    rows = []
    for name, answer in (
        ("by id", lambda request, one: request.answer(one)),
        ("posted orders", lambda request, one: request.answer_posted(one, known.get(one))),
        ("no orders", lambda request, one: request.answer_posted(one, None)),
    ):
        row: dict[str, object] = {"customers": name}
        for list_name, names in (
            ("for_you", ("ndcg_10", "recall_10")),
            ("new_to_you", ("explore_precision_10", "explore_hit_rate_10")),
        ):
            request = ListRequest(
                answers.index, ListQuery(list_name=list_name, k=10, allow_adjacent_category=True)
            )
            places = [
                (one, item["rank"], item["product_id"], -float(item["rank"]))
                for one in answers.index.customer_ids
                for item in answer(request, one)["items"]
            ]
            frame = pl.DataFrame(
                places, ["customer_id", "rank", "product_id", "explore"], orient="row"
            )
            metrics = customer_metrics(dataset, as_of, options, frame)
            row |= {name: float(np.nanmean(metrics[name])) for name in names}
        rows.append(row)
    return pl.DataFrame(rows)


def main() -> None:
    """Measure and record."""
    dataset = foresell.load()
    as_of = dataset.end - timedelta(days=HORIZON_DAYS)
    model = RecommenderModel(horizon_days=HORIZON_DAYS).fit(dataset, as_of)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fresh = foresell.load()
        started = time.process_time()
        publish(model, fresh, as_of, folder)
        publishing = time.process_time() - started
        answers = RecommenderAnswers.load(folder)
        record(
            "Recommendations: a list at request time",
            speed(answers),
            command=COMMAND,
            packages=("lightgbm", "numpy"),
            note=f"Lists of ten with explanations, in process on one core; a customer's candidates "
            f"are scored for a location and the next day. Publishing all customers took "
            f"{publishing:.0f} CPU-seconds.",
        )
        record(
            "Recommendations: accuracy against diversity",
            diversity_tradeoff(answers.index, dataset),
            command=COMMAND,
            note=f"Lists as served, as of {as_of.date()}; `diversity` is the request's field. "
            "Distance: 0 for products of one subcategory, 1 for unrelated products. Long tail: "
            "outside the products that make up 80 % of sales. Popularity lift and price gap: "
            "of listed products relative to purchases, minus one.",
        )
        record(
            "Recommendations: posted orders",
            posted(answers, dataset),
            command=COMMAND,
            note=f"All customers as of {as_of.date()}, with their orders posted.",
        )
    record(
        "Recommendations: replenishment states",
        replenishment(dataset, (as_of - timedelta(days=HORIZON_DAYS), as_of)),
        command=COMMAND,
        note="Products that a customer bought before, and whether they were bought within the "
        "next seven days.",
    )


if __name__ == "__main__":
    main()
