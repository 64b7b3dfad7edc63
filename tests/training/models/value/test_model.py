from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from training.customers.cutoffs import orders_and_spend, typical_spend
from training.models.value.model import ValueModel
from training.models.value.task import VALUE

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def model(journey):
    return ValueModel(rounds=100).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def answers(model, journey):
    return model.predict(journey, AS_OF)


@pytest.fixture(scope="module")
def without_boosters(journey):
    """A model of too few examples for boosters, and its dataset."""
    ids = journey.table("orders").select("customer_id").collect().to_polars().unique()
    few = ids.sort("customer_id").head(60).to_series().to_list()
    lines = journey.table("orders").to_native().filter(pl.col("customer_id").is_in(few))
    small = Dataset.from_frames("small", {"orders": lines})
    return ValueModel().fit(small, AS_OF), small


def test_historic_value_is_the_revenue_before_as_of(answers, orders):
    paid = orders.filter(pl.col("ts") < AS_OF).group_by("customer_id").agg(pl.col("revenue").sum())
    both = answers.join(paid, on="customer_id")
    assert both.height == answers.height
    np.testing.assert_allclose(both["historic_value"], both["revenue"], atol=0.01)
    np.testing.assert_allclose(both["total_value"], both["historic_value"] + both["value_365"])


def test_average_order_value_and_days_between_orders_are_those_of_the_visits(answers, orders):
    answer = answers.row(0, named=True)
    lines = orders.filter(pl.col("ts") < AS_OF, pl.col("customer_id") == answer["customer_id"])
    days = lines.get_column("day").unique().sort()
    per_day = lines["revenue"].sum() / len(days)
    assert answer["average_order_value"] == pytest.approx(per_day, abs=0.01)
    assert answer["days_between_orders"] == pytest.approx(days.diff().mean())


@pytest.mark.parametrize("kind", ["orders", "value"])
def test_more_days_bring_more(answers, kind):
    for shorter, longer in ((28, 30), (30, 90), (90, 365)):
        increase = answers[f"{kind}_{longer}"] - answers[f"{kind}_{shorter}"]
        assert increase.min() >= 0
    assert answers[f"{kind}_28"].min() >= 0


def test_no_day_further_ahead_brings_fewer_orders_less_value_or_a_narrower_interval(model, journey):
    days = [1, 2, 7, 27, 28, 29, 30, 31, 60, 90, 91, 365, 366, 1000]
    answers = model.predict_from(model.features(journey, AS_OF), AS_OF, days)
    new = model.predict_new(["nobody"], AS_OF, days)
    for rows in (answers, new):
        low, high = (
            rows.select(pl.col(f"value_{day}_q{level}") for day in days).to_numpy()
            for level in (10, 90)
        )
        value, orders = (
            rows.select(pl.col(f"{kind}_{day}") for day in days).to_numpy()
            for kind in ("value", "orders")
        )
        for increasing in (orders, value, low, high, high - low):
            assert (np.diff(increasing, axis=1) >= -1e-9 * value[:, 1:]).all()
        assert (low <= value * (1 + 1e-9)).all()
        assert (value <= high * (1 + 1e-9)).all()


def test_expected_orders_are_at_least_the_probability_of_one(model, journey):
    days, features = [1, 14, 28, 90, 365], model.features(journey, AS_OF)
    answers, new = model.predict_from(features, AS_OF, days), model.predict_new(["x"], AS_OF, days)
    for rows, curves in (
        (answers, model.timing_.curves(features)),
        (new, model.timing_.newcomers(1)),
    ):
        for day in days:
            assert (rows[f"orders_{day}"].to_numpy() >= curves.within(day)).all()


def test_without_a_season_value_is_orders_times_the_same_spend_per_order(answers):
    per_order = answers["value_28"] / answers["orders_28"]
    np.testing.assert_allclose(answers["value_365"], answers["orders_365"] * per_order)


def test_the_interval_contains_the_expectation_and_four_in_five_outcomes(journey, answers):
    assert (answers["value_90_q10"] <= answers["value_90"]).all()
    assert (answers["value_90_q90"] >= answers["value_90"]).all()
    scores = VALUE.evaluate(journey, AS_OF, {"horizon_days": 28}, answers)
    values = {(score.slice, score.metric): score.value for score in scores}
    assert 0.72 < values["activity=active", "coverage_80"] < 0.9
    assert abs(values["activity=active", "bias"]) < 0.12


def test_any_days_ahead_are_predicted_from_features_alone(model, journey, answers):
    features = model.features(journey, AS_OF)
    other = model.predict_from(features, AS_OF, [7, 90, 200])
    assert other["value_90"].equals(answers["value_90"])
    assert (other["value_7"] <= other["value_90"]).all()
    assert "value_365" not in other.columns


