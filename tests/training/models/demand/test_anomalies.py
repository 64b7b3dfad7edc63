"""What was planted is found, for what it was, and little else is."""

from datetime import timedelta

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from training.models.demand.anomalies import FALSE_ALARMS, detect_anomalies, without_overlap
from training.models.demand.historical_forecasts import HISTORY_PERIODS, HistoricalForecasts
from training.models.demand.model import DemandModel

FIRST = to_day("2017-01-02")
DAYS = 210
AS_OF = day_start(FIRST + DAYS)
GRAIN = Grain.parse("product,location:day")
KEY = ["product_id", "location_id", "date"]
# Days before `AS_OF` with something planted, and none of them at a holiday.
CLOSED, EMPTY, UNSEEN, EXTRA, ABSENT = 40, 20, 12, 33, 6


def day(back):
    return (AS_OF - timedelta(days=back)).date()


def generated(*, planted):
    """50 products at three locations, with a mailer now and then, by the day."""
    rng = np.random.default_rng(9)
    rate = rng.uniform(5, 20, (50, 3))
    rate[4, 0] = rate[9, 1] = 15
    mailer = np.repeat(rng.random((50, 3, DAYS // 7)) < 0.1, 7, axis=2)
    sold = rng.poisson(rate[:, :, None] * np.where(mailer, 2.0, 1.0))
    booked = mailer.copy()
    if planted:
        sold[:, 2, -CLOSED] = 0
        sold[4, 0, -EMPTY : -EMPTY + 2] = 0
        sold[9, 1, -ABSENT] = 0
        sold[11, 1, -EXTRA : -EXTRA + 3] = rng.poisson(rate[11, 1] * 4, 3)
        booked[11, 1, -EXTRA - 3 : -EXTRA + 6] = False
    product, place, column = np.indices(sold.shape)
    keys = {
        "product_id": [f"p{i:02d}" for i in product.ravel()],
        "location_id": [str(i) for i in place.ravel()],
    }
    days = (FIRST + column.ravel()).astype(np.int32)
    sales = pl.DataFrame({**keys, "day": days, "quantity": sold.ravel().astype(float)})
    plan = pl.DataFrame({**keys, "kind": "mailer", "from_day": days, "to_day": days + 1})
    stock = pl.DataFrame({**keys, "day": days, "on_hand": 50.0}).with_columns(
        on_hand=pl.when(
            (pl.col("product_id") == "p04")
            & (pl.col("location_id") == "0")
            & pl.col("day").is_between(FIRST + DAYS - EMPTY, FIRST + DAYS - EMPTY + 1)
            & planted
        )
        .then(0.0)
        .otherwise("on_hand")
    )
    promotions = plan.filter(pl.Series(booked.ravel()))
    frames = {"sales": sales, "promotions": promotions, "stock": stock}
    return Dataset.from_frames("shop", frames)


def looked_for(shop):
    options = {"grain": str(GRAIN), "horizon_days": 14, "learning_rate": 0.1, "rounds": 40}
    model = DemandModel(**options, rows=8_000, members=2, min_data_in_leaf=50)
    past = without_overlap(HistoricalForecasts.fit(model, shop, AS_OF).by_origin(shop), GRAIN)
    return past, detect_anomalies(shop, GRAIN, "US", past)


@pytest.fixture(scope="module")
def found():
    return looked_for(generated(planted=True))[1]


def reason_of(found, product, location, back):
    own = found.filter(
        pl.col("product_id") == product,
        pl.col("location_id") == location,
        pl.col("date") == day(back),
    )
    return own["reason"].to_list()


def test_a_closed_location_is_one_anomaly_for_all_of_its_series(found):
    closures = found.filter(pl.col("reason") == "closure")
    assert closures.select(KEY).rows() == [(None, "2", day(CLOSED))]
    assert closures["series"].item() == 50
    assert closures["units"].item() == 0
    assert found.filter(pl.col("location_id") == "2", pl.col("date") == day(CLOSED)).height == 1


def test_a_stock_out_in_the_stock_table_is_one(found):
    assert reason_of(found, "p04", "0", EMPTY) == ["stock_out"]
    assert reason_of(found, "p04", "0", EMPTY - 1) == ["stock_out"]


def test_a_day_without_sales_of_what_always_sells_is_likely_a_stock_out(found):
    assert reason_of(found, "p09", "1", ABSENT) == ["stock_out"]


def test_sales_as_in_a_promotion_without_one_are_a_promotion_not_recorded(found):
    reasons = [reason_of(found, "p11", "1", EXTRA - k) for k in range(3)]
    assert reasons == [["promotion_not_recorded"]] * 3


def test_the_size_is_what_was_sold_beyond_what_was_expected(found):
    one = found.filter(pl.col("product_id") == "p11", pl.col("date") == day(EXTRA))
    assert one["size"].item() == one["units"].item() - one["mean"].item()
    assert one["units"].item() > one["high"].item()
    assert (found["size"].abs().diff().drop_nulls() <= 0).all()


def test_ordinary_days_are_hardly_ever_reported():
    past, reported = looked_for(generated(planted=False))
    assert past.height == 50 * 3 * HISTORY_PERIODS["day"]
    assert reported.height / past.height <= 2.5 * FALSE_ALARMS


def test_a_day_is_judged_by_a_forecast_that_did_not_know_it():
    whole = generated(planted=True)
    sales = whole.table("sales").to_native().filter(pl.col("day") < FIRST + DAYS - EMPTY)
    cut = Dataset("cut", "cut", {**whole.tables, "sales": nw.from_native(sales)})
    options = {"grain": str(GRAIN), "horizon_days": 14, "rounds": 10, "rows": 3_000, "members": 1}
    means = []
    for shop in (whole, cut):
        past = without_overlap(
            HistoricalForecasts.fit(DemandModel(**options), shop, AS_OF).by_origin(shop), GRAIN
        )
        means.append(past.filter(pl.col("date") == day(EMPTY))["mean"])
    assert means[0].equals(means[1])
