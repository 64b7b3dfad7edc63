"""Returns in training: what is known at a cutoff, and in the window after it."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.customers.builder import customers
from features.dataset import Dataset
from training.customers.cutoffs import (
    days_to_next,
    features_at_cutoff,
    follow_up,
    orders_and_spend,
)

AS_OF = datetime(2024, 6, 1)
CUTOFF = to_day("2024-04-01")
DELAY_DAYS = 10


@pytest.fixture(scope="module")
def shop():
    """200 customers who buy every few days; half of the purchases come back ten days later."""
    rng = np.random.default_rng(0)
    customer = rng.integers(0, 200, 4000)
    day = rng.integers(to_day("2024-01-01"), to_day(AS_OF), 4000)
    sales = pl.DataFrame(
        {
            "customer_id": customer.astype(str),
            "order_id": np.arange(4000).astype(str),
            "product_id": rng.integers(0, 30, 4000).astype(str),
            "day": pl.Series(day, dtype=pl.Int32),
            "quantity": rng.integers(1, 4, 4000).astype(float),
        }
    ).with_columns(revenue=pl.col("quantity") * 5)
    returns = sales.filter(pl.int_range(pl.len()) % 2 == 0).with_columns(
        -pl.col("quantity", "revenue"),
        pl.col("day") + DELAY_DAYS,
        ("C" + pl.col("order_id")).alias("order_id"),
    )
    lines = pl.concat([sales, returns.filter(pl.col("day") < to_day(AS_OF))])
    lines = lines.with_columns(ts=pl.from_epoch("day", time_unit="d").cast(pl.Datetime("us")))
    return Dataset.from_frames("shop", {"orders": lines})


def test_features_at_a_cutoff_are_net_of_the_returns_known_then(shop):
    at_cutoff = features_at_cutoff(shop, AS_OF, CUTOFF)
    instant = customers(shop, day_start(CUTOFF)).collect().to_polars().sort("customer_id")
    assert_frame_equal(at_cutoff, instant, check_exact=True)


def test_outcomes_are_net_of_the_returns_known_at_as_of(shop):
    ids = features_at_cutoff(shop, AS_OF, CUTOFF)["customer_id"]
    end = day_start(CUTOFF + 28)
    (then, _), (later, spend) = (
        orders_and_spend(shop, as_of, CUTOFF, 28, ids) for as_of in (end, AS_OF)
    )
    visits = customers(shop, end).collect().to_polars()
    visits = ids.to_frame().join(visits, on="customer_id", how="left", maintain_order="left")
    assert np.array_equal(then, visits["visits_28"].fill_null(0).to_numpy())
    assert (later <= then).all()
    assert later.sum() < then.sum()
    assert np.array_equal(spend > 0, later > 0)
    purchased = follow_up(shop, AS_OF, CUTOFF, 28).purchased
    assert np.array_equal(purchased, later > 0)
    assert np.array_equal(
        days_to_next(shop, AS_OF, CUTOFF, ids, CUTOFF + 28).is_not_null(), purchased
    )
