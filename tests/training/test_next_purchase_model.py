from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.errors import InvalidInput
from training.customers.cutoffs import past_cutoffs
from training.customers.survival import answers_from, curve_of
from training.models.churn.model import ChurnModel
from training.models.next_purchase.model import NextPurchaseModel, anchored
from training.models.next_purchase.person_periods import bin_edges
from training.models.next_purchase.task import NEXT_PURCHASE

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(journey):
    return NextPurchaseModel(rounds=60).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


def test_quantiles_are_ordered_and_stop_at_the_horizon(answers):
    assert answers.filter(pl.col("q10") > pl.col("q50")).is_empty()
    assert answers.filter(pl.col("q50") > pl.col("q90")).is_empty()
    assert answers.get_column("q10").min() >= 0
    assert answers.get_column("q90").max() <= 56


def test_the_chance_within_more_days_is_never_smaller(model, journey):
    curves = model.curves(model.features(journey, AS_OF))
    assert (np.diff(curves, axis=1) >= 0).all()
    assert curves.min() >= 0
    assert curves.max() <= 1


def test_another_purchase_the_day_before_makes_the_next_one_sooner(
    model, journey, orders, answers, rewritten
):
    visit = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.all().last())
    visit = visit.with_columns(
        pl.lit(AS_OF - timedelta(hours=9)).alias("ts"),
        pl.lit(to_day(AS_OF) - 1, dtype=pl.Int32).alias("day"),
        ("extra-" + pl.col("customer_id")).alias("order_id"),
    )
    more = rewritten(journey, orders=pl.concat([orders, visit.select(orders.columns)]))
    lost = answers.get_column("expected_days") > 30
    after = model.predict(more, AS_OF).filter(lost).get_column("expected_days")
    assert after.mean() < answers.filter(lost).get_column("expected_days").mean() - 5


def test_longer_silence_makes_the_next_one_later(model, journey, orders, answers, rewritten):
    recent = (pl.col("ts") < AS_OF) & (pl.col("ts") >= AS_OF - timedelta(days=42))
    silent = model.predict(rewritten(journey, orders=orders.filter(~recent)), AS_OF)
    both = answers.join(silent, on="customer_id", suffix="_silent")
    rise = both.get_column("expected_days_silent") - both.get_column("expected_days")
    assert rise.mean() > 5
    assert (rise > -2).mean() > 0.95


def test_doubling_all_money_changes_no_answer(model, journey, orders, answers, rewritten):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    assert_frame_equal(model.predict(doubled, AS_OF), answers, check_exact=True)


def test_intervals_hold_what_they_promise(journey, answers):
    scores = NEXT_PURCHASE.evaluate(journey, AS_OF, {"horizon_days": 56}, answers)
    found = {one.metric: one.value for one in scores if one.slice == "all"}
    assert 0.75 < found["coverage_80"] < 0.9
    assert found["concordance"] > 0.68


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 56}
    whole = NEXT_PURCHASE.evaluate(journey, AS_OF, options, answers)[0]
    partly = NEXT_PURCHASE.evaluate(journey, AS_OF, options, answers.head(200))[0]
    assert partly.n == whole.n
    assert partly.value > 1.5 * whole.value


def test_an_unknown_customer_gets_the_curve_of_newcomers(model, journey):
    asked = pl.DataFrame({"customer_id": ["nobody", "1"]})
    found = model.predict(journey, AS_OF, asked)
    assert found.get_column("customer_id").to_list() == ["nobody", "1"]
    assert found.row(0, named=True)["p_within_14"] == model.newcomer_curve_[13]


def test_cuts_are_followed_for_one_horizon_or_until_as_of(journey):
    cuts = past_cutoffs(journey, AS_OF, 56, step=14, count=6)
    assert [cut.follow_up_days for cut in cuts] == [14, 28, 42, 56, 56, 56]
    for cut in cuts:
        assert cut.days_to_purchase[~cut.purchased].tolist() == [cut.follow_up_days] * int(
            (~cut.purchased).sum()
        )
        assert cut.days_to_purchase[cut.purchased].max() < cut.follow_up_days


