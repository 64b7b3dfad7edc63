"""Monthly records: calendar months as periods, from fit to published answers."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.grain import Grain
from serving.demand.reader import DemandReader
from training.backtest import rolling_origins
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish

GRAIN = Grain.parse("product:month")


def ledger(months: int) -> Dataset:
    """Sales of 24 products by month, most in December; a month sells in proportion to its days."""
    generator = np.random.default_rng(6)
    firsts = [date(2019 + n // 12, n % 12 + 1, 1) for n in range(months)]
    days = GRAIN.lengths(to_day(firsts[0]), np.arange(months))
    season = np.array([2.0 if first.month == 12 else 1.0 for first in firsts])
    rows = [
        (f"tea {n:02}", to_day(first), float(units))
        for n in range(24)
        for first, units in zip(firsts, generator.poisson((20 + n) * season * days), strict=True)
    ]
    frame = pl.DataFrame(rows, ["product_id", "day", "quantity"], orient="row")
    return Dataset.from_frames("ledger", {"sales": frame.cast({"day": pl.Int32})})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    dataset = ledger(46)  # to October 2022
    model = DemandModel("product:month", 92, rounds=30).fit(dataset, dataset.end)
    folder = tmp_path_factory.mktemp("months")
    publish(model, dataset, dataset.end, folder)
    forecasts = model.predict(dataset, dataset.end)
    return SimpleNamespace(dataset=dataset, model=model, folder=folder, forecasts=forecasts)


def test_forecasts_are_of_calendar_months(fitted):
    dates = fitted.forecasts.get_column("date").unique().sort().to_list()
    assert dates == [date(2022, 11, 1), date(2022, 12, 1), date(2023, 1, 1)]


def test_the_same_month_of_the_year_before_is_repeated(fitted):
    by_month = fitted.forecasts.group_by("date").agg(pl.col("mean").sum()).sort("date")
    november, december, january = by_month.get_column("mean")
    assert december / november == pytest.approx(2 * 31 / 30, rel=0.15)
    assert january / november == pytest.approx(31 / 30, rel=0.1)


def test_units_by_reason_add_up_to_the_forecast(fitted):
    ids = fitted.forecasts.select("product_id").unique()
    explained = fitted.model.explain(fitted.dataset, fitted.dataset.end, ids)
    sums = explained.group_by("product_id", "date").agg(pl.col("units").sum())
    joined = fitted.forecasts.join(sums, on=["product_id", "date"])
    assert joined.get_column("units").to_numpy() == pytest.approx(joined["mean"].to_numpy())


def test_published_months_answer(fitted):
    reader = DemandReader.load(fitted.folder)
    (answer,) = reader.answer([{"product_id": "tea 03"}], horizon_days=61, explain=True)
    assert [point["date"] for point in answer["forecast"]] == ["2022-11-01", "2022-12-01"]
    mean = fitted.forecasts.filter(pl.col("product_id") == "tea 03").get_column("mean")[0]
    assert answer["forecast"][0]["mean"] == pytest.approx(mean)


def test_later_months_do_not_change_features():
    whole = ledger(36)
    earlier = whole.table("sales").to_native().filter(pl.col("day") < to_day("2021-07-01"))
    past = Dataset.from_frames("ledger", {"sales": earlier.collect()})
    frames = [demand(part, GRAIN, past.end, 92).collect().to_polars() for part in (past, whole)]
    assert frames[0].equals(frames[1])


def test_windows_of_months_end_on_the_same_date():
    dataset = ledger(30)
    options = {"grain": "product:month", "horizon_days": 92}
    starts = [origin.date() for origin in rolling_origins(dataset, options, 2, dataset.end)]
    assert starts == [date(2021, 1, 1), date(2021, 4, 1)]
    assert dataset.end.date() - timedelta(days=1) == date(2021, 6, 30)
