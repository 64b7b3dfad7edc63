"""Lists have ids, by which impressions, clicks and purchases are counted."""

import re

import pytest

from features.events.log import EventLog
from serving.app import build_app
from serving.events.follow import EventViews
from serving.events.recommendation_ids import RecommendationIds
from serving.predictor import VersionHolder

ITEMS = [{"product_id": "milk", "reason": "repeat"}, {"product_id": "tea", "reason": "popular"}]


@pytest.fixture
def ids(tmp_path):
    return RecommendationIds.load(tmp_path)


def identified(ids, customer="1111", version=3, name="for_you", items=ITEMS):
    lists = [{"customer_id": customer, "items": items}]
    ids.add(version, name, lists)
    return lists[0]["recommendation_id"]


def test_an_id_tells_version_list_and_reasons(ids):
    shown = ids.read(identified(ids))
    assert (shown.version, shown.list_name) == (3, "for_you")
    assert shown.reasons("tea") == ["popular"]
    assert shown.reasons(None) == ["repeat", "popular"]
    assert shown.reasons("bread") == []


def test_an_id_is_the_same_for_the_same_list_in_every_process(ids, tmp_path):
    again = RecommendationIds.load(tmp_path)
    assert identified(ids) == identified(again)
    assert len({identified(ids, **other) for other in ({}, {"customer": "2"}, {"version": 4})}) == 3


def test_without_the_key_of_the_home_an_id_says_nothing_of_the_customer(ids, tmp_path):
    other = RecommendationIds.load(tmp_path / "other")
    assert other.read(identified(ids)) is None
    assert identified(other) != identified(ids)


@pytest.mark.parametrize("text", ["", "r1", "é", "A" * 40])
def test_other_texts_are_no_ids(ids, text):
    assert ids.read(text) is None


@pytest.fixture
def served(tmp_path, publish_by_hand, readers, client_of):
    """An application that serves lists, and what follows its events."""
    publish_by_hand(tmp_path, "v1")
    versions = VersionHolder([tmp_path], readers, poll_seconds=60)
    versions.refresh()
    events = EventViews(versions, lambda dataset: EventLog(tmp_path, dataset))
    return client_of(build_app(versions, events=events)), events


def test_events_of_a_list_are_counted_once_by_version_list_and_reason(served):
    client, views = served
    answer = client.post("/v1/recommend", json={"customer_ids": ["1"], "k": 2}).json()
    (shown,) = answer["results"]
    reference = {"recommendation_id": shown["recommendation_id"], "customer_id": "1"}
    milk = reference | {"product_id": "milk", "ts": "2018-01-01T10:00:00"}
    events = [
        milk | {"event_id": "1", "type": "impression"},
        {**reference, "ts": milk["ts"], "event_id": "2", "type": "impression"},
        milk | {"event_id": "3", "type": "click"},
        milk | {"event_id": "4", "type": "purchase", "revenue": 2.5},
        milk | {"event_id": "5", "type": "click", "recommendation_id": "of another shop"},
    ]
    for _ in range(2):
        assert client.post("/v1/events", json={"events": events}).status_code == 202
    views.refresh()
    (row,) = client.get("/v1/status").json()["feedback"]
    assert row == {
        "version": "recommender/1",
        "list": "for_you",
        "reason": "popular",
        "impressions": 3,
        "clicks": 1,
        "purchases": 1,
        "revenue": 2.5,
        "click_through_rate": pytest.approx(1 / 3),
        "conversion_rate": 1.0,
    }
    text = client.get("/metrics").text
    assert re.search(r'foresell_list_events_total\{.*type="click".*\} 1\.0', text)