def test_too_short_a_horizon_is_refused(journey):
    with pytest.raises(InvalidInput, match="30 or more") as error:
        NextPurchaseModel(horizon_days=14).fit(journey, AS_OF)
    assert error.value.field == "horizon_days"


def with_a_visit_yesterday(orders):
    visit = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.all().last())
    visit = visit.with_columns(
        pl.lit(AS_OF - timedelta(hours=9)).alias("ts"),
        pl.lit(to_day(AS_OF) - 1, dtype=pl.Int32).alias("day"),
        ("extra-" + pl.col("customer_id")).alias("order_id"),
    )
    return pl.concat([orders, visit.select(orders.columns)])


@pytest.mark.parametrize("horizon", [56, 60])
def test_a_purchase_yesterday_never_lowers_the_chance_within_two_months(
    journey, orders, rewritten, horizon
):
    model = NextPurchaseModel(horizon_days=horizon, rounds=60).fit(journey, AS_OF)
    more = rewritten(journey, orders=with_a_visit_yesterday(orders))
    before = model.curves(model.features(journey, AS_OF))[:, -1]
    after = model.curves(model.features(more, AS_OF))[:, -1]
    assert (after >= before).all()
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    later = model.curves(model.features(past, AS_OF + timedelta(days=21)))[:, -1]
    assert (later <= before).all()


def test_the_distribution_at_the_churn_horizon_agrees_with_the_churn_model(model, journey):
    churn = ChurnModel().fit(journey, AS_OF).predict(journey, AS_OF)
    silent = 1 - model.curves(model.features(journey, AS_OF))[:, 27]
    said = churn.get_column("churn_probability").to_numpy()
    assert abs(silent.mean() - said.mean()) < 0.03
    assert np.abs(silent - said).mean() < 0.08
    assert np.corrcoef(silent, said)[0, 1] > 0.9


@given(st.lists(st.floats(0.001, 0.5), min_size=5, max_size=5), st.floats(-4, 4))
def test_an_anchored_curve_ends_in_the_silence_that_is_known(hazard, odds):
    free = 1 - np.cumprod(1 - np.array(hazard))[None, :]
    bound = anchored(free, 3, np.array([odds]))[0]
    assert 1 - bound[2] == pytest.approx(1 / (1 + np.exp(-odds)))
    assert (np.diff(bound) >= 0).all()
    further = (1 - bound[4]) / (1 - bound[2])
    assert further == pytest.approx((1 - free[0, 4]) / (1 - free[0, 2]))


@given(st.integers(30, 200))
def test_bins_cover_every_day_once(horizon):
    edges = bin_edges(horizon)
    assert edges[0] == 0
    assert edges[-1] == horizon
    assert (np.diff(edges) > 0).all()


@settings(deadline=None)
@given(st.floats(0.001, 0.5))
def test_a_constant_hazard_a_day_gives_the_geometric_distribution(a_day):
    edges = bin_edges(56)
    widths = np.diff(edges)
    curve = curve_of((1 - (1 - a_day) ** widths)[None, :], edges)[0]
    np.testing.assert_allclose(curve, 1 - (1 - a_day) ** np.arange(1, 57), atol=1e-8)


@given(st.integers(0, 55))
def test_a_sure_day_is_answered_as_that_day(day):
    curve = (np.arange(56) >= day).astype(float)[None, :]
    found = answers_from(pl.Series(["a"]), curve).row(0, named=True)
    assert found["expected_days"] == day + 0.5
    assert found["q50"] == pytest.approx(day + 0.5)
    assert found["p_within_30"] == float(day < 30)


def test_a_quantile_beyond_the_follow_up_is_reported_as_its_end():
    found = answers_from(pl.Series(["a"]), np.full((1, 56), 0.3)).row(0, named=True)
    assert (found["q50"], found["q90"]) == (56, 56)
    assert found["q10"] < 1
