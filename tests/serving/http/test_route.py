"""Reads by query: the answer of the request for many, entity tags, compression and errors."""

import pytest


def test_a_read_answers_what_the_request_for_many_answers(client):
    read = client.get("/v1/recommend", params={"customer_id": "1", "k": 1})
    posted = client.post("/v1/recommend", json={"customer_ids": ["1"], "k": 1})
    assert read.status_code == posted.status_code == 200
    assert read.content == posted.content


def test_a_repeated_parameter_is_a_list(client):
    params = {"customer_id": "1", "exclude_product_ids": ["milk", "x"]}
    items = client.get("/v1/recommend", params=params).json()["results"][0]["items"]
    assert [item["product_id"] for item in items] == ["bread"]


def test_the_same_answer_is_not_sent_again(client):
    first = client.get("/v1/forecast", params={"product_id": "milk"})
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', "*"):
        again = client.get(
            "/v1/forecast", params={"product_id": "milk"}, headers={"if-none-match": known}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    other = client.get(
        "/v1/forecast",
        params={"product_id": "bread"},
        headers={"if-none-match": tag},
    )
    assert other.status_code == 200
    assert other.headers["etag"] != tag


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None)],
)
def test_a_long_answer_is_compressed_if_the_client_accepts_it(client, accepted, coding):
    body = {"customer_ids": [str(number) for number in range(50)]}
    headers = {"accept-encoding": accepted}
    response = client.post("/v1/recommend", json=body, headers=headers)
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert len(response.json()["results"]) == 50
    short = client.get("/v1/forecast", params={"product_id": "milk"}, headers=headers)
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize(
    ("path", "params", "status", "field", "part"),
    [
        ("recommend", {}, 422, "customer_id", "required"),
        ("recommend", {"customer_id": "1", "k": "0"}, 422, "k", "greater"),
        ("recommend", {"customer_id": "1", "k": "x"}, 422, "k", "valid integer"),
        ("recommend", {"customer_id": ["1", "2"]}, 422, "customer_id", "2 times"),
        ("recommend", {"customer_id": "1", "colour": "red"}, 422, "colour", "not a field"),
        ("recommend", {"customer_id": "1", "max_price": "nan"}, 422, "max_price", "nan"),
        ("recommend", {"customer_id": "1", "as_of": "2019-01-01"}, 422, "as_of", "2018-01-01"),
        ("forecast", {"product_id": "moon"}, 404, "product_id", "moon"),
        ("forecast", {"product_id": "milk", "horizon": "99"}, 422, "horizon", "99"),
    ],
)
def test_an_invalid_parameter_is_named(client, path, params, status, field, part, error_of):
    code = "not_found" if status == 404 else "invalid_input"
    error = error_of(client.get(f"/v1/{path}", params=params), status, code, field)
    assert part in error.message
