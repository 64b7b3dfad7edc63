"""Closures: which days count as closed, and which are expected to be."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.closures import PLAN, opening, recorded_closures
from features.demand.grain import Grain
from features.demand.recurring_closures import WEEKDAY, YEAR

DAILY, WEEKLY = Grain.parse("product,location:day"), Grain.parse("product,location:week")
FIRST = to_day("2021-01-04")  # a Monday
DAYS = 730


def shops(sold, opened=None, first=FIRST):
    """Build a dataset of one product from units of shape (locations, days)."""
    location, column = np.nonzero(sold)
    sales = pl.DataFrame(
        {
            "product_id": "p",
            "location_id": [str(place) for place in location],
            "day": (first + column).astype(np.int32),
            "quantity": sold[location, column].astype(float),
        }
    )
    tables = {"sales": sales}
    if opened is not None:
        rows = [(str(shop), first + day, float(value)) for (shop, day), value in opened.items()]
        schema = {"location_id": pl.String, "day": pl.Int32, "value": pl.Float64}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        tables["covariates"] = frame.with_columns(
            name=pl.lit("open"), known_ahead=pl.lit(value=True)
        )
    return Dataset.from_frames("shops", tables)


def steady(locations=2, days=DAYS, rate=30.0):
    return np.random.default_rng(3).poisson(rate, (locations, days))


def closed_days(dataset, grain=DAILY, location=0):
    days = recorded_closures(dataset, grain).days.filter(pl.col("row") == location)
    return (days.get_column("day") - FIRST).to_list()


def expected(dataset, day, count, grain=DAILY):
    """Return the codes of expected closures of the first place."""
    first = FIRST if day - FIRST < DAYS else day - DAYS
    return opening(dataset, grain, first, day, day + count).ahead(day, count, "DE")[0].tolist()


def column_of(month, day, year):
    return to_day(date(year, month, day)) - FIRST


def test_a_day_without_sales_of_a_location_that_always_sells_is_a_closure():
    sold = steady()
    sold[0, 100:103] = 0
    assert closed_days(shops(sold)) == [100, 101, 102]
    assert closed_days(shops(sold), location=1) == []


def test_days_without_sales_of_a_small_shop_are_no_closures():
    sold = steady(rate=1.5)
    assert (sold == 0).sum() > DAYS / 5
    assert closed_days(shops(sold)) == []


def test_a_shop_with_rare_large_orders_is_not_closed_between_them():
    sold = np.where(np.random.default_rng(1).random((1, DAYS)) < 1 / 6, 1000, 0)
    assert closed_days(shops(sold)) == []


def test_a_thousandth_of_the_usual_sales_is_no_sale():
    sold = steady(rate=1500)
    sold[0, 300] = 2
    assert closed_days(shops(sold)) == [300]


def test_a_covariate_says_when_a_location_is_closed():
    sold = steady(rate=1.5)
    sold[0, 50] = 0
    sold[0, 51] = 4
    assert closed_days(shops(sold, {(0, 50): 0, (0, 51): 0, (0, 52): 1})) == [50]


def test_later_sales_do_not_change_closures():
    sold = steady()
    sold[:, 200:210] = 0
    sold[0, 400:] = 0
    sold[1, np.arange(DAYS) % 7 == 6] = 0
    whole = recorded_closures(shops(sold), DAILY).days
    for end in (203, 407, 600):
        part = recorded_closures(shops(sold[:, :end]), DAILY).days
        last = int(np.nonzero(sold[:, :end].any(axis=0))[0][-1])
        assert_frame_equal(part, whole.filter(pl.col("day") <= FIRST + last))


def test_a_weekday_without_sales_is_closed_and_stays_closed():
    sold = steady()
    sold[0, np.arange(DAYS) % 7 == 6] = 0
    shop = shops(sold)
    sundays = [day for day in closed_days(shop) if day >= 70]
    assert sundays == list(range(76, DAYS, 7))
    assert expected(shop, FIRST + 700, 14) == [0, 0, 0, 0, 0, 0, WEEKDAY] * 2


@pytest.mark.parametrize("years", [1, 2])
def test_a_closed_christmas_week_is_expected_to_be_closed_again(years):
    sold = steady(locations=1)
    closed = [column_of(12, 24, 2021) + day for day in range(9)]
    sold[0, closed] = 0
    if years == 2:
        sold[0, [day + 365 for day in closed if day + 365 < DAYS]] = 0
    shop, day = shops(sold), to_day(f"{2021 + years}-12-20")
    assert expected(shop, day, 16) == [0] * 4 + [YEAR] * 9 + [0] * 3


def test_a_holiday_that_moves_is_expected_to_be_closed_again():
    sold = steady(locations=1)
    sold[0, [column_of(4, 2, 2021), column_of(4, 5, 2021)]] = 0  # Good Friday, Easter Monday
    codes = expected(shops(sold), to_day("2022-04-11"), 14)
    assert [day for day, code in enumerate(codes) if code] == [4, 7]


def test_a_holiday_on_which_the_shop_was_open_in_one_year_is_not_expected_to_be_closed():
    sold = steady(locations=1)
    sold[0, column_of(12, 25, 2021)] = 0
    assert expected(shops(sold), FIRST + DAYS, 7) == [0] * 7
    assert YEAR not in expected(shops(sold), to_day("2023-12-20"), 10)


def test_a_single_closure_apart_from_holidays_is_not_expected_again():
    sold = steady(locations=1)
    sold[0, column_of(3, 10, 2021)] = 0
    assert not any(expected(shops(sold), to_day("2022-03-05"), 14))


def test_a_planned_closure_is_known_ahead():
    shop = shops(steady(), {(0, DAYS + 3): 0, (0, DAYS + 4): 1})
    assert expected(shop, FIRST + DAYS, 7) == [0, 0, 0, PLAN, 0, 0, 0]


def test_a_location_that_stopped_is_not_closed():
    sold = steady()
    sold[0, 500:] = 0
    closed = opening(shops(sold), DAILY, FIRST, FIRST + 700, FIRST + 707).closed
    assert np.flatnonzero(closed[0]).tolist() == list(range(500, 528))


def test_weeks_without_sales_are_closures_of_weekly_records():
    sold = np.zeros((1, DAYS))
    sold[0, ::7] = steady(1)[0, ::7]
    sold[0, 350:364] = 0
    assert closed_days(shops(sold)) == list(range(350, 364))


def test_a_closure_does_not_change_the_level_of_open_days():
    sold = np.full((2, 200), 40)
    at = datetime(1970, 1, 1) + timedelta(days=FIRST + 200)
    whole = demand(shops(sold), DAILY, at, 7).collect().to_polars()
    sold[0, 150:199] = 0
    opened = {(0, day): 0 for day in range(150, 199)}
    closed = demand(shops(sold, opened), DAILY, at, 7).collect().to_polars()
    names = ["level_now", "weekday_factor", "trend_mean_28", "trend_all", "season_day_fast"]
    assert_frame_equal(closed.select(names), whole.select(names))


def test_closed_days_around_a_day_are_counted():
    sold = np.full((1, 200), 40)
    opened = {(0, 199): 0, (0, 202): 0, (0, 203): 0}
    sold[0, 199] = 0
    at = datetime(1970, 1, 1) + timedelta(days=FIRST + 200)
    frame = demand(shops(sold, opened), DAILY, at, 7).collect().to_polars()
    assert frame["open_share"].to_list() == [1, 1, 0, 0, 1, 1, 1]
    assert frame["holiday_closed_before"].to_list() == [1, 0, 0, 1, 2, 0, 0]
    assert frame["holiday_closed_after"].to_list() == [0, 2, 1, 0, 0, 0, 0]


def test_a_week_has_a_share_of_open_days():
    sold = np.full((1, 210), 40)
    sold[0, 203:205] = 0
    opened = {(0, day): 0 for day in (203, 204, 210, 211, 212)}
    at = datetime(1970, 1, 1) + timedelta(days=FIRST + 210)
    frame = demand(shops(sold, opened), WEEKLY, at, 14).collect().to_polars()
    assert frame["level_now"].to_list() == pytest.approx([280, 280], rel=1e-3)
    assert frame["open_share"].to_list() == pytest.approx([4 / 7, 1])


@pytest.mark.parametrize("grain", [DAILY, WEEKLY, Grain.parse("product:day")])
def test_future_rows_do_not_change_features_of_closures(grain):
    sold = steady()
    sold[:, np.arange(DAYS) % 7 == 6] = 0
    sold[:, column_of(12, 24, 2021) : column_of(12, 29, 2021)] = 0
    at = datetime(2022, 12, 15)
    past = sold[:, : to_day(at) - FIRST]
    future = sold.copy()
    future[:, to_day(at) - FIRST + 3 :] = 0
    features = [demand(shops(s), grain, at, 28).collect().to_polars() for s in (past, future)]
    assert features[0]["open_share"].min() < 1
    assert_frame_equal(*features)
