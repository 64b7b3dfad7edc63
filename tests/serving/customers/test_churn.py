import time
from datetime import datetime

import pytest

from features.errors import InvalidInput
from serving.customers.churn import ChurnReader
from serving.customers.next_purchase import NextPurchaseReader
from training.models.churn.model import ChurnModel
from training.models.churn.publish import publish
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.publish import publish as publish_next_purchase

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def model(journey):
    return ChurnModel().fit(journey, AS_OF)


@pytest.fixture(scope="module")
def served(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("churn")
    publish(model, journey, AS_OF, folder)
    return ChurnReader.load(folder)


@pytest.fixture(scope="module")
def next_purchase(journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("next-purchase")
    fitted = NextPurchaseModel(rounds=20).fit(journey, AS_OF)
    publish_next_purchase(fitted, journey, AS_OF, folder)
    return NextPurchaseReader.load(folder)


def test_served_answers_equal_batch_predictions(served, model, journey):
    batch = {row["customer_id"]: row for row in model.predict(journey, AS_OF).to_dicts()}
    for answer in served.answer(list(batch)):
        expected = batch[answer["customer_id"]]
        assert answer["churn_probability"] == pytest.approx(expected["churn_probability"], abs=1e-9)
        assert answer["explanations"] == expected["explanations"]
        assert {name: answer[name] for name in expected} == expected


def test_an_unknown_customer_gets_the_rate_of_new_customers(served, model):
    answer = served.answer(["nobody"])[0]
    assert answer["basis"] == "population"
    assert answer["churn_probability"] == model.new_customer_rate_
    assert "no purchase known" in answer["explanations"][0]


def test_another_horizon_without_next_purchase_is_refused_naming_the_horizon(served):
    with pytest.raises(InvalidInput, match="ask for 28") as error:
        served.answer(["1"], 30)
    assert error.value.field == "horizon_days"
    assert served.answer(["nobody"], 28)


def test_another_horizon_is_answered_from_next_purchase(served, next_purchase):
    ids = [*sorted(served.customers.positions)[:5], "nobody"]
    same_horizon = served.answer(ids, 28, next_purchase)
    other = served.answer(ids, 40, next_purchase)
    purchases = next_purchase.answer(ids, [40])
    for own, answer, purchase in zip(same_horizon, other, purchases, strict=True):
        assert own["answered_by"] == "churn"
        assert answer["answered_by"] == "next-purchase"
        assert answer["horizon_days"] == 40
        assert answer["churn_probability"] == pytest.approx(1 - purchase["p_within_40"])
        assert answer["stage"] == own["stage"]


def test_a_horizon_beyond_the_follow_up_is_marked_as_extrapolated(served, next_purchase):
    ids = [*sorted(served.customers.positions)[:5], "nobody"]
    inside = served.answer(ids, 56, next_purchase)
    for near, far in zip(inside, served.answer(ids, 120, next_purchase), strict=True):
        assert far["answered_by"] == "next-purchase, extrapolated"
        assert 0 < far["churn_probability"] < near["churn_probability"]


def test_one_customer_takes_a_few_milliseconds(served):
    customer = next(iter(served.customers.positions))
    served.answer([customer])
    started = time.process_time()
    for _ in range(50):
        served.answer([customer])
    assert (time.process_time() - started) / 50 < 0.02
