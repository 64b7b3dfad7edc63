from copy import copy
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from training import metrics
from training.customers.cutoffs import orders_and_spend, typical_spend
from training.estimators.bg_nbd import BgNbd
from training.models.value.model import ValueModel
from training.models.value.prediction_interval import MoneyRange
from training.models.value.task import VALUE

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def model(journey):
    return ValueModel(rounds=100).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


@pytest.fixture(scope="module")
def processes(journey):
    """The fall-back: too few examples for boosting."""
    ids = journey.table("orders").select("customer_id").collect().to_polars().unique()
    few = ids.sort("customer_id").head(60).to_series().to_list()
    lines = journey.table("orders").to_native().filter(pl.col("customer_id").is_in(few))
    small = Dataset.from_frames("small", {"orders": lines})
    return ValueModel().fit(small, AS_OF), small


def test_historic_value_is_what_was_paid_before_as_of(answers, orders):
    paid = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.col("revenue").sum())
    both = answers.join(paid, on="customer_id")
    assert both.height == answers.height
    np.testing.assert_allclose(both["historic_value"], both["revenue"], atol=0.01)
    np.testing.assert_allclose(both["total_value"], both["historic_value"] + both["value_365"])


def test_average_order_value_and_days_between_orders_are_those_of_the_visits(answers, orders):
    one = answers.row(0, named=True)
    own = orders.filter(pl.col("ts") < AS_OF, pl.col("customer_id") == one["customer_id"])
    days = own.get_column("day").unique().sort()
    assert one["average_order_value"] == pytest.approx(own["revenue"].sum() / len(days), abs=0.01)
    assert one["days_between_orders"] == pytest.approx(days.diff().mean())


@pytest.mark.parametrize("kind", ["orders", "value"])
def test_more_days_bring_more(answers, kind):
    for shorter, longer in ((28, 30), (30, 90), (90, 365)):
        rise = answers[f"{kind}_{longer}"] - answers[f"{kind}_{shorter}"]
        assert rise.min() >= 0
    assert answers[f"{kind}_28"].min() >= 0


def test_the_range_holds_the_expectation_and_four_in_five_outcomes(journey, answers):
    assert (answers["value_90_q10"] <= answers["value_90"]).all()
    assert (answers["value_90_q90"] >= answers["value_90"]).all()
    scores = VALUE.evaluate(journey, AS_OF, {"horizon_days": 28}, answers)
    found = {(one.slice, one.metric): one.value for one in scores}
    assert 0.72 < found["activity=active", "coverage_80"] < 0.9
    assert abs(found["activity=active", "bias"]) < 0.12


def test_any_days_ahead_are_answered_from_the_features_alone(model, journey, answers):
    features = model.features(journey, AS_OF)
    found = model.predict_from(features, AS_OF, [7, 90, 200])
    assert found["value_90"].equals(answers["value_90"])
    assert (found["value_7"] <= found["value_90"]).all()
    assert "value_365" not in found.columns


def test_twice_the_money_is_twice_the_value_and_the_same_orders(
    model, journey, orders, answers, rewritten
):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    found = model.predict(doubled, AS_OF)
    assert found["orders_28"].equals(answers["orders_28"])
    np.testing.assert_allclose(found["value_90"], 2 * answers["value_90"], rtol=1e-9)
    np.testing.assert_allclose(found["historic_value"], 2 * answers["historic_value"], atol=0.01)


def test_the_next_order_is_expected_after_as_of_or_never(answers):
    dates = answers["expected_next_order"].drop_nulls()
    assert dates.min() >= AS_OF.date()
    often = answers.filter(pl.col("days_between_orders") < 3)["expected_next_order"].drop_nulls()
    assert (often < (AS_OF + timedelta(days=30)).date()).all()


def test_a_next_order_beyond_ten_years_has_no_date(model, journey):
    """One in many comes back, if at all in centuries: the years of calendars end at 9999."""
    slow = copy(model)
    slow.process_ = BgNbd(r=0.001, alpha=20.0, a=1.0, b=2.0)
    found = slow.newcomers(pl.Series(["nobody"]), AS_OF)
    assert found["expected_next_order"].to_list() == [None]


