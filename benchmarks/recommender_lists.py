"""Milliseconds of a list at request time, what diversity costs, and whether clocks tell the truth.

Fits the recommender on the bundled data four weeks before its end, publishes it, asks the
published version as a service does, in process on one core, and lays its lists at several
settings of `diversity` beside what was bought; the same for customers who post their own orders.
What was due, came soon or not yet is counted at two cuts beside what was bought then.

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
ASKED = 500
COMMAND = "python benchmarks/recommender_lists.py"


def milliseconds(ask: Callable[[str], object], customer_ids: Sequence[str]) -> tuple[float, float]:
    """Median and 95th percentile of the processor time of one question."""
    for one in customer_ids[:20]:
        ask(one)
    times = []
    for one in customer_ids:
        started = time.thread_time()
        ask(one)
        times.append(1e3 * (time.thread_time() - started))
    return float(np.quantile(times, 0.5)), float(np.quantile(times, 0.95))


def speed(answers: RecommenderAnswers) -> pl.DataFrame:
    """Time every kind of list, and what stands in where there is no history."""
    shelf = answers.shelf
    step = max(len(shelf.customer_ids) // ASKED, 1)
    known = shelf.customer_ids[::step][:ASKED]
    place = shelf.popular.locations[0].decode() if len(shelf.popular.locations) else None
    basket = [shelf.catalogue.ids[code] for code in shelf.association.partner[:3].tolist()]
    tomorrow = shelf.ranked.as_of + timedelta(days=1)
    cases = {
        kind: (known, ListQuery(list_name=kind, at=tomorrow, filters=Filters(location_id=place)))
        for kind in LISTS
    }
    cases["for_you, varied, a basket in hand"] = (
        known,
        ListQuery(diversity=0.3, basket_product_ids=basket, filters=Filters(location_id=place)),
    )
    cases["unknown customer, a basket in hand"] = (
        ["nobody"] * ASKED,
        ListQuery(basket_product_ids=basket),
    )
    rows = []
    for name, (customers, wish) in cases.items():
        median, late = milliseconds(
            lambda one, wish=wish: answers.answer([one], 10, [], wish), customers
        )
        rows.append((name, median, late))
    ranked = replace(shelf.ranked, about={**shelf.ranked.about, "kinds": []})
    habits = RecommenderAnswers(replace(shelf, ranked=ranked))
    rows.append(("own habits, no ranker", *milliseconds(lambda one: habits.answer([one]), known)))
    nobody = ["nobody"] * ASKED
    rows.append(("unknown customer", *milliseconds(lambda one: answers.answer([one]), nobody)))
    for name, ask in (
        ("similar", lambda one: answers.similar([one], 10, Filters())),
        ("basket", lambda one: answers.together([one], 10, Filters())),
        ("customers_for_product", lambda one: answers.customers_for([one], 100)),
    ):
        products = [shelf.catalogue.ids[code] for code in shelf.popular.top[-1].tolist()]
        rows.append((name, *milliseconds(ask, products)))
    return pl.DataFrame(rows, ["list", "p50, CPU ms", "p95, CPU ms"], orient="row")


def clocks(dataset: Dataset, cuts: Sequence[datetime], days: int = 7) -> pl.DataFrame:
    """Count what was bought within some days of what was due then, and of what was not."""
    rows = []
    for cut in cuts:
        known = interactions_at(dataset, cut)
        catalogue = Catalogue.build(dataset, cut)
        codes = [catalogue.codes[one] for one in known.products]
        pairs = known.features
        clock = ReplenishmentCurve.learn(dataset, cut, catalogue).at(
            pairs["baskets"],
            pairs["recency_days"],
            pairs["gap_mean"],
            catalogue.gap[codes][known.cols],
            days,
        )
        after = next_baskets(dataset, cut, days).collect().to_polars()
        who = known.customer_codes(after.get_column("customer_id"))
        what = find_sorted(known.products, after.get_column("product_id").to_numpy().astype(str))
        at = known.find(who[(who >= 0) & (what >= 0)], what[(who >= 0) & (what >= 0)])
        bought = np.zeros(len(known.cols), bool)
        bought[at[at >= 0]] = True
        for state in (DUE, SOON, NOT_YET, LAPSED):
            of = clock.states == state
            rows.append(
                {
                    "as of": str(cut.date()),
                    "state": state,
                    "customers x products": int(of.sum()),
                    "chance that was told": float(clock.chance[of].mean()),
                    "share that was bought": float(bought[of].mean()),
                }
            )
    return pl.DataFrame(rows)


def posted(answers: RecommenderAnswers, dataset: Dataset) -> pl.DataFrame:
    """Lay lists of customers who post their own orders beside those of the same by their id."""
    as_of, options = answers.shelf.ranked.as_of, {"horizon_days": HORIZON_DAYS}
    orders = dataset.known("orders", as_of).collect().to_polars().drop_nulls("customer_id")
    known = read(orders, as_of)
    rows = []
    for name, of in (
        ("by id", lambda request, one: request.answer(one)),
        ("own orders posted", lambda request, one: request.answer_posted(one, known.get(one))),
        ("nothing known", lambda request, one: request.answer_posted(one, None)),
    ):
        found: dict[str, object] = {"customers": name}
        for kind, names in (
            ("for_you", ("ndcg_10", "recall_10")),
            ("new_to_you", ("explore_precision_10", "explore_hit_rate_10")),
        ):
            request = ListRequest(
                answers.shelf, ListQuery(list_name=kind, k=10, allow_adjacent_category=True)
            )
            places = [
                (one, item["rank"], item["product_id"], -float(item["rank"]))
                for one in answers.shelf.customer_ids
                for item in of(request, one)["items"]
            ]
            frame = pl.DataFrame(
                places, ["customer_id", "rank", "product_id", "explore"], orient="row"
            )
            list_metrics = customer_metrics(dataset, as_of, options, frame)
            found |= {name: float(np.nanmean(list_metrics[name])) for name in names}
        rows.append(found)
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
            note=f"Lists of ten with reasons, in process on one core; a customer's candidates "
            f"are ranked anew for the place and the next day. Publishing all customers took "
            f"{publishing:.0f} CPU-seconds.",
        )
        record(
            "Recommendations: accuracy against diversity",
            diversity_tradeoff(answers.shelf, dataset),
            command=COMMAND,
            note=f"Lists as served, as of {as_of.date()}; `diversity` is the request's field. "
            "Distance: 0 for products of one kind throughout, 1 for none alike. Long tail: "
            "outside the products that make up 80 % of sales. Popularity lift and price gap: "
            "what is shown over what the customer buys, less one.",
        )
        record(
            "Recommendations: customers who post their own orders",
            posted(answers, dataset),
            command=COMMAND,
            note=f"All customers as of {as_of.date()}, who post what the records hold of them.",
        )
    record(
        "Recommendations: what is due, soon and not yet",
        clocks(dataset, (as_of - timedelta(days=HORIZON_DAYS), as_of)),
        command=COMMAND,
        note="Every product that a customer bought before, and whether it was bought within the "
        "seven days after.",
    )


if __name__ == "__main__":
    main()
