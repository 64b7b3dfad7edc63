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


def shop(lines: list[tuple], **tables: pl.DataFrame) -> Dataset:
    names = ["customer_id", "order_id", "line", "product_id", "ts", "quantity", "revenue", "kind"]
    orders = pl.DataFrame(lines, names, orient="row", schema_overrides={"customer_id": pl.String})
    return Dataset.from_frames("shop", {"orders": orders, "products": CATALOGUE, **tables})


def returned(lines: list[tuple]) -> list[tuple]:
    """Return the lines of the returns of purchases, which all come back the next day."""
    return [
        (who, order, 9 + line, product, when + timedelta(days=1), -quantity, -revenue, "return")
        for who, order, line, product, when, quantity, revenue, _ in lines
    ]


def promoted() -> pl.DataFrame:
    """Promotions of all products on all days."""
    first, last = START.date(), START.date() + timedelta(days=200)
    return CATALOGUE.select("product_id", from_day=first, to_day=last, kind=pl.lit("display"))


def sales() -> pl.DataFrame:
    """Daily sales of two products, for those who have no order lines."""
    days = pl.date_range(START.date(), START.date() + timedelta(days=180), eager=True)
    products = pl.DataFrame({"product_id": ["a", "b"], "quantity": [3.0, 5.0]})
    return days.alias("day").to_frame().join(products, how="cross")


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
    "one customer": lambda: shop(regular(1)),
    "one product": lambda: shop(regular(20, "aaaa")),
    "one day": lambda: shop([line for customer in range(20) for line in visit(customer, 0, "ab")]),
    "nobody returns": lambda: shop(
        [line for number in range(90) for line in visit(number, 2 * number, "abcd"[number % 4])]
    ),
    "everything returned": lambda: shop(regular(20) + returned(regular(20))),
    "everything promoted": lambda: shop(regular(20), promotions=promoted()),
    "constant sales": lambda: shop(regular(20)),
    "all free": lambda: shop(regular(20, revenue=0.0)),
    "one huge order": lambda: shop(regular(20) + visit(3, 100, "a", revenue=5e6)),
    "all anonymous": lambda: shop([(None, *line[1:]) for line in regular(20)]),
    "sales alone": lambda: Dataset.from_frames("shop", {"sales": sales()}),
}


@pytest.fixture(scope="module", params=SHOPS)
def degenerate(request) -> Dataset:
    return SHOPS[request.param]()


@pytest.mark.parametrize("name", TASKS)
def test_every_model_answers_or_says_what_is_missing(name, degenerate, quick, tmp_path):
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
    TASKS[name].publish(model, degenerate, degenerate.end, tmp_path)
    assert any(tmp_path.iterdir())


def test_a_regression_that_does_not_converge_is_left_out_of_the_backtest():
    task, dataset = TASKS["next-purchase"], SHOPS["constant sales"]()
    report = evaluate(task, dataset, 1)
    methods = set(report.summary().get_column("method"))
    assert methods >= {FORESELL, "kaplan_meier"}
    assert "cox" not in methods
