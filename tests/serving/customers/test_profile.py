"""Profiles of known and posted customers combine the answers of every model."""

from datetime import date, timedelta

import polars as pl
import pytest

from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import profiles
from serving.customers.schemas import Customer
from serving.customers.timing import timing_of


def known_ids(customer_readers):
    return sorted(customer_readers["churn"].customers.positions)


@pytest.fixture(scope="module")
def ids(customer_readers):
    return known_ids(customer_readers)[:5]


@pytest.fixture(scope="module")
def shown(customer_readers, ids):
    return profiles(customer_readers, [*ids, "nobody", ids[0]])


def test_profiles_are_in_request_order_with_repetitions(shown, ids):
    assert [profile["customer_id"] for profile in shown] == [*ids, "nobody", ids[0]]
    assert shown[0] == shown[-1]


def test_every_profile_has_the_shape_of_the_endpoint(shown):
    for profile in shown:
        Customer.model_validate(profile)


@pytest.mark.parametrize(
    ("part", "task"),
    [("churn", "churn"), ("next_purchase", "next-purchase"), ("value", "value")],
)
def test_each_part_is_the_answer_of_its_model(shown, customer_readers, ids, part, task):
    answers = customer_readers[task].answer(ids, timing=timing_of(customer_readers))
    for profile, answer in zip(shown, answers, strict=False):
        for name, value in profile[part].items():
            assert value == answer[name]


def test_next_categories_are_the_most_likely_of_the_customer(shown, customer_readers, ids):
    answers = customer_readers["next-category"].answers
    for profile in shown[:5]:
        rows = answers.filter(pl.col("customer_id") == profile["customer_id"])
        probabilities = [row["within"][1]["probability"] for row in profile["next_categories"]]
        expected = rows["p_within_14"].sort(descending=True).head(5).to_list()
        assert probabilities == pytest.approx(expected, abs=1e-6)
    assert any(profile["next_categories"] for profile in shown)


def test_the_parts_of_a_profile_agree_about_the_next_order(customer_readers, customers_as_of):
    for profile in profiles(customer_readers, [*known_ids(customer_readers), "nobody"]):
        days = profile["next_purchase"]["expected_days"]
        date = None if days is None else (customers_as_of + timedelta(days=int(days))).date()
        assert profile["value"]["expected_next_order"] == date


def test_descriptions_are_those_of_the_records(shown, journey, customers_as_of):
    orders = journey.known("orders", customers_as_of).collect().to_polars()
    for profile in shown[:3]:
        lines = orders.filter(pl.col("customer_id") == profile["customer_id"])
        last = profile["last_purchase"]
        assert profile["first_purchase"] == lines["ts"].min().date()
        assert last == lines["ts"].max().date()
        assert profile["days_since_purchase"] == (date(2017, 11, 6) - last).days
        assert profile["visits"] == lines["day"].n_unique()
        assert 1 <= len(profile["top_categories"]) <= 3


def test_an_unknown_customer_has_an_empty_profile_and_the_answers_of_a_new_one(shown):
    nobody = shown[-2]
    assert nobody["basis"] == "population"
    assert nobody["stage"] == "new"
    assert nobody["visits"] == 0
    assert nobody["cluster"] is None
    assert nobody["churn"]["churn_probability"] > 0


def test_a_version_without_value_shows_the_other_models(customer_readers, ids):
    (profile,) = profiles({name: customer_readers[name] for name in ("churn", "profile")}, ids[:1])
    assert profile["value"] is profile["next_purchase"] is None
    assert profile["churn"]["explanations"]


def test_a_posted_customer_has_a_complete_profile(customer_readers, customers_as_of):
    orders = [
        {"ts": f"2017-10-{day:02}", "revenue": 20.0, "category": category}
        for day, category in ((1, "TEA"), (9, "TEA"), (17, "SOUP"), (25, "TEA"))
    ]
    profile, empty = profiles(
        customer_readers,
        PostedCustomers.read([{"orders": orders}, {"orders": []}], customers_as_of),
    )
    assert profile["top_categories"] == ["TEA", "SOUP"]
    assert profile["visits"] == 4
    assert profile["cluster"] in customer_readers["profile"].clusters.names
    assert empty["visits"] == 0
    Customer.model_validate(profile)


def test_histories_of_equal_ids_keep_their_own_categories(customer_readers, customers_as_of):
    """The posted id is repeated in the answer and identifies nothing."""
    known = customer_readers["next-category"].answers.get_column("category").unique().sort()[:2]
    posted = [
        {
            "customer_id": "7",
            "orders": [
                {"ts": f"2017-10-{day:02}", "revenue": 20.0, "category": category}
                for day in (1, 9, 17, 25)
            ],
        }
        for category in known
    ]
    shown = profiles(customer_readers, PostedCustomers.read(posted, customers_as_of))
    assert [[row["category"] for row in profile["next_categories"]] for profile in shown] == [
        [category] for category in known
    ]
