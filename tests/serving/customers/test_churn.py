import time
from datetime import datetime

import pytest

from serving.customers.next_purchase import NextPurchaseReader
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.publish import publish as publish_next_purchase

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(customer_models):
    return customer_models["churn"]


@pytest.fixture(scope="module")
def served(customer_readers):
    return customer_readers["churn"]


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
        del expected["churn_probability"]
        assert {name: answer[name] for name in expected} == expected


def test_an_unknown_customer_gets_the_rate_of_new_customers(served, model):
    answer = served.answer(["nobody"])[0]
    assert answer["basis"] == "population"
    assert answer["churn_probability"] == model.timing_.newcomers().survival(28)[0]
    assert answer["explanations"] == []


def test_churn_at_any_horizon_is_answered_without_another_model(served):
    ids = [*sorted(served.customers.positions)[:5], "nobody"]
    horizons = [1, 7, 27, 28, 29, 56, 57, 120, 365, 3650]
    answers = [served.answer(ids, horizon) for horizon in horizons]
    for of_customer in zip(*answers, strict=True):
        assert [answer["horizon_days"] for answer in of_customer] == horizons
        assert [answer["extrapolated"] for answer in of_customer] == [h > 56 for h in horizons]
        churn = [answer["churn_probability"] for answer in of_customer]
        assert churn == sorted(churn, reverse=True)


def test_the_curves_of_another_model_answer_in_place_of_its_own(served, next_purchase):
    ids = [*sorted(served.customers.positions)[:5], "nobody"]
    answers = served.answer(ids, 40, next_purchase)
    purchases = next_purchase.answer(ids, [40])
    own = served.answer(ids)
    for answer, purchase, before in zip(answers, purchases, own, strict=True):
        assert answer["churn_probability"] == pytest.approx(
            1 - purchase["within"][0]["probability"], abs=1e-12
        )
        assert answer["stage"] == before["stage"]


def test_one_customer_takes_a_few_milliseconds(served):
    customer = next(iter(served.customers.positions))
    served.answer([customer])
    started = time.process_time()
    for _ in range(50):
        served.answer([customer])
    assert (time.process_time() - started) / 50 < 0.02
