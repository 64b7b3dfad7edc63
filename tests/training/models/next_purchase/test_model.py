from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.errors import InvalidInput
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.task import NEXT_PURCHASE

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(journey):
    return NextPurchaseModel(rounds=60).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


def test_quantiles_are_ordered_and_beyond_the_follow_up_extrapolated(answers):
    never = pl.col("q10", "q50", "q90").fill_null(float("inf"))
    days = answers.select(never)
    assert days.filter(pl.col("q10") > pl.col("q50")).is_empty()
    assert days.filter(pl.col("q50") > pl.col("q90")).is_empty()
    assert days.get_column("q10").min() >= 0
    marked = answers.get_column("extrapolated").list.contains("q90")
    assert (marked == (days.get_column("q90") > 56)).all()


def test_the_expected_days_are_the_median(answers):
    assert answers.get_column("expected_days").equals(answers.get_column("q50"), check_names=False)


def with_visit_yesterday(orders):
    """Add a visit of every customer the day before AS_OF."""
    visit = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.all().last())
    visit = visit.with_columns(
        pl.lit(AS_OF - timedelta(hours=9)).alias("ts"),
        pl.lit(to_day(AS_OF) - 1, dtype=pl.Int32).alias("day"),
        ("extra-" + pl.col("customer_id")).alias("order_id"),
    )
    return pl.concat([orders, visit.select(orders.columns)])


def test_another_purchase_the_day_before_makes_the_next_one_sooner(
    model, journey, orders, answers, rewritten
):
    more = rewritten(journey, orders=with_visit_yesterday(orders))
    lost = answers.get_column("expected_days") > 30
    after = model.predict(more, AS_OF).filter(lost).get_column("expected_days")
    assert after.median() < answers.filter(lost).get_column("expected_days").median() - 5


def test_longer_inactivity_makes_the_next_one_later(model, journey, orders, answers, rewritten):
    recent = (pl.col("ts") < AS_OF) & (pl.col("ts") >= AS_OF - timedelta(days=42))
    inactive = model.predict(rewritten(journey, orders=orders.filter(~recent)), AS_OF)
    both = answers.join(inactive, on="customer_id", suffix="_inactive")
    increase = both.get_column("p_within_14") - both.get_column("p_within_14_inactive")
    assert increase.mean() > 0.1
    assert (increase > -0.02).mean() > 0.95


def test_doubling_all_money_changes_no_answer(model, journey, orders, answers, rewritten):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    assert_frame_equal(model.predict(doubled, AS_OF), answers, check_exact=True)


def test_the_interval_has_its_coverage(journey, answers):
    scores = NEXT_PURCHASE.evaluate(journey, AS_OF, {"horizon_days": 56}, answers)
    values = {score.metric: score.value for score in scores if score.slice == "all"}
    assert 0.75 < values["coverage_80"] < 0.9
    assert values["concordance"] > 0.68


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 56}
    complete = NEXT_PURCHASE.evaluate(journey, AS_OF, options, answers)[0]
    incomplete = NEXT_PURCHASE.evaluate(journey, AS_OF, options, answers.head(200))[0]
    assert incomplete.n == complete.n
    assert incomplete.value > 1.5 * complete.value


def test_an_unknown_customer_gets_the_curve_of_newcomers(model, journey):
    ids = pl.DataFrame({"customer_id": ["nobody", "1"]})
    answers = model.predict(journey, AS_OF, ids)
    assert answers.get_column("customer_id").to_list() == ["nobody", "1"]
    assert answers.row(0, named=True)["p_within_14"] == model.timing_.newcomers().within(14)[0]


def test_too_short_a_horizon_is_refused(journey):
    with pytest.raises(InvalidInput, match="30 or more") as error:
        NextPurchaseModel(horizon_days=14).fit(journey, AS_OF)
    assert error.value.field == "horizon_days"


@pytest.mark.parametrize("days", [1, 5, 14, 28, 45, 60, 365])
def test_a_purchase_yesterday_never_lowers_the_probability_within_any_days(
    model, journey, orders, rewritten, days
):
    more = rewritten(journey, orders=with_visit_yesterday(orders))
    curves = model.timing_.curves
    before = curves(model.features(journey, AS_OF)).within(days)
    after = curves(model.features(more, AS_OF)).within(days)
    assert (after >= before).all()
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    later = curves(model.features(past, AS_OF + timedelta(days=21))).within(days)
    assert (later <= before).all()
