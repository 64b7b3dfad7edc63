"""The typed client: every operation has a method, answers are parsed, errors are raised."""

import inspect
from datetime import datetime
from types import UnionType
from typing import get_args

import anyio
import httpx
import pytest

from foresell.client import AsyncClient, Client, ServiceError
from serving.app import build_app
from serving.customers.schemas import ChurnAnswer, ChurnQuery, ChurnRequest
from serving.demand.schemas import ForecastRequest, SeriesKeys
from serving.predictor import VersionHolder

CHURN = {
    "customer_id": "1",
    "basis": "history",
    "stage": "loyal",
    "rfm_segment": None,
    "rfm_score": None,
    "churn_probability": 0.25,
    "horizon_days": 28,
    "explanations": [],
    "contributions": [],
    "extrapolated": False,
}
ANSWER = {"model_version": "churn/1", "as_of": "2018-01-01T00:00:00", "judged": True}
UNKNOWN = {"code": "not_found", "message": "no such", "field": "series[0]", "request_id": "r"}


@pytest.fixture
def sent():
    """Requests that the service received."""
    return []


@pytest.fixture
def transport(sent):
    def respond(request):
        sent.append(request)
        if request.url.path == "/v1/churn":
            return httpx.Response(200, json=ANSWER | {"results": [CHURN]})
        if request.url.path == "/v1/forecast":
            return httpx.Response(404, json=UNKNOWN)
        return httpx.Response(502, text="bad gateway")

    return httpx.MockTransport(respond)


def operations():
    page = build_app(VersionHolder([], {}, 60)).openapi()
    return {
        name.removeprefix("/v1/"): methods["get" if "post" not in methods else "post"]
        for name, methods in page["paths"].items()
        if not methods.keys() & {"delete"} and "/admin/" not in name
    }


def test_every_operation_has_a_method_with_its_requests_and_its_answer():
    for name, operation in operations().items():
        for kind in (Client, AsyncClient):
            signature = inspect.signature(getattr(kind, name))
            success = next(iter(operation["responses"].keys() & {"200", "202"}))
            answer = operation["responses"][success]["content"]["application/json"]["schema"][
                "$ref"
            ]
            assert signature.return_annotation.__name__ == answer.rpartition("/")[2]
            if "requestBody" in operation:
                annotation = signature.parameters["request"].annotation
                union = get_args(annotation) if isinstance(annotation, UnionType) else [annotation]
                accepted = {model.__name__ for model in union}
                body = operation["requestBody"]["content"]["application/json"]["schema"]
                for choice in body.get("oneOf", [body]):
                    assert choice["$ref"].rpartition("/")[2] in accepted


def test_an_answer_is_parsed(transport, sent):
    with Client(transport=transport, headers={"authorization": "Bearer key"}) as client:
        answer = client.churn(ChurnRequest(customer_ids=["1"]))
    assert isinstance(answer, ChurnAnswer)
    assert answer.as_of == datetime(2018, 1, 1)
    assert answer.results[0].churn_probability == 0.25
    assert sent[0].method == "POST"
    assert sent[0].content == b'{"customer_ids":["1"]}'
    assert sent[0].headers["authorization"] == "Bearer key"


def test_a_query_is_sent_by_get(transport, sent):
    with Client(transport=transport) as client:
        client.churn(ChurnQuery(customer_id="a&b", horizon_days=90))
    assert (sent[0].method, sent[0].url.params["customer_id"]) == ("GET", "a&b")
    assert sent[0].url.params["horizon_days"] == "90"


def test_an_error_of_the_service_is_raised_with_its_field(transport):
    request = ForecastRequest(series=[SeriesKeys(product_id="moon")])
    with Client(transport=transport) as client, pytest.raises(ServiceError) as caught:
        client.forecast(request)
    assert (caught.value.status, caught.value.field) == (404, "series[0]")
    assert caught.value.error.code == "not_found"


def test_an_error_of_something_between_is_raised_with_its_status(transport):
    with Client(transport=transport) as client, pytest.raises(ServiceError, match="502"):
        client.status()


def test_the_asynchronous_client_answers_the_same(transport):
    async def ask():
        async with AsyncClient(transport=transport) as client:
            return await client.churn(ChurnRequest(customer_ids=["1"]))

    assert anyio.run(ask).results[0].customer_id == "1"
