"""Request ids, the limit on bodies, and responses to internal errors."""

import asyncio
import logging

import anyio
from starlette.responses import PlainTextResponse

from serving.http.middleware import Guard, Policy


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


def test_every_response_has_headers_for_browsers(client):
    for response in (client.get("/livez"), client.get("/none"), client.post("/v1/churn", json={})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


def slow_app(seconds):
    """An application that reads the body and answers after some seconds."""

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(seconds)
        await PlainTextResponse("done")(scope, receive, send)

    return app


def test_an_answer_that_takes_too_long_is_given_up(client_of, error_of):
    client = client_of(Guard(slow_app(5), Policy(request_seconds=0.05)))
    error_of(client.post("/v1/churn", content=b"{}"), 504, "timeout")
    assert client_of(Guard(slow_app(0), Policy())).post("/v1/churn", content=b"{}").text == "done"


def test_a_body_that_takes_too_long_is_refused():
    async def send():
        sent = []

        async def never():
            await asyncio.sleep(5)

        async def collect(message):
            sent.append(message)

        scope = {
            "type": "http",
            "path": "/v1/churn",
            "method": "POST",
            "headers": [(b"content-length", b"9")],
        }
        await Guard(slow_app(0), Policy(body_seconds=0.05))(scope, never, collect)
        return sent

    start, body = anyio.run(send)
    assert start["status"] == 408
    assert b'"code":"timeout"' in body["body"]


def test_the_access_log_has_path_and_ids_but_no_query(client_of, caplog):
    client = client_of(Guard(slow_app(0), Policy(access_log=True)))
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-request-id": "one", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with caplog.at_level(logging.INFO):
        client.get("/v1/churn?customer_id=secret-1", headers=headers)
    own = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    assert "secret" not in " ".join(own)
    (record,) = [record for record in caplog.records if hasattr(record, "fields")]
    assert record.fields["path"] == "/v1/churn"
    assert record.fields["status"] == 200
