from pathlib import Path

import polars as pl
import pytest

from serving.customers.schemas import Churn, NextPurchase
from serving.demand.schemas import Forecast
from serving.http.schemas import Answer, Error
from serving.recommender.schemas import Recommendation
from training.models.demand.assumptions import COLUMNS

NOBODY = "nobody-at-all"
VALUES = ("date", "mean", "q10", "q50", "q90", "basis", *COLUMNS)
SOURCES = Path(__file__).resolve().parents[2]
FORBIDDEN = ("mlflow", "matplotlib", "statsforecast", "lifelines", "implicit")


@pytest.fixture(scope="session")
def customers(journey, as_of):
    orders = journey.known("orders", as_of).collect().to_polars()
    return orders["customer_id"].drop_nulls().unique().sort().head(3).to_list()


@pytest.fixture(scope="session")
def series(scored_demand):
    keys = [name for name in scored_demand.columns if name not in VALUES]
    return scored_demand.select(keys).unique(maintain_order=True).head(2).to_dicts()


def answer_of(client, kind, route, **body):
    response = client.post(f"/v1/{route}", json=body)
    assert response.status_code == 200, response.text
    return Answer[kind].model_validate_json(response.content)


def error_of(response, status, field=None):
    assert response.status_code == status, response.text
    error = Error.model_validate_json(response.content)
    assert error.field == field
    assert error.request_id == response.headers["x-request-id"]
    return error


def test_the_service_is_alive_and_ready(client):
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_answers_name_the_registered_model_and_the_published_instant(client, customers, as_of):
    answer = answer_of(client, Churn, "churn", customer_ids=customers)
    assert answer.model_version == "churn/1"
    assert answer.as_of == as_of


def test_recommendations_are_ranked_and_in_the_order_of_the_request(client, customers):
    order = customers[::-1]
    answer = answer_of(
        client, Recommendation, "recommend", customer_ids=order, k=5, allow_adjacent_category=True
    )
    assert [result.customer_id for result in answer.results] == order
    for result in answer.results:
        assert [item.rank for item in result.items] == [1, 2, 3, 4, 5]
        scores = [item.score for item in result.items]
        assert scores == sorted(scores, reverse=True)
        assert len({item.product_id for item in result.items}) == 5


def test_excluded_products_are_not_recommended(client, customers):
    first = answer_of(client, Recommendation, "recommend", customer_ids=customers[:1], k=3)
    shown = [item.product_id for item in first.results[0].items]
    again = answer_of(
        client,
        Recommendation,
        "recommend",
        customer_ids=customers[:1],
        k=3,
        exclude_product_ids=shown,
    )
    assert not set(shown) & {item.product_id for item in again.results[0].items}


def test_a_forecast_has_its_quantiles_in_order(client, series):
    answer = answer_of(client, Forecast, "forecast", series=series, horizon=14)
    named = [
        {key: getattr(result, key) for key in keys}
        for result, keys in zip(answer.results, series, strict=True)
    ]
    assert named == series
    for result in answer.results:
        assert result.forecast
        for point in result.forecast:
            units = [quantile.units for quantile in point.quantiles]
            assert units == sorted(units)


def test_churn_is_answered_for_every_requested_customer(client, customers):
    answer = answer_of(client, Churn, "churn", customer_ids=customers)
    assert [result.customer_id for result in answer.results] == customers
    assert all(result.stage for result in answer.results)


def test_the_next_purchase_is_more_likely_within_more_days(client, customers):
    answer = answer_of(
        client, NextPurchase, "next_purchase", customer_ids=customers, within_days=[3, 10, 40]
    )
    for result in answer.results:
        probabilities = [within.probability for within in result.within]
        assert probabilities == sorted(probabilities)
        days = [quantile.days for quantile in result.quantiles]
        assert days == sorted(days)


@pytest.mark.parametrize(
    ("kind", "route"),
    [(Recommendation, "recommend"), (Churn, "churn"), (NextPurchase, "next_purchase")],
)
def test_an_unknown_customer_is_answered_with_basis_population(client, kind, route):
    answer = answer_of(client, kind, route, customer_ids=[NOBODY])
    assert answer.results[0].customer_id == NOBODY
    assert answer.results[0].basis == "population"


