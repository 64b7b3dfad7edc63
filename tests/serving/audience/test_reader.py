import polars as pl
import pytest

from features.errors import InvalidInput
from serving.audience.reader import find_audience, schema
from serving.audience.routes import member_of
from serving.audience.schemas import Member
from serving.customers.timing import timing_of


@pytest.fixture(scope="module")
def answers(customer_readers, as_columns):
    """The answers of churn and value by customer."""
    ids = sorted(customer_readers["churn"].customers.positions)
    rows = zip(
        customer_readers["churn"].answer(ids), customer_readers["value"].answer(ids), strict=True
    )
    return {churn["customer_id"]: churn | as_columns(value) for churn, value in rows}


def ids_of(audience):
    return set(audience.customers.get_column("customer_id"))


def test_an_audience_is_the_customers_whose_answers_satisfy_the_condition(
    customer_readers, answers
):
    audience = find_audience(customer_readers, "churn_probability > 0.2 and value_90 > 50")
    expected = {
        customer
        for customer, row in answers.items()
        if row["churn_probability"] > 0.2 and row["value_90"] > 50
    }
    assert ids_of(audience) == expected
    assert expected


def test_expected_loss_is_the_sum_of_probability_times_value(customer_readers, answers):
    audience = find_audience(customer_readers, "stage != 'new'")
    rows = [answers[customer] for customer in ids_of(audience)]
    losses = [row["churn_probability"] * row["value_90"] for row in rows]
    assert audience.value_field == "value_90"
    assert audience.expected_loss == pytest.approx(sum(losses))


def test_the_value_field_can_be_chosen(customer_readers, answers):
    audience = find_audience(customer_readers, "visits > 3", value_field="total_value")
    row = audience.customers.row(0, named=True)
    answer = answers[row["customer_id"]]
    expected = answer["churn_probability"] * answer["total_value"]
    assert row["expected_loss"] == pytest.approx(expected)


def test_customers_are_ordered_by_expected_loss(customer_readers):
    losses = find_audience(customer_readers, "visits > 0").customers.get_column("expected_loss")
    assert losses.is_sorted(descending=True)


def test_customers_near_even_probability_or_of_few_visits_are_unsure(customer_readers, answers):
    audience = find_audience(customer_readers, "visits > 0")
    for row in audience.customers.iter_rows(named=True):
        answer = answers[row["customer_id"]]
        even = 1 / 3 <= answer["churn_probability"] <= 2 / 3
        assert row["unsure"] == (even or answer["basis"] != "history")
    assert audience.unsure == audience.customers.get_column("unsure").sum() > 0


def test_conditions_can_read_the_probability_within_any_number_of_days(customer_readers):
    audience = find_audience(customer_readers, "p_within_9 > 0.5")
    ids, timing = sorted(ids_of(audience)), timing_of(customer_readers)
    answers = customer_readers["next-purchase"].answer(ids, [9], timing=timing)
    within = {answer["customer_id"]: answer["within"][0]["probability"] for answer in answers}
    assert min(within.values()) > 0.5
    shown = audience.customers.row(0, named=True)
    assert shown["p_within_9"] == pytest.approx(within[shown["customer_id"]])


def test_the_next_category_is_the_most_likely_within_two_weeks(customer_readers):
    answers = customer_readers["next-category"].answers
    best = answers.sort("p_within_14", "category", descending=[True, False])
    category = best.item(0, "category")
    audience = find_audience(
        customer_readers, f"next_category = '{category}' and next_category_p_within_14 > 0.1"
    )
    for customer in ids_of(audience):
        rows = best.filter(pl.col("customer_id") == customer)
        assert rows.item(0, "category") == category
        assert rows.item(0, "p_within_14") > 0.1
    assert best.item(0, "customer_id") in ids_of(audience)


def test_conditions_can_read_favourites_and_segments(customer_readers):
    favourite = customer_readers["profile"].frame.get_column("top_categories")[0][0]
    audience = find_audience(
        customer_readers, f"top_categories contains '{favourite}' and rfm_score > 300"
    )
    assert audience.customers.height > 0


def test_every_row_has_the_shape_of_the_endpoint(customer_readers):
    audience = find_audience(customer_readers, "visits > 20 and total_value > 0")
    for row in audience.customers.iter_rows(named=True):
        member = Member.model_validate(member_of(row, audience.value_field))
        assert member.value == row["value_90"]
        assert member.fields.keys() == {"visits", "total_value"}


def test_an_unknown_field_is_refused_with_the_known_ones(customer_readers):
    with pytest.raises(InvalidInput, match=r"churn_probability.*value_90"):
        find_audience(customer_readers, "likelihood > 0.4")


def test_the_removed_segment_is_refused_with_the_field_to_use(customer_readers):
    with pytest.raises(InvalidInput, match=r"no field .segment.*use stage"):
        find_audience(customer_readers, "segment = 'slipping'")


def test_a_probability_beyond_ten_years_is_no_field(customer_readers):
    with pytest.raises(InvalidInput, match="no field 'p_within_4000'"):
        find_audience(customer_readers, "p_within_4000 > 0.4")


def test_a_value_field_that_is_not_numeric_is_refused(customer_readers):
    with pytest.raises(InvalidInput, match="value_90") as error:
        find_audience(customer_readers, "visits > 1", value_field="stage")
    assert error.value.field == "value"


def test_without_a_value_model_customers_are_listed_without_a_loss(customer_readers):
    audience = find_audience(
        {name: customer_readers[name] for name in ("churn", "profile")}, "churn_probability > 0.2"
    )
    assert audience.expected_loss is None
    assert audience.customers.height > 0
    assert "value_90" not in schema({name: customer_readers[name] for name in ("churn", "profile")})


def test_an_audience_can_be_empty(customer_readers):
    audience = find_audience(customer_readers, "visits > 100000")
    assert audience.customers.is_empty()
    assert (audience.expected_loss, audience.unsure) == (0.0, 0)


def test_an_audience_does_not_change_with_the_order_of_its_conditions(customer_readers):
    first = find_audience(customer_readers, "visits > 5 and churn_probability > 0.1").customers
    second = find_audience(customer_readers, "churn_probability > 0.1 and visits > 5").customers
    assert first.equals(second.select(first.columns))
