"""Replenishment, on customers who buy tea about every tenth day."""

from datetime import datetime, timedelta

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.replenishment import ReplenishmentCurve

AS_OF = datetime(2024, 6, 3)
CUTOFF = AS_OF - timedelta(days=40)


def fit(dataset, as_of):
    return ReplenishmentCurve.fit(dataset, as_of, Catalogue.build(dataset, as_of))


@pytest.fixture(scope="module")
def tea(shop):
    """Customers who stop buying after one purchase in fifteen."""
    rng = np.random.default_rng(8)
    rows = []
    for customer in range(400):
        age = 200.0
        while age > 1:
            rows.append((f"c{customer}", f"o{customer}/{len(rows)}", "tea", round(age), "x"))
            age -= rng.gamma(12, 10 / 12)
            if rng.random() < 1 / 15:
                break
    return shop(rows, AS_OF)


def test_a_product_is_due_about_one_gap_after_the_last_purchase(tea):
    elapsed = np.array([0, 2, 5, 8, 10, 14, 30, 60])
    gap = np.full(8, 10.0)
    status = fit(tea, CUTOFF).status(np.full(8, 8), elapsed, gap, gap, 4)
    assert status.states[[0, -1]].tolist() == ["not_yet", "lapsed"]
    assert status.states[[3, 4]].tolist() == ["due", "due"]
    # The probability rises until then and falls afterwards.
    assert status.probability[:5].tolist() == sorted(status.probability[:5])
    assert status.probability[4:].tolist() == sorted(status.probability[4:], reverse=True)
    assert status.days_left[:5] == pytest.approx([10, 8, 5, 2, 0], abs=0.01)


def test_probabilities_match_later_purchases(tea):
    day = (CUTOFF - datetime(1970, 1, 1)).days
    orders = tea.table("orders").to_native().collect()
    known = (
        orders.filter(pl.col("day") < day)
        .group_by("customer_id")
        .agg(pl.len().alias("times"), pl.col("day").max(), pl.col("day").min().alias("first"))
    )
    known = known.join(
        orders.filter(pl.col("day").is_between(day, day + 6)).select("customer_id").unique(),
        on="customer_id",
        how="left",
        coalesce=False,
    )
    bought = known["customer_id_right"].is_not_null().to_numpy()
    times = known["times"].to_numpy()
    gap = (known["day"] - known["first"]).to_numpy() / np.maximum(times - 1, 1)
    elapsed = day - known["day"].to_numpy()
    status = fit(tea, CUTOFF).status(times, elapsed, gap, np.full(len(times), 10.0), 7)
    share = {state: bought[status.states == state].mean() for state in np.unique(status.states)}
    assert share["due"] > share.get("soon", 0.5) > share.get("not_yet", 0.0) >= 0
    assert share["due"] > 0.5 > 0.1 > share["lapsed"]
    assert status.probability.mean() == pytest.approx(bought.mean(), abs=0.06)


def test_the_gaps_of_a_customer_weigh_more_the_more_there_are(tea):
    curve = fit(tea, AS_OF)
    few, many = (curve.status([times], [0], [10.0], [30.0], 7).gap[0] for times in (2, 10))
    assert 10 < many < few < 30
    # One purchase of a product without a known gap: the usual gap of all products.
    assert curve.status([1], [0], [0.0], [np.nan], 7).gap[0] == pytest.approx(curve.usual_gap)


def test_later_orders_do_not_change_the_hazard(tea):
    past = tea.table("orders").filter(nw.col("ts") < CUTOFF)
    before = Dataset.from_frames("past", {"orders": past.to_native().collect()})
    one, other = (fit(dataset, CUTOFF) for dataset in (tea, before))
    np.testing.assert_array_equal(one.hazard, other.hazard)
