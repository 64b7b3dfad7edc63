"""Functions of the days since a purchase, learnt from generated customers; no look ahead."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from training.models.recommender.candidates import inputs_at
from training.models.recommender.time_aware_weighting import (
    Purchases,
    Weighting,
    time_aware_weights,
)

AS_OF = datetime(2017, 10, 9)
REGULAR, SHORT = 0, 1


@pytest.fixture(scope="module")
def weighting():
    """Each customer buys one product every four weeks, and in between another for a few days."""
    rng = np.random.default_rng(0)
    rows, cols, days = [], [], []
    for customer in range(2_000):
        regular = np.arange(rng.integers(1, 28), 170, 28)
        begin = rng.integers(0, 160)
        daily = np.arange(begin, begin + rng.geometric(0.3))
        last = rng.integers(100, 170)
        kept = [times[times <= last] for times in (regular, daily)]
        rows += [customer] * sum(map(len, kept))
        cols += [REGULAR] * len(kept[0]) + [SHORT] * len(kept[1])
        days += [*kept[0], *kept[1]]
    return Weighting.fit(Purchases(np.array(rows), np.array(cols), np.array(days)), products=2)


def weight(weighting, product, age):
    return float(weighting.weights(np.array([product]), np.array([float(age)]))[0])


def test_a_product_of_short_runs_loses_weight_faster_than_a_regular_one(weighting):
    fall = {
        product: weight(weighting, product, 28) / weight(weighting, product, 1)
        for product in (REGULAR, SHORT)
    }
    assert fall[SHORT] < 0.5 * fall[REGULAR]


def test_weights_are_positive_at_all_ages(weighting):
    ages = np.arange(0.0, 400.0)
    for product in (REGULAR, SHORT):
        assert (weighting.weights(np.full(400, product), ages) > 0).all()


def test_customers_with_a_single_day_of_purchase_leave_the_shared_functions(weighting):
    once = Purchases(np.arange(5), np.zeros(5, np.int64), np.arange(5))
    assert np.isfinite(Weighting.fit(once, products=2).parameters).all()


def test_later_orders_do_not_change_the_weights(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    later = orders.sample(2_000, seed=1).with_columns(
        pl.lit(AS_OF).cast(pl.Datetime("us")).alias("ts"),
        pl.lit(to_day(AS_OF), pl.Int32).alias("day"),
        (pl.col("order_id") + "x").alias("order_id"),
    )
    other = rewritten(journey, orders=pl.concat([orders, later]))
    before, after = (time_aware_weights(inputs_at(data, AS_OF)) for data in (journey, other))
    assert np.array_equal(before.toarray(), after.toarray())