def test_an_unknown_customer_is_worth_what_a_new_one_is(model, journey):
    found = model.predict(journey, AS_OF, pl.DataFrame({"customer_id": ["nobody", "1"]}))
    assert found["customer_id"].to_list() == ["nobody", "1"]
    new = found.row(0, named=True)
    assert new["historic_value"] == 0
    assert 0 < new["value_30"] < new["value_90"] < new["value_365"] == new["total_value"]
    assert new["average_order_value"] is None


def test_with_few_customers_the_processes_answer_alone(processes, tmp_path):
    model, small = processes
    assert model.spend_booster_ is None
    found = model.predict(small, AS_OF)
    assert found["value_90"].is_not_null().all()
    model.save(tmp_path)
    assert ValueModel.load(tmp_path).predict(small, AS_OF).equals(found)
    assert model.explain(small, AS_OF, found.head(3)).height >= 3


def test_a_log_without_money_is_refused_by_column(orders):
    columns = ["customer_id", "order_id", "line", "ts", "day", "quantity", "kind"]
    bare = Dataset.from_frames("bare", {"orders": orders.select(columns)})
    with pytest.raises(MissingData, match="revenue") as error:
        ValueModel().fit(bare, AS_OF)
    assert error.value.field == "orders.revenue"


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 28}
    whole = VALUE.evaluate(journey, AS_OF, options, answers)[0]
    partly = VALUE.evaluate(journey, AS_OF, options, answers.head(100))[0]
    assert partly.n == whole.n
    assert partly.value > 1.2 * whole.value


def test_who_may_not_come_at_all_may_spend_nothing():
    rng = np.random.default_rng(2)
    orders = np.repeat([0.2, 10.0], 1000)
    spent = rng.poisson(orders) * 2.0
    low, high = MoneyRange.fit(orders, 2 * orders, spent).of(orders, 2 * orders)
    assert low[0] == 0
    assert 0 < low[-1] < 20 < high[-1]
    assert metrics.coverage(spent, low, high) == pytest.approx(0.88, abs=0.08)


def test_the_range_lies_about_the_answer_that_is_given(processes, rewritten):
    """All spend three times as much of late: answers are lifted, and the range not twice."""
    _, small = processes
    cut, day = AS_OF - timedelta(days=28), to_day(AS_OF) - 28
    lines = small.table("orders").to_native()
    lately = pl.when(pl.col("ts") >= cut).then(3.0).otherwise(1.0)
    grown = rewritten(small, orders=lines.with_columns(pl.col("revenue") * lately))
    model = ValueModel().fit(grown, AS_OF)
    assert model.level_[1] > 1.2
    said = model.predict(grown, cut)
    _, spent = orders_and_spend(grown, AS_OF, day, 28, said["customer_id"])
    beyond = spent * typical_spend(grown, AS_OF, day) > said["value_28_q90"].to_numpy()
    assert beyond.mean() == pytest.approx(0.1, abs=0.02)


def test_the_expectation_is_never_below_the_range():
    one = np.ones(100)
    low, high = MoneyRange.fit(one, one, 3 * one).of(one, one)
    assert low.max() == 1
    assert high.min() == 3


def test_records_without_any_money_are_refused_by_column(processes, rewritten):
    _, small = processes
    free = small.table("orders").to_native().with_columns(pl.col("revenue") * 0.0)
    for ask in (ValueModel().fit, lambda shop, as_of: VALUE.options(shop, as_of=as_of)):
        with pytest.raises(MissingData, match="revenue above 0") as error:
            ask(rewritten(small, orders=free), AS_OF)
        assert error.value.field == "orders.revenue"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 100), min_size=3, max_size=40, unique=True))
def test_gini_is_one_for_the_right_order_and_less_for_any_other(spent):
    y = np.array(spent)
    assert metrics.normalised_gini(y, 3 * y) == pytest.approx(1)
    assert metrics.normalised_gini(y, -y) == pytest.approx(-1)


def test_decile_error_sees_a_level_that_is_wrong_at_one_end():
    y = np.arange(1.0, 101.0)
    assert metrics.decile_error(y, y) == 0
    too_high = np.where(y > 90, 1.1 * y, y)
    assert metrics.decile_error(y, too_high) == pytest.approx(0.1 * y[90:].sum() / y.sum())
