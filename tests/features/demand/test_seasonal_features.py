"""Year-over-year features, on generated series of two years and a half."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.grain import Grain

FIRST, DAYS = 17_003, 910
AS_OF = datetime(1970, 1, 1) + timedelta(days=FIRST + DAYS)
# Days before the instant on which each product is launched; its sales triple within 56 days.
LAUNCHES = {"a year ago": 364, "thirteen months ago": 400, "last month": 30}


@pytest.fixture(scope="module", params=["product:week", "product:day"])
def features(request):
    day = np.arange(DAYS)
    units = {
        product: np.where(day >= DAYS - age, 10 * np.minimum(1 + (day - DAYS + age) / 28, 3), 0)
        for product, age in LAUNCHES.items()
    }
    # Sells twice as much in the weeks ahead, each year.
    units["seasonal"] = np.where((day - DAYS) % 364 < 56, 60.0, 30.0)
    units["old"] = np.full(DAYS, 30.0)
    rows = [
        pl.DataFrame(
            {
                "product_id": product,
                "category": product,
                "day": (FIRST + np.flatnonzero(sold)).astype(np.int32),
                "quantity": sold[sold > 0],
            }
        )
        for product, sold in units.items()
    ]
    sales = pl.concat(rows)
    frames = {
        "sales": sales.drop("category").with_columns(location_id=pl.lit("n")),
        "products": sales.select("product_id", "category").unique(),
    }
    dataset = Dataset.from_frames("shop", frames)
    frame = demand(dataset, Grain.parse(request.param), AS_OF, 28).collect().to_polars()
    return {str(product): rows for (product,), rows in frame.group_by("product_id")}


@pytest.mark.parametrize("product", LAUNCHES)
@pytest.mark.parametrize("level", ["own", "category"])
def test_a_product_launched_within_the_last_year_has_the_season_of_all(features, product, level):
    rows = features[product]
    assert rows[f"season_year_{level}"].to_list() == pytest.approx(rows["season_year_all"])


def test_a_season_of_two_years_is_one(features):
    # The first periods are smoothed with those before them, and follow a holiday that moved.
    later = features["seasonal"].filter(pl.col("day") >= FIRST + DAYS + 14)["season_year_own"]
    assert np.exp(later.to_numpy()) == pytest.approx(2, rel=0.1)


def test_a_series_that_began_with_the_records_has_its_own_season(features):
    assert features["old"]["season_year_own"].to_numpy() == pytest.approx(0.0, abs=0.1)
