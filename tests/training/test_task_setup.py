"""Default options of tasks suit the records of a dataset; as many folds are set up as fit."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from training.registry import TASKS
from training.task_setup import folds_to_judge, set_up

START = datetime(2022, 1, 3)


def sales(weeks: int, step: int = 7, products: int = 30) -> Dataset:
    """A table of sales with one row per product and week (or day)."""
    frame = pl.DataFrame({"day": [to_day(START) + step * k for k in range(weeks)]})
    ids = pl.DataFrame({"product_id": [f"p{k}" for k in range(products)]})
    table = frame.join(ids, how="cross").with_columns(
        pl.col("day").cast(pl.Int32), quantity=pl.lit(4.0)
    )
    return Dataset.from_frames("sales", {"sales": table})


def test_a_weekly_table_gets_a_weekly_grain():
    setup = set_up(TASKS["demand"], sales(104), START + timedelta(weeks=104), folds=3)
    assert setup.options == {"grain": "product:week", "horizon_days": 56, "country": "US"}
    assert "dated by weeks" in setup.reason


def test_a_daily_grain_is_refused_for_a_weekly_table():
    with pytest.raises(InvalidInput, match="product:week"):
        TASKS["demand"].options(sales(104), grain="product:day")


def test_a_monthly_table_gets_a_monthly_grain():
    months = [to_day(date(2022 + n // 12, n % 12 + 1, 1)) for n in range(30)]
    rows = [(f"tea {n}", day, 90.0) for n in range(20) for day in months]
    frame = pl.DataFrame(rows, ["product_id", "day", "quantity"], orient="row")
    dataset = Dataset.from_frames("ledger", {"sales": frame.cast({"day": pl.Int32})})
    setup = set_up(TASKS["demand"], dataset, dataset.end, folds=1)
    assert setup.options == {"grain": "product:month", "horizon_days": 92, "country": "US"}
    assert "dated by months" in setup.reason
    with pytest.raises(InvalidInput, match="dated by months; use product:month"):
        set_up(TASKS["demand"], dataset, dataset.end, folds=1, grain="product:week")


def test_the_reason_names_the_season_of_demand(journey):
    assert "season of 7 days: weekdays explain" in TASKS["demand"].reason(
        journey, {"grain": "product:day", "horizon_days": 28}, journey.end
    )


def test_a_short_history_gets_a_shorter_horizon():
    dataset = sales(120, step=1)
    setup = set_up(TASKS["demand"], dataset, dataset.end, folds=3)
    assert setup.options == {"grain": "product:day", "horizon_days": 14, "country": "US"}
    assert setup.folds == 2
    assert "evaluated on 2 windows rather than 3" in setup.note


def test_records_shorter_than_two_horizons_are_set_up_without_an_evaluation(journey):
    as_of, short = datetime(2017, 10, 1), {"horizon_days": 273}
    setup = set_up(TASKS["churn"], journey, as_of, folds=3, **short)
    assert setup.folds == 0
    assert not setup.standing.judged
    assert "of 273 days of records, 136 are needed to predict from and 273 to be" in setup.note
    with pytest.raises(MissingData, match=r"cannot be judged .*`foresell train churn`"):
        folds_to_judge(TASKS["churn"], journey, short, as_of, 3)


@pytest.mark.parametrize("name", TASKS)
def test_a_history_too_short_for_one_window_is_refused_with_both_numbers(name, journey, rewritten):
    early = journey.table("orders").to_native().filter(pl.col("ts") < datetime(2017, 1, 13))
    with pytest.raises(MissingData, match=r"needs \d+ days .* has 12 before"):
        set_up(TASKS[name], rewritten(journey, orders=early), datetime(2017, 1, 13), folds=3)


def test_a_dataset_without_consent_is_refused_with_a_remedy(journey, rewritten):
    orders = journey.tables["orders"].to_native()
    ids = orders.select("customer_id").unique().collect()
    refused = rewritten(
        journey,
        orders=orders.with_columns(customer_id=pl.lit(None, pl.String)),
        customers=ids.with_columns(consent=pl.lit("no")),
    )
    with pytest.raises(MissingData, match=r"no buyer in dataset .* given consent in consent"):
        set_up(TASKS["churn"], refused, journey.end, folds=1)


def test_an_exact_number_of_folds_is_refused_where_it_does_not_fit(journey):
    with pytest.raises(InvalidInput, match=r"40 folds of 28 days .* 11"):
        set_up(TASKS["churn"], journey, journey.end, folds=40, exactly=True)


@pytest.mark.parametrize("name", TASKS)
def test_the_setup_at_an_earlier_instant_does_not_depend_on_later_records(name, journey, rewritten):
    as_of = datetime(2017, 9, 11)
    past = journey.table("orders").to_native().filter(pl.col("ts") < as_of)
    task = TASKS[name]
    known = set_up(task, rewritten(journey, orders=past), as_of, folds=2)
    assert set_up(task, journey, as_of, folds=2) == known


def test_a_given_horizon_is_kept(journey):
    setup = set_up(TASKS["churn"], journey, journey.end, folds=3, horizon_days=14)
    assert setup.options == {"horizon_days": 14}
    assert setup.reason == ""


def test_records_with_neither_products_nor_locations_have_no_demand(journey, rewritten):
    orders = (
        journey.table("orders")
        .to_native()
        .select("customer_id", "order_id", "line", "ts", "day", "quantity", "revenue", "kind")
    )
    with pytest.raises(MissingData, match="neither"):
        set_up(TASKS["demand"], rewritten(journey, orders=orders), journey.end, folds=3)


def test_only_demand_records_the_country(journey):
    options = {
        name: set_up(task, journey, journey.end, folds=1, country="NL").options
        for name, task in TASKS.items()
    }
    assert options.pop("demand")["country"] == "NL"
    assert all("country" not in other for other in options.values())
