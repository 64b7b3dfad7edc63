import time
from datetime import datetime

import pytest

from features.errors import InvalidInput

AS_OF = datetime(2017, 11, 6)


@pytest.fixture(scope="module")
def model(customer_models):
    return customer_models["next-purchase"]


@pytest.fixture(scope="module")
def served(customer_readers):
    return customer_readers["next-purchase"]


def test_served_answers_equal_batch_predictions(served, model, journey, as_columns):
    batch = {row["customer_id"]: row for row in model.predict(journey, AS_OF).to_dicts()}
    for answer in map(as_columns, served.answer(list(batch), [7, 14, 30])):
        expected = batch[answer["customer_id"]]
        for name, value in expected.items():
            if name != "extrapolated":
                assert answer[name] == (
                    value if name == "customer_id" else pytest.approx(value, abs=1e-9)
                )
        assert answer["extrapolated"] == ("expected_days" in expected["extrapolated"])


def test_probabilities_of_all_requested_days_are_answered_and_increase(served):
    customer = sorted(served.customers.positions)[0]
    answer = served.answer([customer], list(range(1, 57)))[0]
    assert [entry["days"] for entry in answer["within"]] == list(range(1, 57))
    probabilities = [entry["probability"] for entry in answer["within"]]
    assert probabilities == sorted(probabilities)
    assert 0 <= probabilities[0] <= probabilities[-1] <= 1


def test_an_unknown_customer_gets_the_curve_of_new_customers(served, model):
    answer = served.answer(["nobody"], [14])[0]
    assert answer["basis"] == "population"
    assert answer["within"][0]["probability"] == model.timing_.newcomers().within(14)[0]


def test_any_quantile_is_read_off_the_same_distribution(served):
    customer = sorted(served.customers.positions)[0]
    levels = [0.05, 0.1, 0.333, 0.5, 0.9, 0.99]
    answer = served.answer([customer], [7], quantiles=levels)[0]
    assert [quantile["level"] for quantile in answer["quantiles"]] == levels
    days = [quantile["days"] for quantile in answer["quantiles"]]
    assert days == sorted(days)
    median = round(days[3]) or 1
    at_median = served.answer([customer], [median])[0]
    assert at_median["within"][0]["probability"] == pytest.approx(0.5, abs=0.2)


def test_explanations_state_the_purchase_cadence(served):
    answers = served.answer(sorted(served.customers.positions))
    sentences = [sentence for answer in answers for sentence in answer["explanations"]]
    assert any("usually every " in text and ", now " in text for text in sentences)


def test_ten_thousand_are_answered_in_two_seconds(served):
    known = sorted(served.customers.positions)
    ids = known * (5_000 // len(known) + 1) + [f"unknown {k}" for k in range(5_000)]
    seconds = []
    for _ in range(3):
        started = time.process_time()
        assert len(served.answer(ids, [3, 10], quantiles=[0.25, 0.75])) >= 10_000
        seconds.append(time.process_time() - started)
    # The least, because other threads of the process and collections of garbage count as well.
    assert min(seconds) < 2


def test_what_lies_beyond_the_follow_up_is_extrapolated_and_named(served):
    ids = [*sorted(served.customers.positions)[:40], "nobody"]
    days = [30, 56, 57, 90, 365, 3650]
    for answer in served.answer(ids, days, quantiles=[0.1, 0.99]):
        probabilities = [entry["probability"] for entry in answer["within"]]
        assert probabilities == sorted(probabilities)
        assert probabilities[2] - probabilities[1] < 0.02
        assert probabilities[-1] <= 1
        for entry in answer["within"]:
            assert entry["extrapolated"] == (entry["days"] > 56)
        for entry in answer["quantiles"]:
            assert entry["extrapolated"] == (entry["days"] is None or entry["days"] > 56)
        expected = answer["expected_days"]
        assert answer["extrapolated"] == (expected is None or expected > 56)


def test_a_quantile_is_the_day_on_which_its_probability_is_reached(served):
    ids = sorted(served.customers.positions)
    for answer in served.answer(ids, [57], quantiles=[0.6]):
        reached = answer["quantiles"][0]["days"]
        if reached is not None:
            day = max(round(reached), 1)
            within = served.answer([answer["customer_id"]], [day, day + 1])[0]
            assert within["within"][1]["probability"] >= 0.6 - 1e-9


@pytest.mark.parametrize("days", [0, 3651, 2.5, True])
def test_invalid_days_are_refused_by_position(served, days):
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
