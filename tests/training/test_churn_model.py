from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.errors import MissingData
from training.customers.cutoffs import (
    customer_features,
    cutoff_days,
    days_to_next,
    features_at_cutoff,
)
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


def with_a_visit_yesterday(orders, spend=None):
    """Everybody comes once more, the day before AS_OF; with their last basket or this one."""
    visit = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.all().last())
    visit = visit.with_columns(
        pl.lit(AS_OF - timedelta(hours=9)).alias("ts"),
        pl.lit(to_day(AS_OF) - 1, dtype=pl.Int32).alias("day"),
        ("extra-" + pl.col("customer_id")).alias("order_id"),
        pl.col("revenue") if spend is None else pl.lit(spend).alias("revenue"),
    )
    return pl.concat([orders, visit.select(orders.columns)])


@pytest.mark.parametrize("spend", [None, 0.0])
def test_another_purchase_yesterday_never_raises_churn(
    model, journey, orders, answers, rewritten, spend
):
    more = rewritten(journey, orders=with_a_visit_yesterday(orders, spend))
    before = answers.get_column("churn_probability").to_numpy()
    after = model.predict(more, AS_OF).get_column("churn_probability").to_numpy()
    assert (after <= before).all()
    assert after.mean() < 0.8 * before.mean()


@pytest.mark.parametrize("days", [1, 10, 60, 300])
def test_a_longer_silence_never_lowers_churn(model, journey, orders, answers, rewritten, days):
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    later = model.predict(past, AS_OF + timedelta(days=days)).get_column("churn_probability")
    assert (later >= answers.get_column("churn_probability")).all()


def test_whose_last_visits_are_taken_away_is_likelier_to_have_left(
    model, journey, orders, answers, rewritten
):
    recent = (pl.col("ts") < AS_OF) & (pl.col("ts") >= AS_OF - timedelta(days=42))
    silent = model.predict(rewritten(journey, orders=orders.filter(~recent)), AS_OF)
    both = answers.join(silent, on="customer_id", suffix="_silent")
    rise = both.get_column("churn_probability_silent") - both.get_column("churn_probability")
    assert rise.mean() > 0.1
    assert rise.min() > -0.01


def test_doubling_all_money_changes_no_probability(model, journey, orders, answers, rewritten):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    assert_frame_equal(model.predict(doubled, AS_OF), answers, check_exact=True)


def test_probabilities_order_customers_far_better_than_chance(journey, answers):
    scores = CHURN.evaluate(journey, AS_OF, {"horizon_days": 28}, answers)
    found = {(one.slice, one.metric): one.value for one in scores}
    assert found["activity=active", "roc_auc"] > 0.75
    assert found["all", "ece"] < 0.08


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 28}
    whole = CHURN.evaluate(journey, AS_OF, options, answers)[0]
    partly = CHURN.evaluate(journey, AS_OF, options, answers.head(200))[0]
    assert partly.n == whole.n
    assert partly.value > whole.value + 1


def test_reasons_are_up_to_three_sentences_without_repetition(answers):
    for reasons in answers.get_column("explanations").to_list():
        assert 1 <= len(set(reasons)) == len(reasons) <= 3


def test_the_usual_rhythm_is_told_in_days(answers):
    told = [r for reasons in answers.get_column("explanations").to_list() for r in reasons]
    assert any(r.startswith("usually every ") and ", now " in r for r in told)


def test_segments_follow_the_own_rhythm(journey, answers):
    seen = customer_features(journey, AS_OF).join(answers, on="customer_id")
    regular = seen.filter(pl.col("segment") == "regular", pl.col("visits") >= 3)
    lapsed = seen.filter(pl.col("segment") == "lapsed", pl.col("visits") >= 3)
    assert (regular.get_column("recency") <= regular.get_column("gap_q90")).all()
    assert (lapsed.get_column("recency") > 2 * lapsed.get_column("gap_q90")).all()


def test_an_unknown_customer_gets_the_rate_of_newcomers_and_is_told_so(model, journey):
    asked = pl.DataFrame({"customer_id": ["nobody", "1"]})
    found = model.predict(journey, AS_OF, asked)
    assert found.get_column("customer_id").to_list() == ["nobody", "1"]
    assert found.row(0, named=True)["churn_probability"] == model.newcomer_rate_
    assert "no purchase known" in found.row(0, named=True)["explanations"][0]


def test_features_of_a_cut_are_those_of_that_instant(journey, rewritten):
    copy = rewritten(journey)
    cut = to_day(AS_OF) - 42
    expected = customer_features(copy, day_start(cut))
    found = features_at_cutoff(rewritten(journey), AS_OF, cut)
    assert_frame_equal(found, expected, check_exact=True)


def test_windows_of_all_cuts_end_by_as_of(journey):
    days = cutoff_days(journey, AS_OF, latest=28, step=14, count=10, history=28)
    assert max(days) + 28 == to_day(AS_OF)
    assert np.diff(days).tolist() == [-14] * 9


def test_days_to_next_see_nothing_from_as_of_on(journey):
    ids = customer_features(journey, AS_OF).get_column("customer_id")
    cut = to_day(AS_OF) - 10
    days = days_to_next(journey, AS_OF, cut, ids).drop_nulls()
    assert days.min() >= 0
    assert days.max() < 10


def test_too_short_a_history_is_refused_with_what_is_needed(journey):
    with pytest.raises(MissingData, match="28 are needed"):
        ChurnModel().fit(journey, datetime(2017, 1, 20))


def test_a_log_of_customers_and_dates_alone_is_enough(orders):
    columns = ["customer_id", "order_id", "line", "ts", "day", "quantity", "kind"]
    bare = Dataset.from_frames("bare", {"orders": orders.select(columns)})
    found = ChurnModel().fit(bare, AS_OF).predict(bare, AS_OF)
    assert found.get_column("churn_probability").is_not_null().all()
