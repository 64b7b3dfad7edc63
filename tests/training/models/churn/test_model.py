import math
from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from training.customers.cutoffs import customer_features
from training.models.churn.model import ChurnModel
from training.models.churn.task import CHURN

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def model(journey):
    return ChurnModel().fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


def test_every_customer_with_a_purchase_gets_a_probability(journey, answers):
    known = customer_features(journey, AS_OF).get_column("customer_id")
    assert answers.get_column("customer_id").equals(known)
    assert answers.get_column("churn_probability").is_between(0, 1, closed="none").all()


def with_visit_yesterday(orders, spend=None):
    """Add a visit of every customer the day before AS_OF, with the last spend or `spend`."""
    visit = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.all().last())
    visit = visit.with_columns(
        pl.lit(AS_OF - timedelta(hours=9)).alias("ts"),
        pl.lit(to_day(AS_OF) - 1, dtype=pl.Int32).alias("day"),
        ("extra-" + pl.col("customer_id")).alias("order_id"),
        pl.col("revenue") if spend is None else pl.lit(spend).alias("revenue"),
    )
    return pl.concat([orders, visit.select(orders.columns)])


@pytest.mark.parametrize("spend", [None, 0.0])
def test_another_purchase_yesterday_never_increases_churn(
    model, journey, orders, answers, rewritten, spend
):
    more = rewritten(journey, orders=with_visit_yesterday(orders, spend))
    before = answers.get_column("churn_probability").to_numpy()
    after = model.predict(more, AS_OF).get_column("churn_probability").to_numpy()
    assert (after <= before).all()
    assert after.mean() < 0.8 * before.mean()


@pytest.mark.parametrize("days", [1, 10, 60, 300])
def test_longer_inactivity_never_decreases_churn(model, journey, orders, answers, rewritten, days):
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    later = model.predict(past, AS_OF + timedelta(days=days)).get_column("churn_probability")
    assert (later >= answers.get_column("churn_probability")).all()


def test_removing_the_last_visits_increases_churn(model, journey, orders, answers, rewritten):
    recent = (pl.col("ts") < AS_OF) & (pl.col("ts") >= AS_OF - timedelta(days=42))
    inactive = model.predict(rewritten(journey, orders=orders.filter(~recent)), AS_OF)
    both = answers.join(inactive, on="customer_id", suffix="_inactive")
    increase = both.get_column("churn_probability_inactive") - both.get_column("churn_probability")
    assert increase.mean() > 0.1
    assert increase.min() > -0.01


def test_doubling_all_money_changes_no_probability(model, journey, orders, answers, rewritten):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    assert_frame_equal(model.predict(doubled, AS_OF), answers, check_exact=True)


def test_probabilities_order_customers_far_better_than_chance(journey, answers):
    scores = CHURN.evaluate(journey, AS_OF, {"horizon_days": 28}, answers)
    values = {(score.slice, score.metric): score.value for score in scores}
    assert values["activity=active", "roc_auc"] > 0.75
    assert values["all", "ece"] < 0.08


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 28}
    complete = CHURN.evaluate(journey, AS_OF, options, answers)[0]
    incomplete = CHURN.evaluate(journey, AS_OF, options, answers.head(200))[0]
    assert incomplete.n == complete.n
    assert incomplete.value > complete.value + 1


def test_explanations_are_up_to_three_different_sentences(answers):
    for sentences in answers.get_column("explanations").to_list():
        assert len(set(sentences)) == len(sentences) <= 3
    assert answers.get_column("explanations").list.len().mean() > 2


def test_explanations_support_the_answer(model, answers):
    """Above the usual log-odds all raise churn, below them all lower it."""
    usual = 1 / (1 + math.exp(-sum(model.usual_.contributions.values())))
    rows = answers.select("churn_probability", "explanations", "contributions").iter_rows()
    for probability, sentences, contributions in rows:
        start = "raises churn: " if probability > usual else "lowers churn: "
        assert all(text.startswith(start) for text in sentences)
        assert all((value > 0) == (probability > usual) for value in contributions)


def test_attributes_are_no_explanations_by_default(journey, answers):
    assert "attribute_age" in customer_features(journey, AS_OF).columns
    sentences = answers.get_column("explanations").explode().drop_nulls().to_list()
    assert not [text for text in sentences if "household" in text or "age:" in text]


def test_explanations_state_the_purchase_cadence_in_days(answers):
    sentences = answers.get_column("explanations").explode().drop_nulls().to_list()
    assert any("usually every " in text and ", now " in text for text in sentences)


def test_no_stage_contradicts_the_probability(answers):
    probability = pl.col("churn_probability")
    expected = (
        pl.when(probability >= 2 / 3)
        .then(pl.lit(["lapsed"]))
        .when(probability >= 1 / 3)
        .then(pl.lit(["slipping"]))
        .otherwise(pl.lit(["won back", "growing", "loyal"]))
    )
    others = answers.filter(pl.col("stage") != "new")
    assert others.height > 290
    assert others.select(pl.col("stage").is_in(expected).all()).item()


def test_new_customers_have_few_visits_and_are_recent(journey, answers):
    joined = customer_features(journey, AS_OF).join(answers, on="customer_id")
    new = joined.filter(pl.col("stage") == "new")
    assert (new.get_column("visits") < 3).all()
    assert (new.get_column("tenure") <= 2 * 28).all()


def test_an_unknown_customer_gets_the_rate_of_new_customers_unexplained(model, journey):
    ids = pl.DataFrame({"customer_id": ["nobody", "1"]})
    answers = model.predict(journey, AS_OF, ids)
    assert answers.get_column("customer_id").to_list() == ["nobody", "1"]
    new = answers.row(0, named=True)
    assert new["churn_probability"] == model.timing_.newcomers().survival(28)[0]
    assert new["explanations"] == []


def test_too_short_records_are_refused_with_the_days_that_are_needed(journey):
    with pytest.raises(MissingData, match="28 are needed"):
        ChurnModel().fit(journey, datetime(2017, 1, 20))


def test_a_log_of_customers_and_dates_alone_is_enough(orders):
    columns = ["customer_id", "order_id", "line", "ts", "day", "quantity", "kind"]
    bare = Dataset.from_frames("bare", {"orders": orders.select(columns)})
    answers = ChurnModel().fit(bare, AS_OF).predict(bare, AS_OF)
    assert answers.get_column("churn_probability").is_not_null().all()
