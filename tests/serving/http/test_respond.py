"""Answers by size of the request, by instant, and while versions change."""

import shutil

import pytest

from serving.app import build_app
from serving.predictor import VersionHolder


def test_large_requests_are_answered_in_the_order_of_the_ids(client):
    many = [str(number) for number in range(2_000)]
    response = client.post("/v1/recommend", json={"customer_ids": many, "k": 1})
    assert [result["customer_id"] for result in response.json()["results"]] == many


@pytest.mark.parametrize("as_of", ["2017-13-45", "yesterday", "2017-12-01", "2018-01-01T00:00Z"])
def test_an_invalid_or_unpublished_instant_is_refused(client, as_of, error_of):
    body = {"customer_ids": ["1"], "as_of": as_of}
    error = error_of(client.post("/v1/recommend", json=body), 422, "invalid_input", "as_of")
    assert as_of[:10] in error.message


def test_the_published_instant_is_accepted(client):
    body = {"customer_ids": ["1"], "as_of": "2018-01-01"}
    assert client.post("/v1/recommend", json=body).status_code == 200


def test_a_request_whose_version_was_deleted_is_answered_by_the_next_version(
    tmp_path, publish_by_hand, readers, error_of, client_of
):
    class LazyReader:
        """Opens its files only on request."""

        def __init__(self, folder):
            self.folder = folder

        def answer(self, *asked):
            return readers["recommender"](self.folder).answer(*asked)

    deleted = publish_by_hand(tmp_path, "v1", "milk")
    versions = VersionHolder([tmp_path], {"recommender": LazyReader}, poll_seconds=60)
    versions.refresh()
    client, body = client_of(build_app(versions)), {"customer_ids": ["1"]}
    shutil.rmtree(deleted)
    error_of(client.post("/v1/recommend", json=body), 500, "internal")
    publish_by_hand(tmp_path, "v2", "bread")
    items = client.post("/v1/recommend", json=body).json()["results"][0]["items"]
    assert [item["product_id"] for item in items] == ["bread"]


def test_a_request_may_name_one_of_several_datasets(
    tmp_path, publish_by_hand, readers, error_of, client_of
):
    publish_by_hand(tmp_path, "v1", "milk", dataset="shop")
    publish_by_hand(tmp_path, "w1", "bread", dataset="web")
    versions = VersionHolder([tmp_path], readers, poll_seconds=60, dataset="shop")
    versions.refresh()
    client, body = client_of(build_app(versions)), {"customer_ids": ["1"]}
    for dataset, product in ((None, "milk"), ("shop", "milk"), ("web", "bread")):
        answer = client.post("/v1/recommend", json=body | {"dataset": dataset}).json()
        assert [item["product_id"] for item in answer["results"][0]["items"]] == [product]
    response = client.post("/v1/recommend", json=body | {"dataset": "../shop"})
    assert "shop, web" in error_of(response, 404, "not_found", "dataset").message