def test_twice_the_money_is_twice_the_value_and_the_same_orders(
    model, journey, orders, answers, rewritten
):
    doubled = rewritten(journey, orders=orders.with_columns(pl.col("revenue", "discount") * 2))
    after = model.predict(doubled, AS_OF)
    assert after["orders_28"].equals(answers["orders_28"])
    np.testing.assert_allclose(after["value_90"], 2 * answers["value_90"], rtol=1e-9)
    np.testing.assert_allclose(after["historic_value"], 2 * answers["historic_value"], atol=0.01)


def test_the_next_order_is_expected_after_as_of_or_never(answers):
    dates = answers["expected_next_order"].drop_nulls()
    assert dates.min() >= AS_OF.date()
    frequent = answers.filter(pl.col("days_between_orders") < 3)["expected_next_order"].drop_nulls()
    assert (frequent < (AS_OF + timedelta(days=30)).date()).all()


def test_an_unknown_customer_has_the_value_of_a_new_one(model, journey):
    answers = model.predict(journey, AS_OF, pl.DataFrame({"customer_id": ["nobody", "1"]}))
    assert answers["customer_id"].to_list() == ["nobody", "1"]
    new = answers.row(0, named=True)
    assert new["historic_value"] == 0
    assert 0 < new["value_30"] < new["value_90"] < new["value_365"] == new["total_value"]
    assert new["average_order_value"] is None


def test_few_customers_are_predicted_without_boosters(without_boosters, tmp_path):
    model, small = without_boosters
    assert not model.boosters_
    answers = model.predict(small, AS_OF)
    assert answers["value_90"].is_not_null().all()
    model.save(tmp_path)
    assert ValueModel.load(tmp_path).predict(small, AS_OF).equals(answers)
    assert model.explain(small, AS_OF, answers.head(3)).height >= 3


def test_customers_who_never_return_are_predicted_without_boosters():
    days = np.arange(1500) % 300
    rows = [(f"c{n}", f"o{n}", day, 10.0) for n, day in enumerate(days)]
    names = ["customer_id", "order_id", "day", "revenue"]
    orders = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.lit("p").alias("product_id"),
        (pl.lit(datetime(2017, 1, 1)) + pl.duration(days="day")).alias("ts"),
    )
    shop = Dataset.from_frames("once", {"orders": orders.drop("day")})
    model = ValueModel().fit(shop, shop.end)
    assert not model.boosters_
    assert model.predict(shop, shop.end)["value_28"].is_finite().all()


def test_records_without_a_revenue_column_are_refused(orders):
    columns = ["customer_id", "order_id", "line", "ts", "day", "quantity", "kind"]
    bare = Dataset.from_frames("bare", {"orders": orders.select(columns)})
    with pytest.raises(MissingData, match="revenue") as error:
        ValueModel().fit(bare, AS_OF)
    assert error.value.field == "orders.revenue"


def test_a_missing_prediction_counts_against_the_method(journey, answers):
    options = {"horizon_days": 28}
    complete = VALUE.evaluate(journey, AS_OF, options, answers)[0]
    incomplete = VALUE.evaluate(journey, AS_OF, options, answers.head(100))[0]
    assert incomplete.n == complete.n
    assert incomplete.value > 1.2 * complete.value


def test_the_interval_follows_the_level_of_the_newest_outcomes(without_boosters, rewritten):
    """Spend triples in the last horizon."""
    _, small = without_boosters
    cutoff, day = AS_OF - timedelta(days=28), to_day(AS_OF) - 28
    lines = small.table("orders").to_native()
    factor = pl.when(pl.col("ts") >= cutoff).then(3.0).otherwise(1.0)
    grown = rewritten(small, orders=lines.with_columns(pl.col("revenue") * factor))
    model = ValueModel().fit(grown, AS_OF)
    answers = model.predict(grown, cutoff)
    _, spent = orders_and_spend(grown, AS_OF, day, 28, answers["customer_id"])
    beyond = spent * typical_spend(grown, AS_OF, day) > answers["value_28_q90"].to_numpy()
    assert beyond.mean() == pytest.approx(0.1, abs=0.02)


def test_records_without_revenue_are_refused(without_boosters, rewritten):
    _, small = without_boosters
    free = small.table("orders").to_native().with_columns(pl.col("revenue") * 0.0)
    for ask in (ValueModel().fit, lambda shop, as_of: VALUE.options(shop, as_of=as_of)):
        with pytest.raises(MissingData, match="revenue above 0") as error:
            ask(rewritten(small, orders=free), AS_OF)
        assert error.value.field == "orders.revenue"
