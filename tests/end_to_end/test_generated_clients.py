"""Clients generated from OpenAPI parse every answer, and the service accepts what they send."""

import importlib
import importlib.util
import json
import subprocess
import sys

import pytest

from serving.demand.schemas import SeriesKeys

GENERATORS = {
    "openapi_python_client": ["generate", "--meta", "none", "--path", "{page}"],
    "datamodel_code_generator": [
        "--input-file-type=openapi",
        "--output-model-type=pydantic_v2.BaseModel",
        "--strict-types=str",
        "--strict-types=int",
        "--strict-types=bool",
        "--extra-fields=forbid",
        "--formatters=builtin",
        "--input={page}",
    ],
}
# Tags of operations that change something.
WRITES = (["administration"], ["events"])
OUTPUT = {
    "openapi_python_client": "--output-path={out}",
    "datamodel_code_generator": "--output={out}",
}


@pytest.fixture(scope="module")
def page(client):
    return client.get("/v1/openapi.json").json()


@pytest.fixture(scope="module")
def generate(page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    description = folder / "openapi.json"
    description.write_text(json.dumps(page))

    def run(generator, name):
        places = {"page": description, "out": folder / name}
        words = [*GENERATORS[generator], OUTPUT[generator]]
        command = [sys.executable, "-m", generator, *(word.format(**places) for word in words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


@pytest.fixture(scope="module")
def strict(generate):
    """Strict pydantic models of datamodel-code-generator."""
    folder = generate("datamodel_code_generator", "strict_models.py")
    spec = importlib.util.spec_from_file_location("strict_models", folder / "strict_models.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def package(generate):
    """Import parts of the package of openapi-python-client."""
    folder = generate("openapi_python_client", "generated_client")
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"generated_client.{name}")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def bodies(journey, as_of, scored_demand):
    """A request of every operation."""
    orders = journey.known("orders", as_of).collect().to_polars()
    known = orders["customer_id"].drop_nulls().unique().sort().head(2).to_list()
    customers = {"customer_ids": [*known, "nobody"]}
    products = {"product_ids": orders["product_id"].drop_nulls().head(2).to_list()}
    keys = [name for name in scored_demand.columns if name in SeriesKeys.model_fields]
    series = scored_demand.select(keys).unique(maintain_order=True).head(2).to_dicts()
    return {
        "recommend": customers | {"list": "buy_again", "k": 5},
        "rerank": customers | products,
        "similar": products,
        "frequently_bought_together": products,
        "customers_for_product": products,
        "forecast": {"series": series, "explain": True},
        "anomalies": {"limit": 3},
        "churn": customers,
        "next_purchase": customers | {"within_days": [1, 3650], "quantiles": [0.025, 0.5]},
        "value": customers | {"horizons_days": [45]},
        "customer": customers,
        "audience": {"where": "visits > 1 and value_90 > 0", "limit": 3},
    }


@pytest.fixture(scope="module")
def queries(bodies):
    """A query of every read, and the request for many that asks the same."""
    customer = bodies["churn"]["customer_ids"][0]
    product = bodies["similar"]["product_ids"][0]
    (series, _) = bodies["forecast"]["series"]
    one = {"customer_id": customer}, {"customer_ids": [customer]}
    asked = {
        "recommend": (one, {"list": "buy_again", "k": 3}),
        "churn": (one, {"horizon_days": 90}),
        "next_purchase": (one, {"within_days": [3, 21], "quantiles": [0.25]}),
        "value": (one, {"horizons_days": [45]}),
        "forecast": ((series, {"series": [series]}), {"horizon": 28, "quantiles": [0.1]}),
        "similar": (({"product_id": product}, {"product_ids": [product]}), {"k": 3}),
    }
    return {
        name: (single | options, many | options)
        for name, ((single, many), options) in asked.items()
    }


def name_of(schema):
    """Return the component of a schema, the first of several."""
    return schema.get("oneOf", [schema])[0]["$ref"].rpartition("/")[2]


def json_of(part):
    return part["content"]["application/json"]["schema"]


def operations(page):
    for route, methods in page["paths"].items():
        if "post" in methods and methods["post"]["tags"] not in WRITES:
            yield route, methods["post"]


def test_every_operation_is_asked(page, bodies, queries):
    names = {
        operation["operationId"]
        for methods in page["paths"].values()
        for operation in methods.values()
        if operation["tags"] not in WRITES
    }
    assert names == {*bodies, *(f"get_{name}" for name in queries), "status"}


def test_a_read_answers_what_the_request_for_many_answers(client, strict, queries):
    for name, (query, body) in queries.items():
        read = client.get(f"/v1/{name}", params=query)
        assert read.status_code == 200, read.text
        assert read.content == client.post(f"/v1/{name}", json=body).content
        again = client.get(
            f"/v1/{name}", params=query, headers={"if-none-match": read.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")


def test_the_status_names_what_requests_may_choose(client, strict, bodies):
    response = client.get("/v1/status")
    status = strict.Status.model_validate_json(response.content)
    known = {"if-none-match": response.headers["etag"]}
    assert client.get("/v1/status", headers=known).status_code == 304
    assert {model.model for model in status.models} >= {"churn", "demand", "recommender"}
    assert status.demand.keys == list(bodies["forecast"]["series"][0])
    longest = {"series": bodies["forecast"]["series"], "horizon": status.demand.horizon_days}
    assert client.post("/v1/forecast", json=longest).status_code == 200
    chosen = bodies["churn"] | {"category": status.categories[0]}
    assert client.post("/v1/next_purchase", json=chosen).status_code == 200


def test_strict_models_accept_every_answer_and_no_undocumented_field(client, page, strict, bodies):
    for route, operation in operations(page):
        response = client.post(route, json=bodies[operation["operationId"]])
        assert response.status_code == 200, response.text
        model = getattr(strict, name_of(json_of(operation["responses"]["200"])))
        assert model.model_validate_json(response.content).results


def test_a_generated_client_asks_every_operation_and_may_repeat_as_of(
    service, page, package, bodies
):
    http = package("client").Client(base_url=service.url)
    for _, operation in operations(page):
        name, tag = operation["operationId"], operation["tags"][0]
        ask = package(f"api.{tag}.{name}").sync
        request = getattr(package("models"), name_of(json_of(operation["requestBody"])))
        answer = ask(client=http, body=request.from_dict(bodies[name]))
        again = ask(client=http, body=request.from_dict(bodies[name] | {"as_of": answer.as_of}))
        assert again.to_dict() == answer.to_dict()
        assert answer.results


def test_a_generated_client_posts_events(service, package):
    fields = {"session_id": "s", "product_id": "p", "ts": "2017-11-01T10:00:00"}
    events = [{"event_id": kind, "type": kind, **fields} for kind in ("view", "cart")]
    answer = package("api.events.events").sync(
        client=package("client").Client(base_url=service.url),
        body=package("models").EventBatch.from_dict({"events": events}),
    )
    assert (answer.accepted, answer.duplicates, answer.rejected) == (2, 0, [])


def test_a_generated_client_sends_histories(service, package):
    models = package("models")
    order = models.PostedOrder(ts="2017-11-01", revenue=20.0)
    body = models.ChurnOfHistories(histories=[models.History(orders=[order])])
    answer = package("api.customers.churn").sync(
        client=package("client").Client(base_url=service.url), body=body
    )
    assert answer.results[0].basis == models.ChurnBasis.POPULATION


def test_errors_of_every_kind_have_the_documented_shape(client, page, strict):
    headers = {"content-type": "application/json"}
    for route, operation in operations(page):
        for content in (b"{", b"[]", b'{"colour": 1}', b" " * 1_000_001):
            response = client.post(route, content=content, headers=headers)
            assert str(response.status_code) in operation["responses"]
            strict.Error.model_validate_json(response.content)


def test_the_description_shown_to_people_needs_no_other_host(client):
    page = client.get("/docs").text
    assert "//" not in page.replace("</", "").replace("<!--", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert client.get(f"/docs/assets/{asset}").status_code == 200
