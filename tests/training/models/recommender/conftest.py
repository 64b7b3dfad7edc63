"""A small recommender of real households, for tests of its model, task and metrics."""

from datetime import datetime

import polars as pl
import pytest

from training.contract import model_with_options
from training.models.recommender.model import RecommenderModel

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="package")
def households(journey, rewritten):
    """The households with the promotions that the training cutoff can see."""
    day = (AS_OF - datetime(1970, 1, 1)).days
    near = (
        journey.table("promotions")
        .to_native()
        .filter(pl.col("to_day") > day - 50, pl.col("from_day") < day + 28)
    )
    sold = journey.table("orders").to_native().select("product_id").unique()
    return rewritten(journey, promotions=near.join(sold, on="product_id", how="semi").collect())


@pytest.fixture(scope="package")
def options():
    return {"horizon_days": 28}


@pytest.fixture(scope="package")
def small(options):
    """Options of a small model: two cutoffs, few trees and products."""
    return options | {
        "cutoffs": 2,
        "rounds": 60,
        "scored_products": 800,
        "min_data_in_leaf": 50,
    }


@pytest.fixture(scope="package")
def model(households, small):
    return model_with_options(RecommenderModel, small).fit(households, AS_OF)


@pytest.fixture(scope="package")
def recommendations(model, households):
    return model.predict(households, AS_OF)
