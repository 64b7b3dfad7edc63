"""Lists of the baselines, and their order by accuracy on real households."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from training.models.recommender.baselines import COLUMNS, tifu_knn
from training.models.recommender.candidates import inputs_at
from training.models.recommender.inputs.interactions import find_sorted, interactions_at
from training.models.recommender.recommendations import SCHEMA
from training.models.recommender.task import RECOMMENDER, evaluate

AS_OF = datetime(2017, 11, 6)
OPTIONS = {"horizon_days": 28}


@pytest.fixture(scope="module")
def ids(journey):
    return RECOMMENDER.population(journey, AS_OF, OPTIONS)


@pytest.fixture(scope="module")
def answers(journey, ids):
    return {
        name: baseline(**OPTIONS).fit(journey, AS_OF).predict(journey, AS_OF, ids)
        for name, baseline in RECOMMENDER.baselines.items()
    }


@pytest.fixture(scope="module")
def ndcg(journey, answers):
    def primary(frame):
        scores = evaluate(journey, AS_OF, OPTIONS, frame)
        return next(s.value for s in scores if (s.slice, s.metric) == ("all", "ndcg_10"))

    return {name: primary(frame) for name, frame in answers.items()}


@pytest.mark.parametrize("name", list(RECOMMENDER.baselines))
def test_lists_are_ranked_and_products_are_distinct(answers, name):
    frame = answers[name]
    assert frame.schema == {column: SCHEMA[column] for column in frame.columns}
    assert frame.columns == COLUMNS
    assert frame.select("customer_id", "product_id").is_duplicated().sum() == 0
    steps = frame.sort("customer_id", "rank").select(
        pl.col("score").diff().over("customer_id").max()
    )
    assert steps.item() <= 0


@pytest.mark.parametrize("name", list(RECOMMENDER.baselines))
def test_the_same_input_gives_the_same_lists(journey, ids, answers, name):
    again = RECOMMENDER.baselines[name](**OPTIONS).fit(journey, AS_OF)
    assert_frame_equal(again.predict(journey, AS_OF, ids), answers[name], check_exact=True)


def test_popularity_ranks_by_baskets_of_28_days(journey, answers):
    orders = journey.known("orders", AS_OF).to_native()
    day = (AS_OF - datetime(1970, 1, 1)).days
    sold = (
        orders.filter(pl.col("day") >= day - 28, pl.col("product_id").is_not_null())
        .group_by("product_id")
        .agg(pl.struct("customer_id", "order_id").n_unique().alias("baskets"))
    )
    top = sold.collect().get_column("baskets").sort(descending=True).head(20)
    shown = answers["popularity"].filter(pl.col("customer_id") == "1", pl.col("rank") <= 20)
    baskets = shown.join(sold.collect(), on="product_id", maintain_order="left")
    assert baskets.get_column("baskets").to_list() == top.to_list()


def test_decayed_frequency_ranks_by_the_customers_own_baskets(journey, ids, answers):
    interactions = interactions_at(journey, AS_OF)
    customer = ids.get_column("customer_id")[7]
    row = interactions.customer_codes(pl.Series([customer]))[0]
    most = np.sort(interactions.features["decay_basket"][interactions.rows == row])[::-1][:20]
    shown = answers["decayed_frequency"].filter(
        pl.col("customer_id") == customer, pl.col("rank") <= 20
    )
    assert shown.get_column("score").to_numpy() == pytest.approx(most, abs=1e-5)


def test_a_customer_is_not_their_own_neighbour(journey):
    inputs = inputs_at(journey, AS_OF)
    customers = np.arange(inputs.interactions.shape[0])
    own = tifu_knn(inputs, k=1, alpha=1.0)(customers)
    expected = (own.sum(axis=0) - own) / (len(customers) - 1)
    neighbours = tifu_knn(inputs, k=len(customers) - 1, alpha=0.0)
    assert neighbours(customers) == pytest.approx(expected, abs=1e-5)


def test_collaborative_methods_include_repeat_purchases(journey, answers):
    interactions = interactions_at(journey, AS_OF)
    for name in ("item_knn", "tifu_knn"):
        shown = answers[name].filter(pl.col("rank") <= 20)
        rows = interactions.customer_codes(shown.get_column("customer_id"))
        cols = find_sorted(
            interactions.products, shown.get_column("product_id").to_numpy().astype(str)
        )
        assert (interactions.find(rows, cols) >= 0).mean() > 0.1


def test_decayed_frequency_beats_popularity_and_item_neighbours(ndcg):
    assert ndcg["decayed_frequency"] > 1.5 * ndcg["popularity"]
    assert ndcg["decayed_frequency"] > 1.2 * ndcg["item_knn"]