def test_an_unknown_customer_is_shown_products(client):
    answer = answer_of(client, Recommendation, "recommend", customer_ids=[NOBODY], k=10)
    assert len(answer.results[0].items) == 10


def test_an_unknown_product_is_named(client, series):
    wrong = {**series[0], "product_id": "no-such-product"}
    answer = answer_of(client, Forecast, "forecast", series=[series[0], wrong])
    assert [result.product_id for result in answer.results] == [series[0]["product_id"]]
    assert "no-such-product" in answer.errors[0].message
    error_of(client.post("/v1/forecast", json={"series": [wrong]}), 404, "series[0].product_id")


def test_a_key_outside_the_grain_is_named(client, series):
    wrong = {**series[0], "planet": "mars"}
    response = client.post("/v1/forecast", json={"series": [wrong]})
    error_of(response, 422, "series[0].planet")


def test_a_horizon_that_is_too_long_names_the_limit(client, series, models):
    response = client.post("/v1/forecast", json={"series": series, "horizon": 5_000})
    error = error_of(response, 422, "horizon")
    assert "5000" in error.message
    assert str(models["demand"].horizon_days) in error.message


def test_an_unsupported_churn_horizon_is_refused(client, customers):
    response = client.post("/v1/churn", json={"customer_ids": customers, "horizon_days": 5_000})
    assert "5000" in error_of(response, 422, "horizon_days").message


def test_a_bad_date_is_refused(client, customers):
    response = client.post("/v1/churn", json={"customer_ids": customers, "as_of": "2017-13-45"})
    assert "2017-13-45" in error_of(response, 422, "as_of").message


def test_an_unknown_route_has_the_common_error_schema(client):
    error_of(client.get("/v1/nothing"), 404)


def test_a_wrong_method_has_the_common_error_schema(client):
    error_of(client.get("/v1/rerank"), 405)


def test_invalid_json_has_the_common_error_schema(client):
    headers = {"content-type": "application/json"}
    error_of(client.post("/v1/churn", content=b"{", headers=headers), 400)


def test_a_body_that_is_too_large_is_refused_and_the_service_stays_ready(client):
    headers = {"content-type": "application/json"}
    error_of(client.post("/v1/churn", content=b" " * 1_000_001, headers=headers), 413)
    assert client.get("/readyz").status_code == 200


def test_a_request_id_is_returned(client, customers):
    response = client.post(
        "/v1/churn", json={"customer_ids": customers}, headers={"x-request-id": "mine-1"}
    )
    assert response.headers["x-request-id"] == "mine-1"


def test_openapi_describes_every_endpoint(client):
    paths = client.get("/v1/openapi.json").json()["paths"]
    of_customers = {"churn", "next_purchase", "value", "customer", "audience"}
    of_products = {
        "recommend",
        "rerank",
        "similar",
        "frequently_bought_together",
        "customers_for_product",
    }
    of_demand = {"forecast", "anomalies"}
    others = {"admin/rollback", "customers", "events", "products", "status"}
    endpoints = of_customers | of_products | of_demand | others
    assert set(paths) == {f"/v1/{name}" for name in endpoints}


def test_all_customers_can_be_requested_at_once(client, journey, as_of):
    orders = journey.known("orders", as_of).collect().to_polars()
    everyone = orders.select(pl.col("customer_id").drop_nulls().unique().sort()).to_series()
    for kind, route in ((Recommendation, "recommend"), (Churn, "churn")):
        answer = answer_of(client, kind, route, customer_ids=everyone.to_list())
        assert [result.customer_id for result in answer.results] == everyone.to_list()


def test_the_image_has_the_locked_versions_of_what_serving_imports(bento, environment):
    name, version = bento.split(":")
    folder = Path(environment["BENTOML_HOME"]) / "bentos" / name / version
    packages = (folder / "env" / "python" / "requirements.in").read_text().split()
    locked = (SOURCES / "requirements.lock").read_text().split()
    assert set(packages) <= set(locked)
    assert not [name for name in packages if name.startswith(FORBIDDEN)]
