"""Planted anomalies are detected with their reasons, and ordinary periods rarely are."""

from datetime import date, timedelta

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from scipy import stats

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from training.contract import model_with_options
from training.models.demand.anomalies import FALSE_ALARMS, detect_anomalies, without_overlap
from training.models.demand.historical_forecasts import HISTORY_PERIODS, HistoricalForecasts
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import LEVELS, level_name

FIRST = to_day("2017-01-02")
DAYS = 210
AS_OF = day_start(FIRST + DAYS)
GRAIN = Grain.parse("product,location:day")
KEY = ["product_id", "location_id", "date"]
# Days before `AS_OF` of the planted anomalies; none is near a holiday.
CLOSURE, STOCK_OUT, PROMOTION, NO_SALES = 40, 20, 33, 6


def day(before):
    return (AS_OF - timedelta(days=before)).date()


def generate(*, planted):
    """Generate daily sales of 50 products at three locations, with mailers in some weeks."""
    rng = np.random.default_rng(9)
    rate = rng.uniform(5, 20, (50, 3))
    rate[4, 0] = rate[9, 1] = 15
    mailer = np.repeat(rng.random((50, 3, DAYS // 7)) < 0.1, 7, axis=2)
    sold = rng.poisson(rate[:, :, None] * np.where(mailer, 2.0, 1.0))
    recorded = mailer.copy()
    if planted:
        sold[:, 2, -CLOSURE] = 0
        sold[4, 0, -STOCK_OUT : -STOCK_OUT + 2] = 0
        sold[9, 1, -NO_SALES] = 0
        sold[11, 1, -PROMOTION : -PROMOTION + 3] = rng.poisson(rate[11, 1] * 4, 3)
        recorded[11, 1, -PROMOTION - 3 : -PROMOTION + 6] = False
    product, location, column = np.indices(sold.shape)
    keys = {
        "product_id": [f"p{i:02d}" for i in product.ravel()],
        "location_id": [str(i) for i in location.ravel()],
    }
    days = (FIRST + column.ravel()).astype(np.int32)
    sales = pl.DataFrame({**keys, "day": days, "quantity": sold.ravel().astype(float)})
    plan = pl.DataFrame({**keys, "kind": "mailer", "from_day": days, "to_day": days + 1})
    stock = pl.DataFrame({**keys, "day": days, "on_hand": 50.0}).with_columns(
        on_hand=pl.when(
            (pl.col("product_id") == "p04")
            & (pl.col("location_id") == "0")
            & pl.col("day").is_between(FIRST + DAYS - STOCK_OUT, FIRST + DAYS - STOCK_OUT + 1)
            & planted
        )
        .then(0.0)
        .otherwise("on_hand")
    )
    promotions = plan.filter(pl.Series(recorded.ravel()))
    frames = {"sales": sales, "promotions": promotions, "stock": stock}
    return Dataset.from_frames("shop", frames)


def detect(shop):
    options = {"grain": str(GRAIN), "horizon_days": 14, "learning_rate": 0.1, "rounds": 40}
    model = model_with_options(
        DemandModel, {**options, "rows": 8_000, "members": 2, "min_data_in_leaf": 50}
    )
    past = without_overlap(HistoricalForecasts.fit(model, shop, AS_OF).by_origin(shop), GRAIN)
    return past, detect_anomalies(shop, GRAIN, "US", past)


@pytest.fixture(scope="module")
def anomalies():
    return detect(generate(planted=True))[1]


def reasons(anomalies, product, location, before):
    rows = anomalies.filter(
        pl.col("product_id") == product,
        pl.col("location_id") == location,
        pl.col("date") == day(before),
    )
    return rows["reason"].to_list()


def test_a_closed_location_is_one_anomaly_of_all_its_series(anomalies):
    closures = anomalies.filter(pl.col("reason") == "closure")
    assert closures.select(KEY).rows() == [(None, "2", day(CLOSURE))]
    assert closures["series"].item() == 50
    assert closures["units"].item() == 0
    at_location = anomalies.filter(pl.col("location_id") == "2", pl.col("date") == day(CLOSURE))
    assert at_location.height == 1


def test_a_holiday_is_a_reason_at_the_locations_of_its_country():
    shop = generate(planted=False)
    countries = pl.DataFrame({"location_id": ["0", "1", "2"], "country": ["DE", "NL", None]})
    located = Dataset("located", "", {**shop.tables, "locations": nw.from_native(countries.lazy())})
    # Labour Day is a holiday in Germany alone.
    days = [date(2017, 5, 1) - timedelta(days=n) for n in range(60)]
    rows = countries.select("location_id").join(pl.DataFrame({"date": days}), how="cross")
    units = np.where(rows["date"] == days[0], 90, np.random.default_rng(2).poisson(20, rows.height))
    past = rows.with_columns(
        units=pl.Series(units.astype(float)),
        product_id=pl.lit("p00"),
        mean=pl.lit(20.0),
        promoted=pl.lit(0.0),
        **{level_name(level): pl.lit(float(stats.poisson.ppf(level, 20))) for level in LEVELS},
    )
    found = detect_anomalies(located, GRAIN, "US", past).filter(date=days[0])
    reasons = dict(found.select("location_id", "reason").iter_rows())
    assert {place for place, reason in reasons.items() if reason == "holiday"} == {"0"}
    assert set(reasons) == {"0", "1", "2"}


def test_a_stock_out_in_the_stock_table_is_the_reason(anomalies):
    assert reasons(anomalies, "p04", "0", STOCK_OUT) == ["stock_out"]
    assert reasons(anomalies, "p04", "0", STOCK_OUT - 1) == ["stock_out"]


def test_a_day_without_sales_of_a_steady_product_is_a_stock_out(anomalies):
    assert reasons(anomalies, "p09", "1", NO_SALES) == ["stock_out"]


def test_high_sales_without_a_promotion_are_a_promotion_not_recorded(anomalies):
    by_day = [reasons(anomalies, "p11", "1", PROMOTION - k) for k in range(3)]
    assert by_day == [["promotion_not_recorded"]] * 3


def test_the_size_is_the_units_sold_beyond_those_expected(anomalies):
    row = anomalies.filter(pl.col("product_id") == "p11", pl.col("date") == day(PROMOTION))
    assert row["size"].item() == row["units"].item() - row["mean"].item()
    assert row["units"].item() > row["high"].item()
    assert (anomalies["size"].abs().diff().drop_nulls() <= 0).all()


def test_ordinary_days_are_rarely_reported():
    past, reported = detect(generate(planted=False))
    assert past.height == 50 * 3 * HISTORY_PERIODS["day"]
    assert reported.height / past.height <= 2.5 * FALSE_ALARMS


def test_a_day_is_compared_with_a_forecast_made_before_it():
    complete = generate(planted=True)
    sales = complete.table("sales").to_native().filter(pl.col("day") < FIRST + DAYS - STOCK_OUT)
    tables = {**complete.tables, "sales": nw.from_native(sales)}
    truncated = Dataset("truncated", "truncated", tables)
    options = {"grain": str(GRAIN), "horizon_days": 14, "rounds": 10, "rows": 3_000, "members": 1}
    means = []
    for shop in (complete, truncated):
        historical = HistoricalForecasts.fit(model_with_options(DemandModel, options), shop, AS_OF)
        past = without_overlap(historical.by_origin(shop), GRAIN)
        means.append(past.filter(pl.col("date") == day(STOCK_OUT))["mean"])
    assert means[0].equals(means[1])
