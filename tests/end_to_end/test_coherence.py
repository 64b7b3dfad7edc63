"""All endpoints that are asked about the same customers agree about their next purchases."""

import itertools
from datetime import datetime, timedelta

import pytest

# Answers are rounded to four decimals.
ROUNDED = 1e-4 + 1e-9
HORIZONS = [1, 2, 7, 27, 28, 29, 30, 57, 90, 180, 365]
LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9]
DAYS = ["q5", "q10", "q25", "q50", "q75", "q90"]


@pytest.fixture(scope="module")
def ids(journey, as_of):
    orders = journey.known("orders", as_of).collect().to_polars()
    return [*orders["customer_id"].drop_nulls().unique().sort()[:40], "nobody"]


@pytest.fixture(scope="module")
def ask(client, ids):
    def results(route, **body):
        response = client.post(f"/v1/{route}", json={"customer_ids": ids, **body})
        assert response.status_code == 200, response.text
        return response.json()["results"]

    return results


@pytest.fixture(scope="module")
def next_purchases(ask, as_columns):
    answers = ask("next_purchase", within_days=HORIZONS, quantiles=LEVELS)
    for answer in answers:
        assert sum(entry["extrapolated"] for entry in answer["within"]) >= 4
    return [*map(as_columns, answers)]


def test_churn_never_rises_with_the_horizon_and_is_one_minus_p_within(ask, next_purchases):
    answers = [ask("churn", horizon_days=horizon) for horizon in HORIZONS]
    for customer, purchase in enumerate(next_purchases):
        churn = [answer[customer]["churn_probability"] for answer in answers]
        assert churn == sorted(churn, reverse=True)
        for horizon, probability in zip(HORIZONS, churn, strict=True):
            within = purchase[f"p_within_{horizon}"]
            assert probability + within == pytest.approx(1, abs=ROUNDED)


def test_quantiles_are_ordered_and_agree_with_the_probabilities(next_purchases):
    for answer in next_purchases:
        days = [answer[name] for name in DAYS]
        known = [value for value in days if value is not None]
        assert known == sorted(known)
        assert days[len(known) :] == [None] * (len(days) - len(known))
        for level, quantile in zip(LEVELS, days, strict=True):
            for horizon in HORIZONS:
                if quantile is None or horizon < quantile - 1e-3:
                    assert answer[f"p_within_{horizon}"] <= level + ROUNDED
                if quantile is not None and horizon > quantile + 1e-3:
                    assert answer[f"p_within_{horizon}"] >= level - ROUNDED


def test_dates_and_days_of_the_next_order_agree(ask, next_purchases, as_of):
    for purchase, value in zip(next_purchases, ask("value"), strict=True):
        days, date = purchase["expected_days"], value["expected_next_order"]
        assert purchase["q50"] == days
        if days is None:
            assert date is None
        else:
            ahead = datetime.fromisoformat(date) - as_of
            assert abs(ahead - timedelta(days=int(days))) <= timedelta(days=days % 1 > 0.999)


def test_a_profile_shows_the_same_as_the_endpoints(ask):
    single = {
        "churn": ask("churn"),
        "next_purchase": ask("next_purchase"),
        "value": ask("value"),
    }
    for customer, profile in enumerate(ask("customer")):
        for name, answers in single.items():
            for field, value in profile[name].items():
                assert value == answers[customer][field]


def test_an_audience_is_chosen_and_shown_by_the_same_probabilities(client, ask, ids):
    where = "p_within_10 < 0.5 and churn_probability > 0.2"
    found = client.post("/v1/audience", json={"where": where, "limit": 1000}).json()["results"]
    shown = {row["customer_id"]: row for row in found}
    purchases, churn = ask("next_purchase", within_days=[10]), ask("churn")
    for name, purchase, answer in zip(ids[:-1], purchases, churn, strict=False):
        probability = answer["churn_probability"]
        chosen = purchase["within"][0]["probability"] < 0.5 and probability > 0.2
        assert (name in shown) == chosen
        if chosen:
            assert shown[name]["churn_probability"] == probability


def test_an_unknown_customer_is_an_error_on_request(client, ids):
    for route in ("churn", "next_purchase", "value", "customer", "recommend"):
        body = {"customer_ids": [ids[0], "nobody"], "unknown": "error"}
        answer = client.post(f"/v1/{route}", json=body).json()
        assert [result["customer_id"] for result in answer["results"]] == [ids[0]]
        (error,) = answer["errors"]
        assert (error["position"], error["field"]) == (1, "customer_ids[1]")
        response = client.post(f"/v1/{route}", json=body | {"customer_ids": ["nobody"]})
        assert response.status_code == 404


def test_orders_and_value_agree_with_the_curve_and_never_fall_with_the_horizon(
    ask, next_purchases, as_columns
):
    values = map(as_columns, ask("value", horizons_days=HORIZONS))
    for purchase, value in zip(next_purchases, values, strict=True):
        for horizon in HORIZONS:
            assert value[f"orders_{horizon}"] >= purchase[f"p_within_{horizon}"] - ROUNDED
        for name in ("orders_{}", "value_{}", "value_{}_q10", "value_{}_q90"):
            values = [value[name.format(horizon)] for horizon in HORIZONS]
            assert values == sorted(values)
        widths = [value[f"value_{h}_q90"] - value[f"value_{h}_q10"] for h in HORIZONS]
        assert all(b >= a - 2 * ROUNDED for a, b in itertools.pairwise(widths))
