"""Windows in which all customers did the same, or nobody did anything, are evaluated too."""

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
    """Twenty customers who all buy in each of these weeks."""
    rows = [
        {
            "customer_id": f"c{customer:02d}",
            "order_id": f"{customer}-{week}",
            "line": 0,
            "product_id": f"p{(customer + week) % 5}",
            "ts": datetime.combine(START, datetime.min.time()) + timedelta(weeks=week, hours=12),
            "day": to_day(START) + 7 * week,
            "quantity": 1.0,
            "revenue": 3.0 + customer,
            "kind": "sale",
        }
        for customer in range(20)
        for week in weeks
    ]
    schema = {"line": pl.Int32, "day": pl.Int32, "ts": pl.Datetime("us")}
    return Dataset.from_frames("shop", {"orders": pl.DataFrame(rows, schema_overrides=schema)})


def churn_of(dataset: Dataset, p: float) -> dict[str, float]:
    ids = dataset.table("orders").select("customer_id").unique().collect().to_polars()
    predictions = ids.with_columns(churn_probability=pl.lit(p))
    scores = TASKS["churn"].evaluate(dataset, AS_OF, OPTIONS, predictions)
    return {score.metric: score.value for score in scores if score.slice == "activity=active"}


@pytest.mark.parametrize(("weeks", "left"), [(range(WEEKS), False), (range(WEEKS - 4), True)])
def test_without_both_outcomes_probabilities_are_evaluated_and_ranking_is_not(weeks, left):
    values = churn_of(shop(weeks), 0.2)
    assert set(values) == {"log_loss", "brier", "ece"}
    assert values["log_loss"] == pytest.approx(-np.log(0.2 if left else 0.8))


def test_a_classifier_of_one_class_predicts_that_class():
    everybody = shop(range(WEEKS))
    answer = recency_only(28).fit(everybody, AS_OF).predict(everybody, AS_OF)
    assert answer.get_column("churn_probability").to_list() == [0.0] * 20


def test_concordance_is_nan_where_nobody_bought():
    assert np.isnan(metrics.concordance([28.0, 28.0], [False, False], [3.0, 9.0]))


def test_demand_has_no_scores_where_nothing_sold():
    empty = shop(range(WEEKS - 4))
    task, options = TASKS["demand"], {"grain": "product:week", "horizon_days": 28}
    ids = task.population(empty, AS_OF, options)
    dates = pl.DataFrame({"date": [AS_OF.date() + timedelta(weeks=k) for k in range(4)]})
    predictions = ids.join(dates, how="cross").with_columns(mean=pl.lit(2.0))
    assert ids.height == 5
    assert task.evaluate(empty, AS_OF, options, predictions) == []
