import logging
import shutil
from datetime import datetime

import anyio
import httpx
import polars as pl
import pytest

from serving.app import build_app
from serving.audience.reader import Audience
from serving.demand.schemas import Forecast
from serving.http.schemas import Answer, Error
from serving.predictor import VersionHolder
from serving.recommender.schemas import Recommendation
from training.published import versions as published


class Client:
    """Asks an application in this process, each question on a loop of its own."""

    def __init__(self, app):
        self.app = app

    def request(self, method, path, content=None, **given):
        if content is not None and not isinstance(content, bytes):
            content = self._parts(content)

        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
                return await http.request(method, path, content=content, **given)

        return anyio.run(ask)

    def get(self, path, **given):
        return self.request("GET", path, **given)

    def post(self, path, **given):
        return self.request("POST", path, **given)

    @staticmethod
    async def _parts(parts):
        for part in parts:
            yield part


@pytest.fixture
def client(tmp_path, publish_by_hand, readers):
    publish_by_hand(tmp_path, "v1", tasks="recommender demand churn")
    predictor = VersionHolder([tmp_path], readers, poll_seconds=60)
    predictor.refresh()
    return Client(build_app(predictor, max_body_bytes=100_000))


def error_of(response, status, code, field=None):
    assert response.status_code == status, response.text
    error = Error.model_validate_json(response.content)
    assert (error.code, error.field) == (code, field)
    assert error.request_id == response.headers["x-request-id"]
    return error


def test_results_come_in_the_order_asked_one_or_many_or_twice(client):
    response = client.post("/v1/recommend", json={"customer_ids": ["b", "a", "b"], "k": 1})
    answer = Answer[Recommendation].model_validate_json(response.content)
    assert [result.customer_id for result in answer.results] == ["b", "a", "b"]
    assert [item.product_id for item in answer.results[0].items] == ["milk"]


def test_an_answer_names_the_model_and_its_instant(client):
    answer = client.post("/v1/recommend", json={"customer_ids": ["1"]}).json()
    assert answer["model_version"] == "recommender/1"
    assert answer["as_of"] == "2018-01-01T00:00:00"


def test_an_answer_of_several_models_tells_whose_instant_is_another(
    tmp_path, publish_by_hand, readers, monkeypatch
):
    """Value's former champion stayed; what it says is of a week before."""
    folder = publish_by_hand(tmp_path, "v1", tasks="churn value")
    record = published.read(folder)
    value = record.models["value"].model_copy(update={"as_of": datetime(2017, 12, 25)})
    mixed = record.model_copy(update={"models": {**record.models, "value": value}})
    (folder / "version.json").write_text(mixed.model_dump_json())
    predictor = VersionHolder([tmp_path], readers | {"value": readers["churn"]}, poll_seconds=60)
    predictor.refresh()
    nobody = Audience(pl.DataFrame({"customer_id": []}), None, None, 0)
    monkeypatch.setattr("serving.customers.routes.profiles", lambda *_: [])
    monkeypatch.setattr("serving.audience.routes.audience", lambda *_: nobody)
    client = Client(build_app(predictor))
    profile = client.post("/v1/customer", json={"customer_ids": ["1"]}).json()
    members = client.post("/v1/audience", json={"where": "visits > 1"}).json()
    for answer in (profile, members):
        assert answer["as_of"] == "2018-01-01T00:00:00"
        assert answer["models_as_of"] == {"value": "2017-12-25T00:00:00"}


def test_a_question_about_many_is_answered_like_one_about_few(client):
    many = [str(number) for number in range(2_000)]
    response = client.post("/v1/recommend", json={"customer_ids": many, "k": 1})
    assert [result["customer_id"] for result in response.json()["results"]] == many


def test_excluded_products_are_not_shown(client):
    body = {"customer_ids": ["1"], "exclude_product_ids": ["milk"]}
    items = client.post("/v1/recommend", json=body).json()["results"][0]["items"]
    assert [item["product_id"] for item in items] == ["bread"]


def test_a_forecast_carries_the_keys_of_its_series(client):
    response = client.post("/v1/forecast", json={"series": [{"product_id": "milk"}]})
    answer = Answer[Forecast].model_validate_json(response.content)
    assert answer.results[0].__pydantic_extra__ == {"product_id": "milk"}


def test_an_unknown_product_is_named_with_its_place_in_the_request(client):
    series = [{"product_id": "milk"}, {"product_id": "moon"}]
    response = client.post("/v1/forecast", json={"series": series})
    error = error_of(response, 404, "not_found", "series[1].product_id")
    assert "moon" in error.message


def test_a_horizon_too_long_says_what_is_allowed(client):
    response = client.post("/v1/forecast", json={"series": [{"product_id": "milk"}], "horizon": 99})
    error = error_of(response, 422, "invalid_input", "horizon")
    assert "99" in error.message
    assert "28" in error.message


