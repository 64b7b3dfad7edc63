"""Concurrent requests share transactions, and a database that fails refuses them."""

import asyncio

import pytest

from features.errors import Unavailable
from features.events.schema import Event
from serving.events.recommendation_ids import RecommendationIds
from serving.events.writer import EventWriter


class Log:
    """Keeps the events of each transaction; fails while `broken`."""

    def __init__(self):
        self.groups, self.broken = [], False

    def append(self, events, attribute):
        if self.broken:
            raise OSError("disk full")
        self.groups.append([event.event_id for event in events])
        return [event.event_id != "again" for event in events]


def event(name):
    return Event(event_id=name, type="view", session_id="s", product_id="p", ts="2018-01-01")


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def writer(log):
    return EventWriter(log, RecommendationIds(b"key"))


def test_requests_that_wait_share_a_transaction_and_get_their_own_answers(log, writer):
    async def run():
        return await asyncio.gather(
            writer.append([event("1")]),
            writer.append([event("2"), event("again")]),
            writer.append([]),
        )

    assert asyncio.run(run()) == [[True], [True, False], []]
    assert log.groups == [["1", "2", "again"]]


def test_a_cancelled_request_does_not_stop_the_others(log, writer):
    async def run():
        first = asyncio.create_task(writer.append([event("1")]))
        second = asyncio.create_task(writer.append([event("2")]))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(run()) == [True]
    assert log.groups == [["1", "2"]]


def test_a_failing_database_refuses_requests_until_it_works_again(log, writer):
    async def run():
        log.broken = True
        with pytest.raises(Unavailable, match="send them again"):
            await writer.append([event("1")])
        log.broken = False
        return await writer.append([event("1")])

    assert asyncio.run(run()) == [True]
