"""Forecasts of shops that close on Sundays, at Christmas and as planned."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.contract import model_with_options
from training.models.demand.model import DemandModel

FIRST = to_day("2021-01-04")  # a Monday
AS_OF = datetime(2022, 12, 19)
DAYS = to_day(AS_OF) - FIRST
QUANTILES = ("q10", "q50", "q90")


@dataclass(frozen=True)
class Shops:
    sold: np.ndarray
    plan: tuple[date, ...] = ()

    @property
    def dataset(self):
        product, location, column = np.nonzero(self.sold)
        sales = {
            "product_id": [f"p{p}" for p in product],
            "location_id": [str(place) for place in location],
            "day": (FIRST + column).astype(np.int32),
            "quantity": self.sold[product, location, column].astype(float),
        }
        tables = {"sales": pl.DataFrame(sales)}
        if self.plan:
            days = [(to_day(day), 0.0) for day in self.plan]
            schema = {"day": pl.Int32, "value": pl.Float64}
            rows = pl.DataFrame(days, schema=schema, orient="row")
            constants = {"name": pl.lit("open"), "known_ahead": pl.lit(value=True)}
            location = pl.lit(None, dtype=pl.String)
            tables["covariates"] = rows.with_columns(**constants, location_id=location)
        return Dataset.from_frames("shops", tables)


def generate():
    """Return units of 8 products in 3 shops: higher on Saturdays, none when closed."""
    rate = np.random.default_rng(5).uniform(10, 40, (8, 3))
    weekday = np.array([1, 1, 1, 1, 1, 2, 0])[np.arange(DAYS) % 7]
    sold = np.random.default_rng(6).poisson(rate[:, :, None] * weekday)
    christmas = to_day("2021-12-24") - FIRST
    sold[:, :, christmas : christmas + 9] = 0
    return sold


def fitted(dataset, grain="product,location:day", as_of=AS_OF):
    small = {"rows": 6_000, "rounds": 40, "members": 2, "min_data_in_leaf": 50}
    options = {"grain": grain, "horizon_days": 28, "learning_rate": 0.1, "country": "DE"}
    return model_with_options(DemandModel, {**options, **small}).fit(dataset, as_of)


@pytest.fixture(scope="module")
def forecast():
    dataset = Shops(generate()).dataset
    return fitted(dataset).predict(dataset, AS_OF)


def of(forecast, *days):
    return forecast.filter(pl.col("date").is_in(days))


def test_a_weekday_that_was_always_closed_is_zero(forecast):
    sundays = forecast.filter(pl.col("date").dt.weekday() == 7)
    assert sundays.select(pl.max_horizontal("mean", *QUANTILES).max()).item() == 0
    assert set(sundays["assumes"]) == {"closed as on this weekday before"}


def test_the_week_of_christmas_is_zero_as_in_the_year_before(forecast):
    week = of(forecast, *(date(2022, 12, 24) + timedelta(days=day) for day in range(9)))
    assert week.select(pl.max_horizontal("mean", *QUANTILES).max()).item() == 0
    assert "closed as in the years before" in set(week["assumes"])


def test_open_days_are_forecast_at_their_level(forecast):
    units = generate()[:, :, -364:].sum(axis=0)
    saturdays = np.arange(DAYS)[-364:] % 7 == 5
    usual = units.sum(axis=0)[saturdays & (units.sum(axis=0) > 0)].mean()
    january = of(forecast, date(2023, 1, 7), date(2023, 1, 14))
    assert january["mean"].sum() / 2 == pytest.approx(usual, rel=0.1)


def test_a_planned_closure_is_zero_and_other_days_stay():
    day = date(2022, 12, 21)
    open_shops, closed_shops = Shops(generate()).dataset, Shops(generate(), (day,)).dataset
    model = fitted(open_shops)
    recorded, planned = (model.predict(shops, AS_OF) for shops in (open_shops, closed_shops))
    assert of(recorded, day)["mean"].min() > 0
    assert of(planned, day).select(pl.max_horizontal("mean", *QUANTILES).max()).item() == 0
    assert set(of(planned, day)["assumes"]) == {"closed as planned"}
    far = date(2023, 1, 10)
    assert of(planned, far)["mean"].equals(of(recorded, far)["mean"])


def test_a_closure_in_the_past_does_not_lower_forecasts():
    sold = generate()
    usual = fitted(Shops(sold).dataset).predict(Shops(sold).dataset, AS_OF)["mean"].sum()
    sold[:, :, -12:-2] = 0
    closed = fitted(Shops(sold).dataset).predict(Shops(sold).dataset, AS_OF)["mean"].sum()
    assert closed == pytest.approx(usual, rel=0.05)


def test_a_week_is_scaled_by_its_share_of_open_days():
    dataset = Shops(generate()).dataset
    weeks = fitted(dataset, "product,location:week").predict(dataset, AS_OF)
    by_week = weeks.group_by("date").agg(pl.col("mean").sum()).sort("date")["mean"]
    # 5 and 1 of 6 open days, then 6.
    assert by_week[0] / by_week[2] == pytest.approx(5 / 6, rel=0.15)
    assert by_week[1] == 0
    assert by_week[2] == pytest.approx(by_week[3], rel=0.1)


def test_explanations_of_a_closed_day_add_up_to_zero():
    dataset = Shops(generate()).dataset
    model = fitted(dataset)
    series = pl.DataFrame({"product_id": ["p0"], "location_id": ["0"]})
    explained = of(model.explain(dataset, AS_OF, series), date(2022, 12, 27))
    assert explained["units"].sum() == pytest.approx(0, abs=1e-2)
    assert explained.filter(reason="holiday")["units"].item() < 0
