"""Inputs of candidate generators: real households, and small datasets made of order lines."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.models.recommender.candidates import RecommenderInputs
from training.models.recommender.inputs.interactions import interactions_at

AS_OF = datetime(2017, 10, 9)


@pytest.fixture(scope="session")
def interactions(journey):
    return interactions_at(journey, AS_OF)


@pytest.fixture(scope="session")
def inputs(journey, interactions):
    return RecommenderInputs.build(journey, AS_OF, interactions)


@pytest.fixture(scope="session")
def cols(interactions):
    return np.sort(interactions.most_popular(400))


@pytest.fixture(scope="session")
def dataset_of():
    """Return datasets of order lines and a catalogue of categories by product."""

    def build(rows: list[tuple[str, str, str, str, str]], categories: dict[str, str]) -> Dataset:
        schema = ["customer_id", "order_id", "product_id", "ts", "location_id"]
        orders = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.col("ts").str.to_datetime("%Y-%m-%d", time_unit="us"),
            pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
            pl.lit("sale").alias("kind"),
            pl.lit(1.0).alias("quantity"),
        )
        orders = orders.with_columns(pl.col("ts").dt.date().cast(pl.Int32).alias("day"))
        catalogue = pl.DataFrame(
            {"product_id": list(categories), "category": list(categories.values())}
        )
        return Dataset.from_frames("made", {"orders": orders, "products": catalogue})

    return build


@pytest.fixture(scope="session")
def two_locations(dataset_of) -> RecommenderInputs:
    """One customer buys milk in the north, one tea and coffee, and new cheese, in the south."""
    rows = [
        (customer, f"{customer}{week}", product, f"2017-09-{4 + 7 * week:02d}", location)
        for customer, product, location in (
            ("a", "milk", "north"),
            ("b", "tea", "south"),
            ("b", "coffee", "south"),
        )
        for week in range(4)
    ]
    rows.append(("b", "n", "cheese", "2017-10-02", "south"))
    categories = {"milk": "dairy", "cheese": "dairy", "tea": "drinks", "coffee": "drinks"}
    return inputs_of(dataset_of(rows, categories))


def inputs_of(dataset: Dataset) -> RecommenderInputs:
    return RecommenderInputs.build(dataset, AS_OF, interactions_at(dataset, AS_OF))


@pytest.fixture(scope="session")
def candidates_of():
    """Return the ids of a customer's first three candidates by a generator."""

    def candidates(generator, inputs: RecommenderInputs, customer: str) -> list[str]:
        interactions = inputs.interactions
        row = interactions.customer_codes(pl.Series([customer]))
        fitted = generator.fit(inputs, np.arange(interactions.shape[1]))
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        _, products = fitted.scores(row).top(3, nothing)
        return interactions.products[products].tolist()

    return candidates
