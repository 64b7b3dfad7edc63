"""Degenerate shops: every model answers or says what is missing, and its baselines are judged."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import foresell
from features.dataset import Dataset
from features.errors import MissingData
from training.backtest import FORESELL, evaluate
from training.registry import TASKS

START = datetime(2023, 1, 2, 10)
CATALOGUE = pl.DataFrame({"product_id": list("abcd"), "category": ["x", "y", "x", "z"]})


def visit(customer: int, day: int, products: str, revenue: float = 5.0) -> list[tuple]:
    order = f"{customer}-{day}"
    when = START + timedelta(days=day)
    return [
        (f"c{customer}", order, line, product, when, 1.0, revenue, "sale")
        for line, product in enumerate(products)
    ]


def shop(lines: list[tuple]) -> Dataset:
    names = ["customer_id", "order_id", "line", "product_id", "ts", "quantity", "revenue", "kind"]
    orders = pl.DataFrame(lines, names, orient="row", schema_overrides={"customer_id": pl.String})
    return Dataset.from_frames("shop", {"orders": orders, "products": CATALOGUE})


def regular(customers: int, products: str = "abcd", **options) -> list[tuple]:
    """Visits every week on the customer's weekday, of two products."""
    return [
        line
        for customer in range(customers)
        for week in range(26)
        for line in visit(
            customer, 7 * week + customer % 7, products[customer % 3 :][:2], **options
        )
    ]


SHOPS = {
    "one customer": lambda: regular(1),
    "one product": lambda: regular(20, "aaaa"),
    "one day": lambda: [line for customer in range(20) for line in visit(customer, 0, "ab")],
    "nobody returns": lambda: [
        line
        for customer in range(90)
        for line in visit(customer, 2 * customer, "abcd"[customer % 4])
    ],
    "constant sales": lambda: regular(20),
    "all free": lambda: regular(20, revenue=0.0),
    "one huge order": lambda: regular(20) + visit(3, 100, "a", revenue=5e6),
    "all anonymous": lambda: [(None, *line[1:]) for line in regular(20)],
}


@pytest.fixture(scope="module", params=SHOPS)
def degenerate(request) -> Dataset:
    return shop(SHOPS[request.param]())


@pytest.mark.parametrize("name", TASKS)
def test_every_model_answers_or_says_what_is_missing(name, degenerate, quick):
    try:
        model = foresell.train(name, degenerate, **quick.get(name, {}))
    except MissingData:
        return
    answers = model.predict(degenerate, degenerate.end)
    for column, kind in answers.schema.items():
        if kind.is_float():
            values = answers.get_column(column).drop_nulls().to_numpy()
            assert np.isfinite(values).all(), column
            if "probability" in column or column.startswith("p_within"):
                assert ((values >= 0) & (values <= 1)).all(), column
    for low, high in (("q10", "q50"), ("q50", "q90")):
        if {low, high} <= set(answers.columns):
            assert (answers.get_column(low) <= answers.get_column(high)).all()


def test_a_regression_that_does_not_converge_is_left_out_of_the_backtest():
    task, dataset = TASKS["next-purchase"], shop(SHOPS["constant sales"]())
    report = evaluate(task, dataset, 1)
    methods = set(report.summary().get_column("method"))
    assert methods >= {FORESELL, "kaplan_meier"}
    assert "cox" not in methods
