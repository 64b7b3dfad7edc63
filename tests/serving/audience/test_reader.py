import polars as pl
import pytest

from features.errors import InvalidInput
from serving.audience.reader import find_audience, schema
from serving.audience.schemas import Member


@pytest.fixture(scope="module")
def answers(people):
    """Churn and value side by side, as they are answered one by one."""
    ids = sorted(people["churn"].customers.positions)
    rows = zip(people["churn"].answer(ids), people["value"].answer(ids), strict=True)
    return {one["customer_id"]: one | other for one, other in rows}


def ids_of(found):
    return set(found.customers.get_column("customer_id"))


def test_the_audience_is_those_whose_answers_meet_the_condition(people, answers):
    found = find_audience(people, "churn_probability > 0.2 and value_90 > 50")
    expected = {
        one
        for one, row in answers.items()
        if row["churn_probability"] > 0.2 and row["value_90"] > 50
    }
    assert ids_of(found) == expected
    assert expected


def test_expected_loss_is_the_sum_of_chance_times_value(people, answers):
    found = find_audience(people, "stage != 'new'")
    losses = [answers[one]["churn_probability"] * answers[one]["value_90"] for one in ids_of(found)]
    assert found.value_field == "value_90"
    assert found.expected_loss == pytest.approx(sum(losses))


def test_another_field_may_say_what_a_customer_is_worth(people, answers):
    found = find_audience(people, "visits > 3", value_field="total_value")
    one = found.customers.row(0, named=True)
    answer = answers[one["customer_id"]]
    expected = answer["churn_probability"] * answer["total_value"]
    assert one["expected_loss"] == pytest.approx(expected)


def test_those_with_whom_most_stands_to_be_lost_come_first(people):
    losses = find_audience(people, "visits > 0").customers.get_column("expected_loss")
    assert losses.is_sorted(descending=True)


def test_the_model_is_unsure_near_even_chances_and_of_few_visits(people, answers):
    found = find_audience(people, "visits > 0")
    for row in found.customers.iter_rows(named=True):
        answer = answers[row["customer_id"]]
        even = 1 / 3 <= answer["churn_probability"] <= 2 / 3
        assert row["unsure"] == (even or answer["basis"] != "history")
    assert found.unsure == found.customers.get_column("unsure").sum() > 0


def test_the_chance_within_any_number_of_days_may_be_asked_for(people):
    found = find_audience(people, "p_within_9 > 0.5")
    chances = people["next-purchase"].answer(sorted(ids_of(found)), [9])
    assert all(one["p_within_9"] > 0.5 for one in chances)
    shown = found.customers.row(0, named=True)
    assert shown["p_within_9"] == pytest.approx(
        next(c["p_within_9"] for c in chances if c["customer_id"] == shown["customer_id"])
    )


def test_the_next_category_is_the_likeliest_within_two_weeks(people):
    answers = people["next-category"].answers
    best = answers.sort("p_within_14", "category", descending=[True, False])
    category = best.item(0, "category")
    found = find_audience(
        people, f"next_category = '{category}' and next_category_p_within_14 > 0.1"
    )
    for one in ids_of(found):
        mine = best.filter(pl.col("customer_id") == one)
        assert mine.item(0, "category") == category
        assert mine.item(0, "p_within_14") > 0.1
    assert best.item(0, "customer_id") in ids_of(found)


def test_habits_and_segments_can_be_asked_for(people):
    favourite = people["profile"].frame.get_column("top_categories")[0][0]
    found = find_audience(people, f"top_categories contains '{favourite}' and rfm_score > 300")
    assert found.customers.height > 0


def test_every_row_is_as_the_endpoint_describes_it(people):
    for row in find_audience(people, "visits > 20").customers.to_dicts():
        Member.model_validate(row)


def test_an_unknown_field_is_answered_with_those_that_there_are(people):
    with pytest.raises(InvalidInput, match=r"churn_probability.*value_90"):
        find_audience(people, "likelihood > 0.4")


def test_a_chance_beyond_ten_years_is_no_field(people):
    with pytest.raises(InvalidInput, match="no field 'p_within_4000'"):
        find_audience(people, "p_within_4000 > 0.4")


def test_a_field_that_is_no_worth_is_refused(people):
    with pytest.raises(InvalidInput, match="value_90") as error:
        find_audience(people, "visits > 1", value_field="stage")
    assert error.value.field == "value"


def test_without_a_value_model_there_is_a_list_but_no_loss(people):
    found = find_audience(
        {name: people[name] for name in ("churn", "profile")}, "churn_probability > 0.2"
    )
    assert found.expected_loss is None
    assert found.customers.height > 0
    assert "value_90" not in schema({name: people[name] for name in ("churn", "profile")})


def test_nobody_is_an_audience_too(people):
    found = find_audience(people, "visits > 100000")
    assert found.customers.is_empty()
    assert (found.expected_loss, found.unsure) == (0.0, 0)


def test_an_audience_does_not_change_with_the_order_of_its_conditions(people):
    one = find_audience(people, "visits > 5 and churn_probability > 0.1").customers
    other = find_audience(people, "churn_probability > 0.1 and visits > 5").customers
    assert one.equals(other.select(one.columns))
