"""Channel shares of customers at an instant."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.customers.builder import customers
from features.customers.channels import channel_mix, several_channels
from features.dataset import Dataset
from training.customers.population import Population

AS_OF = datetime(2024, 6, 3)
TODAY = to_day(AS_OF)


def shop(*visits: tuple[str, int, str | None]) -> Dataset:
    """Return a shop with lines of (customer, days before AS_OF, channel)."""
    days = [TODAY - ago for _, ago, _ in visits]
    orders = pl.DataFrame(
        {
            "customer_id": [customer for customer, _, _ in visits],
            "order_id": [str(k) for k in range(len(visits))],
            "line": pl.Series([0] * len(visits), dtype=pl.Int32),
            "ts": [day_start(day) + timedelta(hours=9) for day in days],
            "day": pl.Series(days, dtype=pl.Int32),
            "channel": pl.Series([channel for _, _, channel in visits], dtype=pl.String),
            "quantity": 1.0,
            "kind": "sale",
        }
    )
    return Dataset.from_frames("shop", {"orders": orders})


MIXED = (
    *(("a", ago, "shop") for ago in (300, 200, 90)),
    *(("a", ago, "web") for ago in (90, 40, 40, 10, 5)),
    *(("b", ago, "shop") for ago in (100, 3)),
    ("c", 3, None),
)


def mix(dataset: Dataset) -> dict[str, dict[str, float | None]]:
    features = channel_mix(dataset, AS_OF).collect().to_polars()
    return {row.pop("customer_id"): row for row in features.iter_rows(named=True)}


def test_a_day_counts_once_for_each_channel_that_was_used():
    features = mix(shop(*MIXED))
    assert features["a"] == {
        "channel_main_share": 4 / 7,
        "channel_main_share_lately": 1.0,
        "channel_spread": pytest.approx(49 / 25),
        "channel_last_is_main": 1.0,
        "channel_other_recency": 90.0,
    }
    assert features["b"] == {
        "channel_main_share": 1.0,
        "channel_main_share_lately": 1.0,
        "channel_spread": 1.0,
        "channel_last_is_main": 1.0,
        "channel_other_recency": None,
    }
    assert "c" not in features


def test_among_equally_used_channels_the_last_is_the_main_one():
    features = mix(shop(("a", 9, "web"), ("a", 4, "shop")))
    assert features["a"]["channel_other_recency"] == 9.0


def test_orders_at_or_after_as_of_do_not_change_the_mix():
    later = (("a", 0, "shop"), ("a", -3, "app"), ("d", -9, "app"))
    before = channel_mix(shop(*MIXED), AS_OF).collect().to_polars().sort("customer_id")
    after = channel_mix(shop(*MIXED, *later), AS_OF).collect().to_polars().sort("customer_id")
    assert_frame_equal(before, after)


def test_with_one_channel_there_are_no_channel_features():
    dataset = shop(*(visit for visit in MIXED if visit[2] != "web"))
    assert not several_channels(dataset)
    columns = customers(dataset, AS_OF).collect_schema().names()
    assert not [name for name in columns if name.startswith("channel_")]


def test_a_posted_history_of_one_channel_has_the_features_of_its_population():
    population = Population.measure(shop(*MIXED), AS_OF)
    orders = shop(("a", 5, "web")).table("orders").collect().to_polars()
    nothing = {name: pl.lit(None, pl.String) for name in ("product_id", "category", "location_id")}
    posted = population.dataset_of(orders.with_columns(**nothing), pl.DataFrame(), {})
    features = customers(posted, AS_OF).collect().to_polars()
    assert features.columns == customers(shop(*MIXED), AS_OF).collect_schema().names()
    assert features.get_column("channel_main_share").to_list() == [1.0]
