import time
from datetime import datetime

import numpy as np
import pytest

from features.errors import InvalidInput
from serving.customers.next_purchase import NextPurchaseReader
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.publish import publish

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(journey):
    return NextPurchaseModel(rounds=60).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def served(model, journey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("next-purchase")
    publish(model, journey, AS_OF, folder)
    return NextPurchaseReader.load(folder)


def test_served_answers_are_those_of_the_batch(served, model, journey):
    batch = {row["customer_id"]: row for row in model.predict(journey, AS_OF).to_dicts()}
    for answer in served.answer(list(batch), [7, 14, 30]):
        for name, value in batch[answer["customer_id"]].items():
            assert answer[name] == (
                value if name == "customer_id" else pytest.approx(value, abs=1e-9)
            )


def test_the_chance_is_answered_for_every_number_of_days_asked_and_only_grows(served):
    customer = sorted(served.customers.positions)[0]
    answer = served.answer([customer], list(range(1, 57)))[0]
    chances = [answer[f"p_within_{days}"] for days in range(1, 57)]
    assert chances == sorted(chances)
    assert 0 <= chances[0] <= chances[-1] <= 1


def test_an_unknown_customer_is_answered_from_the_population(served, model):
    answer = served.answer(["nobody"], [14])[0]
    assert answer["basis"] == "population"
    assert answer["p_within_14"] == model.new_customer_curve_[13]


def test_any_quantile_is_read_off_the_same_distribution(served):
    customer = sorted(served.customers.positions)[0]
    levels = [0.05, 0.1, 0.333, 0.5, 0.9, 0.99]
    answer = served.answer([customer], [7], quantiles=levels)[0]
    days = [answer[name] for name in ("q5", "q10", "q33.3", "q50", "q90", "q99")]
    assert days == sorted(days)
    chance = served.answer([customer], [round(answer["q50"]) or 1])[0]
    assert chance[f"p_within_{round(answer['q50']) or 1}"] == pytest.approx(0.5, abs=0.2)


def test_explanations_state_the_purchase_cadence(served):
    answers = served.answer(sorted(served.customers.positions))
    sentences = [sentence for answer in answers for sentence in answer["explanations"]]
    assert any(text.startswith("usually every ") and ", now " in text for text in sentences)


def test_ten_thousand_are_answered_in_two_seconds(served):
    known = sorted(served.customers.positions)
    asked = known * (5_000 // len(known) + 1) + [f"unknown {k}" for k in range(5_000)]
    started = time.process_time()
    assert len(served.answer(asked, [3, 10], quantiles=[0.25, 0.75])) >= 10_000
    assert time.process_time() - started < 2


def test_beyond_the_follow_up_the_process_goes_on_and_the_answer_says_so(served):
    asked = [*sorted(served.customers.positions)[:40], "nobody"]
    days = [30, 56, 57, 90, 365, 3650]
    for answer in served.answer(asked, days):
        chances = [answer[f"p_within_{one}"] for one in days]
        assert chances == sorted(chances)
        assert chances[2] - chances[1] < 0.02
        assert chances[-1] <= 1
        assert answer["extrapolated"] == [f"p_within_{one}" for one in days[2:]]
    assert served.answer(asked, [56])[0]["extrapolated"] == []
    np.testing.assert_allclose(
        served.probability_within(asked, 90),
        [one["p_within_90"] for one in served.answer(asked, [90])],
    )


@pytest.mark.parametrize("days", [0, 3651, 2.5, True])
def test_days_that_are_none_are_refused_naming_what_is_allowed(served, days):
    with pytest.raises(InvalidInput, match="from 1 to 3650") as error:
        served.answer(["1"], [7, days])
    assert error.value.field == "within_days[1]"


def test_one_customer_takes_a_few_milliseconds(served):
    customer = next(iter(served.customers.positions))
    served.answer([customer])
    started = time.process_time()
    for _ in range(50):
        served.answer([customer])
    assert (time.process_time() - started) / 50 < 0.02
