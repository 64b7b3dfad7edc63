"""Contract of every model, whatever it predicts; a new model is tested once it is registered."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.errors import MissingData
from training.contract import options_of
from training.registry import TASKS

AS_OF = datetime(2017, 10, 9)

COLUMNS = {
    "demand": ["product_id", "date", "mean", "q10", "q50", "q90", "plan_known_until", "assumes"],
    "churn": [
        "customer_id",
        "churn_probability",
        "horizon_days",
        "explanations",
        "contributions",
        "stage",
        "rfm_segment",
        "rfm_score",
    ],
    "next-purchase": [
        "customer_id",
        "expected_days",
        "q10",
        "q50",
        "q90",
        "p_within_7",
        "p_within_14",
        "p_within_30",
        "extrapolated",
        "explanations",
        "contributions",
    ],
    "next-category": [
        "customer_id",
        "category",
        "expected_days",
        "q10",
        "q50",
        "q90",
        "p_within_7",
        "p_within_14",
        "p_within_30",
        "extrapolated",
        "explanations",
        "contributions",
    ],
    "value": [
        "customer_id",
        *(
            column.format(days)
            for days in (28, 30, 90, 365)
            for column in ("orders_{}", "value_{}", "value_{}_q10", "value_{}_q90")
        ),
        "historic_value",
        "returned_value",
        "total_value",
        "average_order_value",
        "days_between_orders",
        "expected_next_order",
        "explanations",
        "contributions",
    ],
    "recommender": [
        "customer_id",
        "rank",
        "product_id",
        "score",
        "reason",
        "month",
        "explore",
    ],
}


@pytest.fixture(scope="module", params=list(TASKS))
def task(request):
    return TASKS[request.param]


@pytest.fixture(scope="module")
def options(task, journey):
    return task.options(journey)


@pytest.fixture(scope="module")
def build(task, options, quick):
    """Make an unfitted model."""
    return lambda: task.model(**options, **quick.get(task.name, {}))


@pytest.fixture(scope="module")
def model(build, journey):
    return build().fit(journey, AS_OF)


@pytest.fixture(scope="module")
def ids(task, options, journey):
    return task.population(journey, AS_OF, options).head(20)


@pytest.fixture(scope="module")
def predicted(model, journey, ids):
    return model.predict(journey, AS_OF, ids)


def test_predictions_have_the_public_columns(task, predicted):
    assert predicted.columns == COLUMNS[task.name]


def test_only_requested_ids_are_predicted(predicted, ids):
    key = ids.columns
    assert predicted.select(key).unique().sort(key).equals(ids.select(key).unique().sort(key))


def test_fit_returns_the_model(task, model):
    assert isinstance(model, task.model)


def test_a_saved_model_predicts_as_before(task, model, journey, ids, predicted, tmp_path):
    model.save(tmp_path)
    loaded = task.model.load(tmp_path)
    assert_frame_equal(loaded.predict(journey, AS_OF, ids), predicted, check_exact=True)


def test_nothing_is_saved_as_a_pickle(model, tmp_path):
    model.save(tmp_path)
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".txt", ".json", ".npz", ".parquet"}


@pytest.fixture(scope="module")
def other_future(journey, orders, rewritten):
    """The same past, followed by other orders."""
    future = pl.col("ts") >= AS_OF
    changed = orders.filter(~future | (pl.col("line") % 2 == 0)).with_columns(
        pl.when(future).then(pl.col("quantity") * 3).otherwise("quantity").alias("quantity")
    )
    return rewritten(journey, orders=changed)


def test_the_future_changes_neither_fit_nor_predictions(build, ids, predicted, other_future):
    """Exactly: a model that is fitted again on the same past gives the same predictions."""
    again = build().fit(other_future, AS_OF).predict(other_future, AS_OF, ids)
    assert_frame_equal(again, predicted, check_exact=True)


def test_explanations_name_the_entity_and_the_contribution(model, journey, ids):
    contributions = model.explain(journey, AS_OF, ids)
    assert {*ids.columns, "reason", "contribution"} <= set(contributions.columns)
    assert contributions.height >= ids.height


def test_a_missing_required_table_is_named(task):
    empty = Dataset("empty", "none", {})
    with pytest.raises(MissingData, match=r"orders|sales"):
        task.model.needs.check(empty, task.name)


def test_every_tunable_option_is_an_option_of_the_model_within_its_range(task, options):
    default = options_of(task.model(**options))
    for name, space in task.tunable.items():
        assert space.low <= default[name] <= space.high


def test_evaluation_needs_only_the_predictions(task, options, journey, ids, model):
    population = task.population(journey, AS_OF, options)
    predictions = model.predict(journey, AS_OF, population)
    scores = task.evaluate(journey, AS_OF, options, predictions)
    primary = [s for s in scores if s.metric == task.primary and s.slice == task.primary_slice]
    assert len(primary) == 1
    assert primary[0].n > 0
    assert AS_OF + timedelta(days=options["horizon_days"]) <= journey.end
