"""Cadence: measured gaps, default horizons and seasons of demand."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.cadence import LADDER_WEEKS, cadence, demand_season, purchase_horizon
from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.grain import Grain

START = datetime(2022, 1, 3)


def visits(gap_days: int, days: int, customers: int = 60) -> Dataset:
    """Customers who visit every `gap_days`, from different days on."""
    rows = [
        (str(c), f"{c}-{day}", START + timedelta(days=day))
        for c in range(customers)
        for day in range(c % gap_days, days, gap_days)
    ]
    frame = pl.DataFrame(rows, ["customer_id", "order_id", "ts"], orient="row")
    return Dataset.from_frames("shop", {"orders": _lines(frame)})


def _lines(frame: pl.DataFrame) -> pl.DataFrame:
    day = pl.col("ts").dt.date().cast(pl.Int32).alias("day")
    return frame.with_columns(
        pl.lit(0, pl.Int32).alias("line"), day, quantity=1.0, kind=pl.lit("sale")
    )


def weekly(weeks: int) -> Dataset:
    days = [to_day(START) + 7 * week for week in range(weeks)]
    frame = pl.DataFrame({"product_id": ["tea"] * weeks, "day": days, "quantity": [3.0] * weeks})
    return Dataset.from_frames("weekly", {"sales": frame.cast({"day": pl.Int32})})


def twice(horizon: int) -> int:
    return 2 * horizon


@pytest.mark.parametrize(
    ("gap_days", "days", "horizon"),
    [(5, 365, 7), (20, 365, 21), (27, 365, 28), (80, 730, 91), (180, 730, 91), (180, 1600, 182)],
)
def test_the_horizon_covers_the_usual_gap_and_leaves_three_windows(gap_days, days, horizon):
    default = purchase_horizon(cadence(visits(gap_days, days)), twice)
    assert default.days == horizon
    assert f"within {gap_days} days" in default.reason
    assert twice(default.days) + 3 * default.days <= days


def test_a_horizon_limited_by_history_has_that_reason():
    default = purchase_horizon(cadence(visits(180, 400)), twice)
    assert default.days == 56
    assert "182 days would need more than 400 days of history" in default.reason


def test_every_horizon_is_a_step_of_the_ladder():
    for gap in range(1, 400, 13):
        known = cadence(visits(gap, 1500, customers=40))
        assert purchase_horizon(known, twice).days / 7 in LADDER_WEEKS


def test_the_horizon_is_not_shorter_than_the_task_allows():
    assert purchase_horizon(cadence(visits(5, 365)), twice, gaps=2, shortest_days=30).days == 35


def test_without_returning_customers_the_horizon_is_four_weeks():
    default = purchase_horizon(cadence(visits(500, 365), START + timedelta(days=365)), twice)
    assert (default.days, "too few" in default.reason) == (28, True)


def test_the_bundled_grocer_has_horizons_of_four_and_eight_weeks(journey):
    known = cadence(journey)
    assert purchase_horizon(known, twice).days == 28
    assert purchase_horizon(known, lambda h: h + 14, gaps=2, shortest_days=30).days == 56


def test_later_records_do_not_change_the_cadence(journey, rewritten):
    as_of = journey.end - timedelta(days=60)
    past = rewritten(
        journey, orders=journey.table("orders").to_native().filter(pl.col("ts") < as_of)
    )
    assert cadence(past, as_of) == cadence(journey, as_of)


@pytest.mark.parametrize("shift", [0, -1], ids=["by the first day", "by the last"])
def test_a_monthly_table_ends_with_its_last_month(shift):
    months = [to_day(date(2023 + n // 12, n % 12 + 1, 1)) + shift for n in range(18)]
    frame = pl.DataFrame({"product_id": "tea", "day": months, "quantity": 3.0})
    dataset = Dataset.from_frames("ledger", {"sales": frame.cast({"day": pl.Int32})})
    assert dataset.end == datetime(2024, 7 + shift, 1)
    assert cadence(dataset).period_days == 31


def sold(units) -> Dataset:
    """Units of one product by day, from a Monday on."""
    days = pl.Series(range(len(units)), dtype=pl.Int32) + to_day(START)
    frame = pl.DataFrame({"product_id": "tea", "day": days, "quantity": units.astype(float)})
    return Dataset.from_frames("shop", {"sales": frame})


def seasonal(weeks: int, week_swing: float, year_swing: float) -> Dataset:
    day = np.arange(7 * weeks)
    rate = 60 * (1 + week_swing * (day % 7 == 5)) * (1 + year_swing * np.sin(day * 2 * np.pi / 364))
    return sold(np.random.default_rng(2).poisson(rate) + 1)


@pytest.mark.parametrize(
    ("dataset", "of_days", "of_weeks"),
    [
        (seasonal(120, 0.5, 0.4), 7, 52),
        (seasonal(120, 0.0, 0.4), 1, 52),
        (seasonal(120, 0.5, 0.0), 7, 1),
        (seasonal(60, 0.5, 0.4), 7, 1),
        (seasonal(7, 0.5, 0.0), 1, 1),
    ],
    ids=["both", "of the year", "of the week", "one year alone", "seven weeks"],
)
def test_a_season_is_found_in_long_enough_records(dataset, of_days, of_weeks):
    for grain, periods in (("product:day", of_days), ("product:week", of_weeks)):
        season = demand_season(dataset, Grain.parse(grain))
        assert season.periods == periods, season.reason
        assert season.reason.startswith("season of" if periods > 1 else "no season")


def test_months_have_a_season_of_twelve():
    months = [to_day(date(2020 + n // 12, n % 12 + 1, 1)) for n in range(36)]
    noise = np.random.default_rng(3).normal(0, 0.05, len(months))
    units = 100 * np.exp(0.5 * np.sin(np.arange(len(months)) * np.pi / 6) + noise)
    frame = pl.DataFrame({"product_id": "tea", "day": months, "quantity": units})
    dataset = Dataset.from_frames("ledger", {"sales": frame.cast({"day": pl.Int32})})
    season = demand_season(dataset, Grain.parse("product:month"))
    assert season.periods == 12
    assert season.reason.startswith("season of 12 months: months correlate")


def test_weeks_that_are_closed_every_year_are_no_season():
    units = np.random.default_rng(4).poisson(60, 7 * 120)
    for year in (0, 1):
        units[364 * year + 7 * 44 : 364 * year + 7 * 47] = 0
    assert demand_season(sold(units), Grain.parse("product:week")).periods == 1


def test_weekdays_on_which_a_shop_is_closed_are_a_season():
    units = np.random.default_rng(5).poisson(60, 7 * 30)
    units[6::7] = 0
    assert demand_season(sold(units), Grain.parse("product:day")).periods == 7


def test_random_demand_rarely_has_a_season():
    generator = np.random.default_rng(8)
    seasons = [
        demand_season(sold(generator.poisson(20, 7 * 120)), Grain.parse(grain)).periods
        for _ in range(20)
        for grain in ("product:day", "product:week")
    ]
    assert sum(periods > 1 for periods in seasons) <= 1


def test_later_sales_do_not_change_the_season(journey, rewritten):
    as_of = journey.end - timedelta(days=60)
    orders = journey.table("orders").to_native().filter(pl.col("ts") < as_of)
    for grain in (Grain.parse("product:day"), Grain.parse("product:week")):
        past = demand_season(rewritten(journey, orders=orders), grain, as_of)
        assert past == demand_season(journey, grain, as_of)


def test_a_weekly_table_ends_when_its_last_week_has_ended():
    dataset = weekly(6)
    assert dataset.end == START + timedelta(weeks=6)
    assert cadence(dataset).period_days == 7


def test_a_week_is_known_when_it_has_ended():
    dataset = weekly(6)
    for as_of, weeks in ((to_day(START) + 13, 1), (to_day(START) + 14, 2)):
        known = dataset.known("sales", day_start(as_of)).collect()
        assert known.shape[0] == weeks
