from datetime import datetime

import pytest

from features.errors import InvalidInput

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(customer_models):
    return customer_models["value"]


@pytest.fixture(scope="module")
def served(customer_readers):
    return customer_readers["value"]


def test_served_answers_equal_batch_predictions(served, model, journey, as_columns):
    batch = {row["customer_id"]: row for row in model.predict(journey, AS_OF).to_dicts()}
    for answer in map(as_columns, served.answer(list(batch))):
        expected = batch[answer["customer_id"]]
        assert {name: answer[name] for name in expected} == expected


def test_answers_for_other_days_equal_batch_predictions(served, model, journey, as_columns):
    features = model.features(journey, AS_OF)
    batch = model.predict_from(features, AS_OF, [45]).row(3, named=True)
    answer = as_columns(served.answer([batch["customer_id"]], [45])[0])
    for name in ("orders_45", "value_45", "value_45_q10", "value_45_q90", "total_value"):
        assert answer[name] == pytest.approx(batch[name], abs=1e-9)
    assert "value_30" not in answer


def test_value_does_not_decrease_with_days(served):
    for answer in served.answer(sorted(served.customers.positions)[:20], [10, 60, 200]):
        values = [horizon["value"] for horizon in answer["horizons"]]
        assert values == sorted(values)
        assert all(horizon["low"] <= horizon["high"] for horizon in answer["horizons"])


def test_an_unknown_customer_is_answered_as_a_new_one_unexplained(served):
    (answer,) = served.answer(["nobody"])
    assert answer["basis"] == "population"
    assert answer["historic_value"] == 0
    assert all(horizon["value"] > 0 for horizon in answer["horizons"])
    assert answer["explanations"] == []


def test_answers_for_other_days_are_in_request_order(served):
    first, second = sorted(served.customers.positions)[:2]
    ids = [second, first, "nobody", second]
    assert [answer["customer_id"] for answer in served.answer(ids, [5])] == ids


@pytest.mark.parametrize("days", [0, 3651, 2.5, True])
def test_invalid_days_are_refused_by_position(served, days):
    with pytest.raises(InvalidInput, match="from 1 to 3650") as error:
        served.answer(["1"], [30, days])
    assert error.value.field == "horizons_days[1]"