@pytest.mark.parametrize(
    ("route", "body", "field", "said"),
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
        ("recommend", {"customer_ids": ["1"], "only": {"shelf": ["a"]}}, "only.shelf", "category"),
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
        ("next_purchase", {"customer_ids": ["1"], "quantiles": [1]}, "quantiles[0]", "less than 1"),
        ("next_purchase", {"customer_ids": ["1"], "within_days": [0]}, "within_days[0]", "0"),
        ("next_purchase", {"customer_ids": ["1"], "within_days": []}, "within_days", "at least 1"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_value_and_what_is_allowed(
    client, route, body, field, said
):
    error = error_of(client.post(f"/v1/{route}", json=body), 422, "invalid_input", field)
    assert said in error.message


@pytest.mark.parametrize("as_of", ["2017-13-45", "yesterday", "2017-12-01", "2018-01-01T00:00Z"])
def test_a_date_that_is_none_or_not_the_published_one_is_refused(client, as_of):
    body = {"customer_ids": ["1"], "as_of": as_of}
    error = error_of(client.post("/v1/recommend", json=body), 422, "invalid_input", "as_of")
    assert as_of[:10] in error.message


def test_the_published_date_may_be_asked_for(client):
    body = {"customer_ids": ["1"], "as_of": "2018-01-01"}
    assert client.post("/v1/recommend", json=body).status_code == 200


def test_customer_ids_are_not_repeated_in_an_error(client):
    body = {"customer_ids": ["secret-1"] * 10_001}
    assert "secret" not in client.post("/v1/recommend", json=body).text


@pytest.mark.parametrize("body", [b"{", b"[1, 2", b"\xff\xfe", b"NaN", b"", b"[]", b'"x"', b"null"])
def test_a_body_that_is_no_json_object_is_refused_in_the_one_shape(client, body):
    response = client.post("/v1/churn", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    Error.model_validate_json(response.content)


def test_a_body_that_is_no_text_says_what_to_send(client):
    json = {"content-type": "application/json"}
    response = client.post("/v1/churn", content=b"\xff\xfe{", headers=json)
    assert "UTF-8" in error_of(response, 400, "bad_request").message


def test_a_body_without_its_content_type_says_which_to_send(client):
    response = client.post(
        "/v1/churn",
        content=b'{"customer_ids": ["1"]}',
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert "application/json" in error_of(response, 422, "invalid_input").message


def test_an_unknown_route_answers_in_the_one_shape(client):
    assert "/v2/churn" in error_of(client.post("/v2/churn"), 404, "not_found").message


def test_a_method_that_is_not_allowed_says_so(client):
    response = client.get("/v1/churn")
    assert "takes POST" in error_of(response, 405, "method_not_allowed").message
    assert response.headers["allow"] == "POST"


def test_a_fault_within_answers_500_without_details(client):
    response = client.post("/v1/churn", json={"customer_ids": ["secret-1"]})
    error_of(response, 500, "internal")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


def test_a_fault_within_is_logged_by_its_request_id_without_what_was_asked(client, caplog):
    with caplog.at_level(logging.ERROR):
        client.post(
            "/v1/churn", json={"customer_ids": ["secret-1"]}, headers={"x-request-id": "one"}
        )
    assert "request one failed with RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_body_too_large_is_refused(client):
    body = {"customer_ids": ["1"], "exclude_product_ids": ["x" * 150] * 1_000}
    error_of(client.post("/v1/recommend", json=body), 413, "too_large")


def test_a_body_too_large_that_does_not_say_so_is_refused_as_it_arrives(client):
    parts = (b"x" * 10_000 for _ in range(20))
    response = client.post(
        "/v1/recommend", content=parts, headers={"content-type": "application/json"}
    )
    error_of(response, 413, "too_large")


def test_a_sane_request_id_is_kept_and_another_is_replaced(client):
    kept = client.get("/none", headers={"x-request-id": "order-42"})
    assert kept.headers["x-request-id"] == "order-42"
    replaced = client.get("/none", headers={"x-request-id": "a b<script>"})
    assert len(replaced.headers["x-request-id"]) == 32


def test_a_model_that_the_version_lacks_is_unavailable(client):
    response = client.post("/v1/next_purchase", json={"customer_ids": ["1"]})
    assert "next-purchase" in error_of(response, 503, "unavailable").message


def test_before_anything_is_published_the_error_says_what_to_run(tmp_path, readers):
    client = Client(build_app(VersionHolder([tmp_path], readers, poll_seconds=60)))
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
    }
    for path in page["paths"].values():
        request = path["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert page["components"]["schemas"][request.rsplit("/", 1)[1]]["examples"]
        for status in ("404", "413", "422", "500", "503"):
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


def test_what_went_with_a_version_while_it_was_held_is_answered_by_the_next(
    tmp_path, publish_by_hand, readers
):
    class Reading:
        """Looks at its shelf when it is asked, as what is seldom asked for is read."""

        def __init__(self, folder):
            self.folder = folder

        def answer(self, *asked):
            return readers["recommender"](self.folder).answer(*asked)

    gone = publish_by_hand(tmp_path, "v1", "milk")
    predictor = VersionHolder([tmp_path], {"recommender": Reading}, poll_seconds=60)
    predictor.refresh()
    client, body = Client(build_app(predictor)), {"customer_ids": ["1"]}
    shutil.rmtree(gone)
    error_of(client.post("/v1/recommend", json=body), 500, "internal")
    publish_by_hand(tmp_path, "v2", "bread")
    items = client.post("/v1/recommend", json=body).json()["results"][0]["items"]
    assert [item["product_id"] for item in items] == ["bread"]
