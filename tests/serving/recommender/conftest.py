"""A small recommender of real households, fitted and published."""

from datetime import datetime

import polars as pl
import pytest

from serving.recommender.reader import RecommenderReader
from training.contract import model_with_options
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="session")
def journey(journey, rewritten):
    """The households; three products are out of stock everywhere, two in shop 367 only."""
    day = (AS_OF - datetime(1970, 1, 1)).days
    bought = journey.known("orders", AS_OF).to_native().drop_nulls("product_id")
    top = bought.group_by("product_id").len().collect()
    top = top.sort("len", "product_id", descending=True)["product_id"].to_list()
    shops = ["367", "406"]
    rows = [(product, shop, day - 1, 0.0) for product in top[5:8] for shop in shops]
    rows += [
        (product, shop, day - 1, 9.0 * (shop != "367")) for product in top[:2] for shop in shops
    ]
    # An older stock record, which is ignored.
    rows.append((top[5], "367", day - 9, 50.0))
    schema = {
        "product_id": pl.String,
        "location_id": pl.String,
        "day": pl.Int32,
        "on_hand": pl.Float64,
    }
    promotions = journey.table("promotions").to_native()
    near = promotions.filter(pl.col("to_day") > day - 30, pl.col("from_day") < day + 28)
    return rewritten(
        journey, stock=pl.DataFrame(rows, schema, orient="row"), promotions=near.collect()
    )


@pytest.fixture(scope="session")
def out_of_stock(journey):
    stock = journey.table("stock").to_native().collect()
    newest = stock.filter(pl.col("day") == stock["day"].max(), pl.col("on_hand") == 0)
    everywhere = (
        newest.group_by("product_id").len().filter(pl.col("len") == 2)["product_id"].to_list()
    )
    at_location = newest.filter(pl.col("location_id") == "367")["product_id"].to_list()
    return {"everywhere": set(everywhere), "367": set(at_location)}


@pytest.fixture(scope="session")
def model(journey):
    small = model_with_options(
        RecommenderModel,
        {
            "cutoffs": 1,
            "rounds": 40,
            "scored_products": 500,
            "min_data_in_leaf": 50,
        },
    )
    return small.fit(journey, AS_OF)


@pytest.fixture(scope="session")
def answers(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recommender")
    publish(model, journey, AS_OF, folder)
    return RecommenderReader.load(folder)


@pytest.fixture(scope="session")
def lists(model, journey):
    return model.predict(journey, AS_OF)


@pytest.fixture(scope="session")
def customers(answers):
    return answers.index.customer_ids


@pytest.fixture(scope="session")
def bought(journey):
    orders = journey.known("orders", AS_OF).to_native()
    rows = orders.select("customer_id", "product_id").unique().collect()
    return {
        customer: set(products["product_id"])
        for (customer,), products in rows.group_by("customer_id")
    }
