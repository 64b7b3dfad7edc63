"""The promotion plan: shares of days and locations, uplift, and how far it looks ahead."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.models.recommender.inputs.interactions import build_interactions
from training.models.recommender.inputs.locations import CustomerLocations
from training.models.recommender.inputs.promotions import (
    MAX_AHEAD_DAYS,
    PromotionPeriods,
    PromotionPlan,
)

AS_OF = datetime(2017, 11, 6)


@pytest.fixture
def plan():
    """Product 1 is on display for a week at location 0, and for one more day at location 1."""
    products = 2
    periods = PromotionPeriods.build(
        np.array([0 * products + 1, 1 * products + 1]),
        np.array([100, 90]),
        np.array([107, 101]),
        np.array([2.0, 1.0], np.float32),
        2,
        products,
    )
    return PromotionPlan({"display": periods}, 2, products)


def exposure(plan):
    return plan.exposure(
        np.array([[0, 1], [0, 1]]),
        np.array([[0.75, 0.25], [0.75, 0.25]], np.float32),
        np.array([0, 1]),
        100,
    )


def test_exposure_weighs_days_locations_and_uplift(plan):
    shares = exposure(plan)
    assert shares["display_this_week"].tolist() == pytest.approx([0, 0.75 + 0.25 / 7])
    assert shares["display_uplift"].tolist() == pytest.approx([0, 0.75 * 2 + 0.25 / 7])
    assert shares["display_chain"].tolist() == pytest.approx([0, (7 + 1) / 14])


def test_a_loaded_plan_gives_the_same_exposure(plan, tmp_path):
    plan.save(tmp_path)
    loaded = exposure(PromotionPlan.load(tmp_path))
    assert {name: values.tolist() for name, values in loaded.items()} == {
        name: values.tolist() for name, values in exposure(plan).items()
    }


def test_the_last_answered_day_looks_as_far_ahead_as_the_first():
    today = to_day(AS_OF)
    orders = pl.DataFrame(
        {
            "customer_id": ["a"] * 9,
            "order_id": [str(n) for n in range(9)],
            "product_id": ["tea"] * 9,
            "location_id": ["north"] * 9,
            "ts": [AS_OF - timedelta(days=3 * n + 1) for n in range(9)],
            "quantity": [1.0] * 9,
            "kind": ["sale"] * 9,
            "line": list(range(9)),
        },
        schema_overrides={"line": pl.Int32},
    )
    last = today + MAX_AHEAD_DAYS - 1
    promotions = pl.DataFrame(
        {"product_id": "tea", "location_id": "north", "kind": "mailer"}
        | {"from_day": [last + 7], "to_day": [last + 28]},
        schema_overrides={"from_day": pl.Int32, "to_day": pl.Int32},
    )
    dataset = Dataset.from_frames("made", {"orders": orders, "promotions": promotions})
    interactions = build_interactions(dataset, AS_OF)
    locations = CustomerLocations.build(dataset, AS_OF, interactions)
    plan = PromotionPlan.build(dataset, AS_OF, interactions, locations)
    tea = np.zeros(1, np.int64)
    shares = plan.exposure(locations.codes, locations.weights, tea, last)
    assert shares["mailer_next_weeks"].tolist() == [1.0]


def test_exposure_does_not_depend_on_the_cache():
    class NoCache(dict):
        def __setitem__(self, key, value):
            pass

    periods = PromotionPeriods.build(
        np.array([1]), np.array([100]), np.array([107]), np.ones(1, np.float32), 1, 2
    )
    plan = PromotionPlan({"display": periods}, 1, 2, NoCache())
    tea, location = np.array([1]), np.zeros((1, 1), np.int64)
    shares = plan.exposure(location, np.ones((1, 1), np.float32), tea, 100)
    assert shares["display_this_week"].tolist() == [1.0]
    assert shares["display_chain"].tolist() == [1.0]
