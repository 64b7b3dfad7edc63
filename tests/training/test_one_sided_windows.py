"""Windows in which everybody did the same, or nobody did anything: judged as far as they can be."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training import metrics
from training.models.churn.baselines import recency_only
from training.registry import TASKS

START, WEEKS = date(2024, 1, 1), 30
AS_OF = datetime(2024, 1, 1) + timedelta(weeks=WEEKS - 4)
OPTIONS = {"horizon_days": 28}


def shop(weeks: range) -> Dataset:
    """Twenty customers who all come in each of these weeks."""
    rows = [
        {
            "customer_id": f"c{who:02d}",
            "order_id": f"{who}-{week}",
            "line": 0,
            "product_id": f"p{(who + week) % 5}",
            "ts": datetime.combine(START, datetime.min.time()) + timedelta(weeks=week, hours=12),
            "day": to_day(START) + 7 * week,
            "quantity": 1.0,
            "revenue": 3.0 + who,
            "kind": "sale",
        }
        for who in range(20)
        for week in weeks
    ]
    schema = {"line": pl.Int32, "day": pl.Int32, "ts": pl.Datetime("us")}
    return Dataset.from_frames("shop", {"orders": pl.DataFrame(rows, schema_overrides=schema)})


def churn_of(dataset: Dataset, p: float) -> dict[str, float]:
    ids = dataset.table("orders").select("customer_id").unique().collect().to_polars()
    said = ids.with_columns(churn_probability=pl.lit(p))
    scores = TASKS["churn"].evaluate(dataset, AS_OF, OPTIONS, said)
    return {one.metric: one.value for one in scores if one.slice == "activity=active"}


@pytest.mark.parametrize(("weeks", "left"), [(range(WEEKS), False), (range(WEEKS - 4), True)])
def test_where_all_stay_or_all_leave_probabilities_are_judged_and_order_is_not(weeks, left):
    found = churn_of(shop(weeks), 0.2)
    assert set(found) == {"log_loss", "brier", "ece"}
    assert found["log_loss"] == pytest.approx(-np.log(0.2 if left else 0.8))


def test_a_classifier_that_saw_one_kind_of_customer_says_so_of_all():
    everybody = shop(range(WEEKS))
    answer = recency_only(28).fit(everybody, AS_OF).predict(everybody, AS_OF)
    assert answer.get_column("churn_probability").to_list() == [0.0] * 20


def test_where_nobody_bought_no_order_of_purchases_can_be_right():
    assert np.isnan(metrics.concordance([28.0, 28.0], [False, False], [3.0, 9.0]))


def test_where_nothing_sold_no_error_of_demand_is_told():
    empty = shop(range(WEEKS - 4))
    task, options = TASKS["demand"], {"grain": "product:week", "horizon_days": 28}
    ids = task.population(empty, AS_OF, options)
    dates = pl.DataFrame({"date": [AS_OF.date() + timedelta(weeks=k) for k in range(4)]})
    said = ids.join(dates, how="cross").with_columns(mean=pl.lit(2.0))
    assert ids.height == 5
    assert task.evaluate(empty, AS_OF, options, said) == []
