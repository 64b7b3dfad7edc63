"""Events and availability over HTTP: each event for itself, stored before the answer."""

from datetime import datetime, timedelta

import pytest

from features.events.log import EventLog
from serving.app import build_app
from serving.predictor import VersionHolder

VIEW = {"type": "view", "session_id": "s", "product_id": "milk", "ts": "2018-01-01T09:30:00"}


@pytest.fixture
def log(tmp_path, client):
    log = EventLog(tmp_path, "d")
    yield log
    log.close()


def test_a_single_event_is_stored_once(client, log):
    for accepted in (1, 0):
        response = client.post("/v1/events", json=VIEW | {"event_id": "1"})
        assert response.status_code == 202
        assert response.json() == {
            "accepted": accepted,
            "duplicates": 1 - accepted,
            "rejected": [],
        }
    assert [event.product_id for event in log.since(0)] == ["milk"]


def test_invalid_events_of_a_batch_are_rejected_and_the_others_stored(client, log):
    tomorrow = (datetime.now() + timedelta(days=2)).isoformat()
    changes = [
        {},
        {"type": "wink"},
        {"session_id": None},
        {"product_id": None},
        {"ts": "2018-01-01T09:30:00Z"},
        {"ts": tomorrow},
        {"ts": "1017-01-01"},
        {"quantity": -1},
        {"type": "purchase", "quantity": 0},
        {"product_id": "a\0"},
        {"colour": "red"},
        {"type": "rating"},
    ]
    events = [VIEW | {"event_id": str(k)} | change for k, change in enumerate(changes)]
    response = client.post("/v1/events", json={"events": [*events, 7]})
    answer = response.json()
    assert (response.status_code, answer["accepted"]) == (202, 1)
    assert [entry["index"] for entry in answer["rejected"]] == list(range(1, 13))
    fields = [entry["field"] for entry in answer["rejected"]]
    expected = ["type", None, None, "ts", "ts", "ts", "quantity", None, "product_id", "colour"]
    assert fields == [*expected, None, None]
    assert "time zone" in answer["rejected"][3]["reason"]
    assert len(log.since(0)) == 1


def test_an_invalid_single_event_is_an_error_of_the_request(client, error_of):
    response = client.post("/v1/events", json=VIEW | {"event_id": "1", "type": "wink"})
    error_of(response, 422, "invalid_input", "type")
    response = client.post("/v1/events", json=VIEW | {"event_id": "1", "session_id": None})
    assert "customer_id" in error_of(response, 422, "invalid_input").message


def test_events_of_an_unknown_dataset_are_refused(client, error_of, tmp_path):
    response = client.post("/v1/events", json=VIEW | {"event_id": "1", "dataset": "other"})
    error_of(response, 404, "not_found", "dataset")
    assert not (tmp_path / "datasets" / "other").exists()


def test_a_dataset_takes_events_before_anything_is_published(tmp_path, readers, client_of):
    versions = VersionHolder([tmp_path], readers, 60, preferred="shop")
    response = client_of(build_app(versions)).post("/v1/events", json=VIEW | {"event_id": "1"})
    assert response.status_code == 202


def test_availability_replaces_what_was_stated_before(client, log, error_of):
    later = {"product_id": "milk", "available": True, "from": "2018-01-02"}
    off = {"product_id": "milk", "available": False}
    for state in (off, later):
        response = client.post("/v1/products", json={"products": [state]})
        assert (response.status_code, response.json()) == (202, {"accepted": 1})
    (product,) = log.availability()
    assert (product.available, product.start) == (True, datetime(2018, 1, 2))
    wrong = {"products": [later | {"until": "2018-01-01"}]}
    error_of(client.post("/v1/products", json=wrong), 422, "invalid_input", "products[0]")
