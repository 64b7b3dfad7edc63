import time
from datetime import datetime

import pytest

from features.errors import InvalidInput
from serving.answers.next_purchase import NextPurchaseAnswers
from training.models.next_purchase import NextPurchaseModel
from training.models.stacked_cuts import customer_features

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(journey):
    return NextPurchaseModel(rounds=60).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def served(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("next-purchase")
    model.publish(journey, AS_OF, folder)
    return NextPurchaseAnswers.load(folder)


def test_served_answers_are_those_of_the_batch(served, model, journey):
    batch = {row["customer_id"]: row for row in model.predict(journey, AS_OF).to_dicts()}
    for answer in served.answer(list(batch), [7, 14, 30]):
        for name, value in batch[answer["customer_id"]].items():
            assert answer[name] == (
                value if name == "customer_id" else pytest.approx(value, abs=1e-9)
            )


def test_one_customer_alone_is_answered_as_among_many(served):
    many = served.answer(sorted(served.customers.rows)[:50])
    for answer in many[::10]:
        assert served.answer([answer["customer_id"]]) == [answer]


def test_the_chance_is_answered_for_every_number_of_days_asked_and_only_grows(served):
    customer = sorted(served.customers.rows)[0]
    answer = served.answer([customer], list(range(1, 57)))[0]
    chances = [answer[f"p_within_{days}"] for days in range(1, 57)]
    assert chances == sorted(chances)
    assert 0 <= chances[0] <= chances[-1] <= 1


def test_answers_come_in_the_order_asked_and_as_often(served):
    one, other = sorted(served.customers.rows)[:2]
    asked = [other, one, "nobody", other]
    assert [answer["customer_id"] for answer in served.answer(asked)] == asked


def test_an_unknown_customer_is_answered_from_the_population(served, model):
    answer = served.answer(["nobody"], [14])[0]
    assert answer["basis"] == "population"
    assert answer["p_within_14"] == model.newcomer_curve_[13]


def test_few_visits_are_named_as_what_the_answer_rests_on(served, journey):
    visits = dict(customer_features(journey, AS_OF).select("customer_id", "visits").iter_rows())
    for answer in served.answer(list(visits)):
        few = visits[answer["customer_id"]] < 3
        assert answer["basis"] == ("few_purchases" if few else "history")


@pytest.mark.parametrize("days", [0, 57, 2.5, True])
def test_days_beyond_the_follow_up_are_refused_naming_what_is_allowed(served, days):
    with pytest.raises(InvalidInput, match="from 1 to 56") as error:
        served.answer(["1"], [7, days])
    assert error.value.field == "within_days[1]"


def test_a_category_is_refused(served):
    with pytest.raises(InvalidInput, match="overall only") as error:
        served.answer(["1"], [7], "MILK")
    assert error.value.field == "category"


def test_one_customer_takes_a_few_milliseconds(served):
    customer = next(iter(served.customers.rows))
    served.answer([customer])
    started = time.process_time()
    for _ in range(50):
        served.answer([customer])
    assert (time.process_time() - started) / 50 < 0.02
