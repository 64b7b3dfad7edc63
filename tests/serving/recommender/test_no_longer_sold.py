"""Products that are gone or out of stock, in a generated shop whose stock lags a day behind."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from serving.recommender.query import LISTS, Filters, ListQuery
from serving.recommender.reader import RecommenderReader
from training.contract import model_with_options
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

AS_OF = datetime(2025, 1, 15)
DAYS, CUSTOMERS = 380, 60
# Bestsellers: OLD was last sold 200 days ago, OUT ran out of stock a week ago.
OLD, OUT = "OLD", "OUT"
PRODUCTS = [f"p{i:02}" for i in range(16)]


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(15)
    rows = []
    for customer in range(CUSTOMERS):
        usual = rng.choice(PRODUCTS, 6, replace=False)
        age = DAYS - rng.uniform(0, 14)
        while age > 0:
            basket = set(rng.choice(usual, rng.integers(1, 4), replace=False).tolist())
            basket |= {OLD} if age > 200 and rng.random() < 0.6 else set()
            basket |= {OUT} if age > 7 and rng.random() < 0.5 else set()
            rows += [(f"c{customer}", f"{customer}-{age:.0f}", product, age) for product in basket]
            age -= max(1.0, rng.normal(10, 3))
    orders = pl.DataFrame(
        rows, ["customer_id", "order_id", "product_id", "age"], orient="row"
    ).with_columns(
        ts=pl.lit(AS_OF) - pl.duration(hours=pl.col("age") * 24),
        quantity=1.0,
        kind=pl.lit("sale"),
        line=pl.int_range(pl.len(), dtype=pl.Int32),
    )
    names = [*PRODUCTS, OLD, OUT]
    catalogue = {"product_id": names, "category": [f"k{i % 4}" for i in range(len(names))]}
    age = pl.col("age")
    stock = pl.DataFrame({"product_id": [*PRODUCTS, OUT]}).join(
        pl.DataFrame({"age": range(2, 31)}), how="cross"
    )
    stock = stock.select(
        "product_id",
        day=(to_day(AS_OF) - age).cast(pl.Int32),
        on_hand=pl.when((age <= 7) & (pl.col("product_id") == OUT)).then(0.0).otherwise(50.0),
        location_id=pl.lit("one"),
    )
    frames = {"orders": orders.drop("age"), "products": pl.DataFrame(catalogue), "stock": stock}
    return Dataset.from_frames("shop", frames)


@pytest.fixture(scope="module")
def model(dataset):
    options = {"cutoffs": 2, "rounds": 10, "min_data_in_leaf": 20}
    return model_with_options(RecommenderModel, options).fit(dataset, AS_OF)


@pytest.fixture(scope="module")
def answers(model, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gone")
    publish(model, dataset, AS_OF, folder)
    return RecommenderReader.load(folder)


def products(answer):
    return {item["product_id"] for item in answer["items"]}


@pytest.mark.parametrize("list_name", LISTS)
def test_no_list_holds_what_is_gone_or_out_of_stock(answers, list_name):
    query = ListQuery(list_name=list_name)
    found = answers.answer([*answers.index.customer_ids, "nobody"], 100, [], query)
    assert sum(len(answer["items"]) for answer in found) > 100
    assert not any(products(answer) & {OLD, OUT} for answer in found)


def test_no_item_to_item_list_holds_what_is_gone_or_out_of_stock(answers):
    every = [*PRODUCTS, OLD, OUT]
    found = answers.similar(every, 100, Filters())
    found += [row for p in every for row in answers.bought_together([p], 100, Filters())]
    assert all(answer["items"] for answer in found[: len(every)])
    assert not any(products(answer) & {OLD, OUT} for answer in found)


def test_predictions_leave_out_discontinued_products(model, dataset):
    ids = pl.DataFrame({"customer_id": ["c0", "c1", "nobody"]})
    assert OLD not in model.predict(dataset, AS_OF, ids).get_column("product_id")


def test_a_posted_history_does_not_bring_a_discontinued_product_back(answers):
    orders = [{"ts": "2024-06-20", "product_id": product} for product in (OLD, "p01")]
    (answer,) = answers.posted([{"orders": orders}], 100)
    assert "p01" in products(answer)
    assert OLD not in products(answer)


def test_nobody_is_likely_to_buy_a_discontinued_product(answers):
    gone, sold = answers.customers_for([OLD, "p01"], 10)
    assert (gone["basis"], gone["customers"]) == ("discontinued", [])
    assert sold["basis"] == "history"


def test_a_discontinued_product_is_shown_if_it_is_asked_for(answers):
    (pinned,) = answers.answer(["c0"], 5, [], ListQuery(pinned={2: OLD}))
    assert pinned["items"][1]["product_id"] == OLD
    (given,) = answers.rerank(["c0"], ["p01", OLD, "p02"], ListQuery())
    assert products(given) == {"p01", OLD, "p02"}


def test_sentences_are_true_at_the_instant(answers, dataset):
    orders = dataset.table("orders").to_native().collect()
    days = orders.with_columns(age=to_day(AS_OF) - pl.col("day"))
    last = days.group_by("customer_id", "product_id").agg(pl.col("age").min())
    ages = {(customer, product): age for customer, product, age in last.iter_rows()}
    recent = set(days.filter(pl.col("age") <= 28).get_column("product_id"))
    habits = 0
    for answer in answers.answer(answers.index.customer_ids, 20):
        for item in answer["items"]:
            for sentence in item["explanations"]:
                if sentence.startswith("you buy this every"):
                    _, _, gap, unit = sentence.rsplit(maxsplit=3)
                    usual = float(gap) * (7 if unit == "weeks" else 1)
                    assert ages[answer["customer_id"], item["product_id"]] <= 2 * (usual + 4)
                    habits += 1
                if sentence.startswith("popular"):
                    assert item["product_id"] in recent
    assert habits > 50
