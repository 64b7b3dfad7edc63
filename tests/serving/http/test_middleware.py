"""Request ids, the limit on bodies, and responses to internal errors."""

import logging


def test_an_internal_error_has_no_details(client, error_of):
    response = client.post("/v1/churn", json={"customer_ids": ["secret-1"]})
    error_of(response, 500, "internal")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


def test_an_internal_error_is_logged_with_the_request_id_but_without_the_request(client, caplog):
    with caplog.at_level(logging.ERROR):
        client.post(
            "/v1/churn", json={"customer_ids": ["secret-1"]}, headers={"x-request-id": "one"}
        )
    assert "request one failed with RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_body_that_is_too_large_is_refused(client, error_of):
    body = {"customer_ids": ["1"], "exclude_product_ids": ["x" * 150] * 1_000}
    error_of(client.post("/v1/recommend", json=body), 413, "too_large")


def test_a_large_body_without_declared_length_is_refused_while_it_is_read(client, error_of):
    parts = (b"x" * 10_000 for _ in range(20))
    response = client.post(
        "/v1/recommend", content=parts, headers={"content-type": "application/json"}
    )
    error_of(response, 413, "too_large")


def test_a_valid_request_id_is_kept_and_another_is_replaced(client):
    kept = client.get("/none", headers={"x-request-id": "order-42"})
    assert kept.headers["x-request-id"] == "order-42"
    replaced = client.get("/none", headers={"x-request-id": "a b<script>"})
    assert len(replaced.headers["x-request-id"]) == 32
