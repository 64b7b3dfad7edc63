"""Features of the year before: what they read, and that their units do not matter."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.grain import Grain

FIRST = to_day("2014-03-03")
# Easter 2016 is on March 27th: its periods a year before lie closest to the origin.
AS_OF = datetime(2015, 4, 6)
GRAINS = ("product:week", "product:day")
ANNUAL = ("season_year_", "season_same_", "season_before_", "trend_year_")


def sales(days: int, unit: float = 1.0) -> pl.DataFrame:
    day = np.arange(days)
    parts = []
    for number in range(4):
        units = np.random.default_rng([3, number]).poisson(20 + 5 * number, days)
        units[(day + FIRST >= to_day("2014-11-20")) & (day + FIRST < to_day("2014-11-28"))] *= 3
        parts.append(
            pl.DataFrame(
                {
                    "product_id": f"p{number}",
                    "location_id": "s",
                    "day": (FIRST + day).astype(np.int32),
                    "quantity": units * unit,
                }
            )
        )
    return pl.concat(parts)


def annual(frame: pl.DataFrame, grain: str, horizon: int, as_of: datetime = AS_OF) -> pl.DataFrame:
    dataset = Dataset.from_frames("shop", {"sales": frame})
    features = demand(dataset, Grain.parse(grain), as_of, horizon).collect().to_polars()
    return features.select(
        "product_id", "step", *(c for c in features.columns if c.startswith(ANNUAL))
    )


@pytest.mark.parametrize("grain", GRAINS)
def test_sales_after_the_origin_change_no_feature_of_a_whole_year(grain):
    known = (AS_OF - datetime(1970, 1, 1)).days - FIRST
    later = sales(known + 90).with_columns(
        quantity=pl.when(pl.col("day") >= FIRST + known).then(1e6).otherwise("quantity")
    )
    features = annual(sales(known), grain, 364)
    assert annual(later, grain, 364).equals(features)
    # The windows of the last periods, and of Easter, reach beyond the origin and are cut there.
    assert features.get_column("season_year_own").is_finite().all()


@pytest.mark.parametrize("grain", GRAINS)
def test_periods_of_a_moved_holiday_are_compared_with_the_holiday(grain):
    # Thanksgiving 2014 is on November 27th, in 2015 on the 26th.
    frame = sales(400)
    features = annual(frame, grain, 364).filter(pl.col("product_id") == "p0")
    steps = [(datetime(2015, 11, 25) - AS_OF).days // Grain.parse(grain).days]
    peak = features.filter(pl.col("step").is_in(steps)).get_column("season_same_all")
    usual = features.filter(pl.col("step") == steps[0] - 42 // Grain.parse(grain).days)
    assert peak.item() > usual.get_column("season_same_all").item() + 0.5


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("unit", [0.001, 1_000.0])
def test_the_size_of_a_unit_changes_no_ratio(grain, unit):
    # Units are whole thousandths: a kilogram counted in grams or in tonnes sells alike.
    names = ["season_year_own", "season_same_own"]
    plain, scaled = (
        annual(sales(500, size), grain, 56, AS_OF + timedelta(60)) for size in (1, unit)
    )
    for name in names:
        assert scaled[name].to_numpy() == pytest.approx(plain[name].to_numpy(), abs=1e-5)


def test_a_year_of_records_or_less_has_no_features_of_the_year_before():
    frame = sales(200)
    features = annual(frame, "product:week", 56, datetime(1970, 1, 1) + timedelta(FIRST + 200))
    assert features.columns == ["product_id", "step"]


def test_growth_is_unknown_until_a_level_of_the_year_before_is():
    origin = datetime(1970, 1, 1) + timedelta(FIRST + 364 + 28)
    features = annual(sales(364 + 28), "product:week", 28, origin)
    assert features.get_column("trend_year_own").is_nan().all()
    assert features.get_column("season_before_own").is_finite().all()
