"""Responses to invalid requests: status, field and message."""

import pytest

from serving.http.schemas import Error


def test_an_unknown_product_is_an_error_of_its_entry(client, error_of):
    series = [{"product_id": "milk"}, {"product_id": "moon"}]
    answer = client.post("/v1/forecast", json={"series": series}).json()
    assert [result["product_id"] for result in answer["results"]] == ["milk"]
    (error,) = answer["errors"]
    assert error["position"] == 1
    assert error["field"] == "series[1].product_id"
    assert "moon" in error["message"]
    response = client.post("/v1/forecast", json={"series": series[1:]})
    assert "moon" in error_of(response, 404, "not_found", "series[0].product_id").message


def test_a_horizon_that_is_too_long_names_the_longest(client, error_of):
    response = client.post("/v1/forecast", json={"series": [{"product_id": "milk"}], "horizon": 99})
    error = error_of(response, 422, "invalid_input", "horizon")
    assert "99" in error.message
    assert "28" in error.message


@pytest.mark.parametrize(
    ("route", "body", "field", "part"),
    [
        ("recommend", {"customer_ids": []}, "customer_ids", "at least 1"),
        ("recommend", {"customer_ids": [1]}, "customer_ids[0]", "valid string"),
        ("recommend", {"customer_ids": [""]}, "customer_ids[0]", "at least 1"),
        ("recommend", {"customer_ids": "1"}, "customer_ids", "valid list"),
        ("recommend", {"customer_ids": ["1"], "k": 0}, "k", "k = 0"),
        ("recommend", {"customer_ids": ["1"], "k": 101}, "k", "100"),
        ("recommend", {"customer_ids": ["1"], "k": "5"}, "k", "valid integer"),
        ("recommend", {"customer_ids": ["1"], "k": True}, "k", "valid integer"),
        ("recommend", {"k": 5}, "customer_ids", "required"),
        ("recommend", {"customer_ids": ["1"], "colour": "red"}, "colour", '"red" is not a field'),
        ("recommend", {"customer_ids": ["x"] * 10_001}, "customer_ids", "10000"),
        ("recommend", {"customer_ids": ["x" * 201]}, "customer_ids[0]", "200"),
        (
            "rerank",
            {"customer_ids": ["1"] * 1001, "product_ids": ["a"] * 100},
            "customer_ids",
            "(1001) times product_ids (100) = 100100 is too many",
        ),
        ("forecast", {"series": [{"product_id": 7}]}, "series[0].product_id", "valid string"),
        ("forecast", {"series": [{"product_id": "a"}], "quantiles": [0]}, "quantiles[0]", "0"),
        ("forecast", {"series": [{"product_id": "a"}], "quantiles": [1.5]}, "quantiles[0]", "1.5"),
        ("forecast", {"series": [{"product_id": "a"}], "horizon": 0}, "horizon", "horizon = 0"),
        ("recommend", {"customer_ids": ["1"], "list": "best"}, "list", "for_you"),
        ("recommend", {"customer_ids": ["1"], "kind": "popular"}, "kind", "is not a field"),
        ("recommend", {"customer_ids": ["1"], "list_name": "popular"}, "list_name", "not a field"),
        (
            "recommend",
            {"customer_ids": ["1"], "only": {"aisle": ["a"]}},
            "only.aisle",
            "not a field",
        ),
        ("churn", {"customer_ids": ["1"], "horizon_days": -1}, "horizon_days", "-1"),
        ("churn", {}, "customer_ids", "histories in its place"),
        (
            "churn",
            {"customer_ids": ["1"], "histories": [{"orders": []}]},
            "customer_ids",
            "not both",
        ),
        ("churn", {"histories": [{}]}, "histories[0].orders", "required"),
        (
            "churn",
            {"histories": [{"orders": [{"revenue": 1.0}]}]},
            "histories[0].orders[0].ts",
            "req",
        ),
        (
            "churn",
            {"histories": [{"orders": [{"ts": "2018-01-01"}]}]},
            "histories[0].orders[0].ts",
            "not before",
        ),
        (
            "value",
            {"histories": [{"orders": [{"ts": "2017-01-01", "revenue": 1e300}]}]},
            "histories[0].orders[0].revenue",
            "10000000000",
        ),
        (
            "value",
            {"histories": [{"orders": [{"ts": "2017-01-01", "discount": 1e18}]}]},
            "histories[0].orders[0].discount",
            "10000000000",
        ),
        ("churn", {"histories": [{"orders": []}], "as_of": "2017-12-31"}, "as_of", "2017-12-31"),
        ("next_purchase", {"customer_ids": ["1"], "quantiles": [1]}, "quantiles[0]", "0.9999"),
        ("next_purchase", {"customer_ids": ["1"], "within_days": [0]}, "within_days[0]", "0"),
        ("next_purchase", {"customer_ids": ["1"], "within_days": []}, "within_days", "at least 1"),
    ],
)
def test_invalid_fields_are_named_with_value_and_cause(client, route, body, field, part, error_of):
    error = error_of(client.post(f"/v1/{route}", json=body), 422, "invalid_input", field)
    assert part in error.message


def test_customer_ids_are_not_quoted_in_an_error(client):
    body = {"customer_ids": ["secret-1"] * 10_001}
    assert "secret" not in client.post("/v1/recommend", json=body).text


@pytest.mark.parametrize("body", [b"{", b"[1, 2", b"\xff\xfe", b"NaN", b"", b"[]", b'"x"', b"null"])
def test_a_body_that_is_no_json_object_is_refused(client, body):
    response = client.post("/v1/churn", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    Error.model_validate_json(response.content)


def test_a_body_that_is_no_text_names_the_encoding(client, error_of):
    json = {"content-type": "application/json"}
    response = client.post("/v1/churn", content=b"\xff\xfe{", headers=json)
    assert "UTF-8" in error_of(response, 400, "bad_request").message


def test_a_body_without_content_type_names_the_expected_one(client, error_of):
    response = client.post(
        "/v1/churn",
        content=b'{"customer_ids": ["1"]}',
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert "application/json" in error_of(response, 400, "bad_request").message


def test_an_unknown_path_is_named(client, error_of):
    assert "/v2/churn" in error_of(client.post("/v2/churn"), 404, "not_found").message


def test_a_method_that_is_not_allowed_names_the_allowed_one(client, error_of):
    response = client.get("/v1/rerank")
    assert "takes POST" in error_of(response, 405, "method_not_allowed").message
    assert response.headers["allow"] == "POST"
    assert client.request("PUT", "/v1/churn").headers["allow"] == "POST, GET"
