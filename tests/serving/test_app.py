"""Routes of the application, on published folders written by hand."""

from datetime import datetime

import polars as pl

from serving.app import build_app
from serving.audience.reader import Audience
from serving.demand.schemas import Forecast
from serving.http.schemas import Answer
from serving.predictor import VersionHolder
from serving.recommender.schemas import Recommendation
from training.published import versions as published


def test_results_are_in_the_order_of_the_ids(client):
    response = client.post("/v1/recommend", json={"customer_ids": ["b", "a", "b"], "k": 1})
    answer = Answer[Recommendation].model_validate_json(response.content)
    assert [result.customer_id for result in answer.results] == ["b", "a", "b"]
    assert [item.product_id for item in answer.results[0].items] == ["milk"]


def test_an_answer_names_the_model_and_its_instant(client):
    answer = client.post("/v1/recommend", json={"customer_ids": ["1"]}).json()
    assert answer["model_version"] == "recommender/1"
    assert answer["as_of"] == "2018-01-01T00:00:00"


def test_an_answer_of_several_models_names_those_of_another_instant(
    tmp_path, publish_by_hand, readers, monkeypatch, client_of
):
    """The former champion of value stayed; its answers are as of a week before."""
    folder = publish_by_hand(tmp_path, "v1", tasks="churn value")
    record = published.read(folder)
    value = record.models["value"].model_copy(update={"as_of": datetime(2017, 12, 25)})
    mixed = record.model_copy(update={"models": {**record.models, "value": value}})
    (folder / "version.json").write_text(mixed.model_dump_json())
    versions = VersionHolder([tmp_path], readers | {"value": readers["churn"]}, poll_seconds=60)
    versions.refresh()
    nobody = Audience(pl.DataFrame({"customer_id": []}), None, None, 0)
    monkeypatch.setattr("serving.customers.routes.profiles", lambda *_: [])
    monkeypatch.setattr("serving.audience.routes.find_audience", lambda *_: nobody)
    client = client_of(build_app(versions))
    profile = client.post("/v1/customer", json={"customer_ids": ["1"]}).json()
    members = client.post("/v1/audience", json={"where": "visits > 1"}).json()
    for answer in (profile, members):
        assert answer["as_of"] == "2018-01-01T00:00:00"
        assert answer["models_as_of"] == {"value": "2017-12-25T00:00:00"}


def test_excluded_products_are_left_out(client):
    body = {"customer_ids": ["1"], "exclude_product_ids": ["milk"]}
    items = client.post("/v1/recommend", json=body).json()["results"][0]["items"]
    assert [item["product_id"] for item in items] == ["bread"]


def test_a_forecast_carries_the_keys_of_its_series(client):
    response = client.post("/v1/forecast", json={"series": [{"product_id": "milk"}]})
    answer = Answer[Forecast].model_validate_json(response.content)
    assert answer.results[0].product_id == "milk"


def test_a_model_that_the_version_lacks_is_unavailable(client, error_of):
    response = client.post("/v1/next_purchase", json={"customer_ids": ["1"]})
    assert "next-purchase" in error_of(response, 503, "unavailable").message


def test_without_a_published_version_the_error_names_the_command(
    tmp_path, readers, error_of, client_of
):
    client = client_of(build_app(VersionHolder([tmp_path], readers, poll_seconds=60)))
    response = client.post("/v1/recommend", json={"customer_ids": ["1"]})
    assert "foresell train all" in error_of(response, 503, "unavailable").message
    assert response.headers["retry-after"]


def test_openapi_describes_every_route_with_an_example_and_the_error_shape(client):
    page = client.get("/v1/openapi.json").json()
    assert set(page["paths"]) == {
        "/v1/recommend",
        "/v1/rerank",
        "/v1/similar",
        "/v1/frequently_bought_together",
        "/v1/customers_for_product",
        "/v1/forecast",
        "/v1/anomalies",
        "/v1/churn",
        "/v1/next_purchase",
        "/v1/value",
        "/v1/customer",
        "/v1/audience",
        "/v1/status",
        "/v1/events",
        "/v1/products",
        "/v1/admin/rollback",
        "/v1/customers",
    }
    reads = {path for path, methods in page["paths"].items() if "get" in methods}
    names = ("recommend", "churn", "next_purchase", "value", "forecast", "similar", "status")
    assert reads == {f"/v1/{name}" for name in names}
    for path in page["paths"].values():
        if "post" not in path:
            continue
        body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
        for request in body.get("oneOf", [body]):
            assert page["components"]["schemas"][request["$ref"].rsplit("/", 1)[1]]["examples"]
        for status in ("400", "404", "408", "413", "422", "429", "500", "503", "504"):
            shape = path["post"]["responses"][status]["content"]["application/json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/Error"}


def test_openapi_names_the_fields_of_a_list_as_requests_do(client):
    schemas = client.get("/v1/openapi.json").json()["components"]["schemas"]
    fields = schemas["RecommendRequest"]["properties"]
    assert {"list", "diversity", "allow_adjacent_category", "recent_purchases", "exclude"} <= set(
        fields
    )
    assert "list_name" not in fields
    assert "list" in schemas["RerankRequest"]["properties"]
    assert "explanations" in schemas["Item"]["properties"]
