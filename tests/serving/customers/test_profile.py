"""A customer's profile is what each model says, side by side, of known and posted customers."""

from datetime import date
from statistics import mean

import polars as pl
import pytest

from serving.customers.posted_history import PostedCustomers
from serving.customers.profile import profiles
from serving.customers.schemas import Customer


@pytest.fixture(scope="module")
def ids(people):
    return sorted(people["churn"].customers.positions)[:5]


@pytest.fixture(scope="module")
def shown(people, ids):
    return profiles(people, [*ids, "nobody", ids[0]])


def test_profiles_come_in_the_order_asked_and_as_often(shown, ids):
    assert [one["customer_id"] for one in shown] == [*ids, "nobody", ids[0]]
    assert shown[0] == shown[-1]


def test_every_profile_is_as_the_endpoint_describes_it(shown):
    for one in shown:
        Customer.model_validate(one)


@pytest.mark.parametrize(
    ("part", "task"),
    [("churn", "churn"), ("next_purchase", "next-purchase"), ("value", "value")],
)
def test_each_part_is_what_its_model_answers(shown, people, ids, part, task):
    for one, answer in zip(shown, people[task].answer(ids), strict=False):
        for name, value in one[part].items():
            assert value == answer[name]


def test_the_next_categories_are_the_likeliest_of_the_household(shown, people, ids):
    answers = people["next-category"].answers
    for one in shown[:5]:
        mine = answers.filter(pl.col("customer_id") == one["customer_id"])
        chances = [row["p_within_14"] for row in one["next_categories"]]
        assert chances == mine["p_within_14"].sort(descending=True).head(5).to_list()
    assert any(one["next_categories"] for one in shown)


def test_churn_and_next_purchase_agree_at_the_churn_horizon(people):
    everyone = sorted(people["churn"].customers.positions)
    leaving = people["churn"].answer(everyone)
    horizon = leaving[0]["horizon_days"]
    back = people["next-purchase"].answer(everyone, [horizon])
    gaps = [
        one["churn_probability"] - (1 - other[f"p_within_{horizon}"])
        for one, other in zip(leaving, back, strict=True)
    ]
    assert abs(mean(gaps)) < 0.03
    assert mean(abs(gap) for gap in gaps) < 0.08


def test_habits_are_those_of_the_records(shown, journey, people_as_of):
    orders = journey.known("orders", people_as_of).collect().to_polars()
    for one in shown[:3]:
        mine = orders.filter(pl.col("customer_id") == one["customer_id"])
        assert one["first_purchase"] == mine["ts"].min().date()
        assert one["last_purchase"] == mine["ts"].max().date()
        assert one["days_since_purchase"] == (date(2017, 11, 6) - one["last_purchase"]).days
        assert one["visits"] == mine["day"].n_unique()
        assert 1 <= len(one["top_categories"]) <= 3


def test_who_is_not_known_has_an_empty_profile_and_the_populations_answers(shown):
    nobody = shown[-2]
    assert nobody["basis"] == "population"
    assert nobody["stage"] == "new"
    assert nobody["visits"] == 0
    assert nobody["cluster"] is None
    assert nobody["churn"]["churn_probability"] > 0


def test_a_version_without_value_shows_the_rest(people, ids):
    (one,) = profiles({name: people[name] for name in ("churn", "profile")}, ids[:1])
    assert one["value"] is one["next_purchase"] is None
    assert one["churn"]["explanations"]


def test_a_posted_customer_has_a_whole_profile(people, people_as_of):
    orders = [
        {"ts": f"2017-10-{day:02}", "revenue": 20.0, "category": category}
        for day, category in ((1, "TEA"), (9, "TEA"), (17, "SOUP"), (25, "TEA"))
    ]
    one, empty = profiles(
        people, PostedCustomers.read([{"orders": orders}, {"orders": []}], people_as_of)
    )
    assert one["top_categories"] == ["TEA", "SOUP"]
    assert one["visits"] == 4
    assert one["cluster"] in people["profile"].clusters.names
    assert empty["visits"] == 0
    Customer.model_validate(one)


def test_two_posted_under_one_name_keep_their_own_categories(people, people_as_of):
    """An id is only repeated in the answer: two orders of one person may be asked about at once."""
    known = people["next-category"].answers.get_column("category").unique().sort()[:2]
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
    shown = profiles(people, PostedCustomers.read(posted, people_as_of))
    assert [[row["category"] for row in one["next_categories"]] for one in shown] == [
        [category] for category in known
    ]
