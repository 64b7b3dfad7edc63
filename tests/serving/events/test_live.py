"""The newest events by customer and session, without those that the served version has seen."""

from datetime import datetime
from pathlib import Path

import pytest

from features.events.log import EventLog
from features.events.records import Availability
from features.events.schema import Event
from serving.events.follow import EventViews
from serving.events.live import LiveEvents
from serving.served import ServedVersion
from training.published.versions import PublishedModel, PublishedVersion

AS_OF = datetime(2018, 1, 1)


def event(number, ts="2018-01-01T09:30:00", **fields):
    who = {} if "session_id" in fields else {"customer_id": "a"}
    kind = {"type": "purchase", "product_id": f"p{number}", "ts": ts}
    return Event(event_id=str(number), **kind | who | fields)


def version(position=0, as_of=AS_OF, *, consent=False):
    model = PublishedModel(
        version="churn/1", run_id="r", snapshot="s", as_of=as_of, events_position=position
    )
    return PublishedVersion(
        version=f"v {position} {as_of}",
        dataset="shop",
        created=AS_OF,
        models={"churn": model},
        consent=consent,
    )


@pytest.fixture
def log(tmp_path):
    log = EventLog(tmp_path, "shop")
    yield log
    log.close()


@pytest.fixture
def live(log):
    return LiveEvents(log, most_events=100)


def test_purchases_are_order_lines_of_a_posted_history_by_time(log, live):
    log.append(
        [
            event(1, ts="2018-01-03T10:00:00", quantity=2.0, revenue=3.5, location_id="l"),
            event(2, ts="2018-01-02T10:00:00", type="return", order_id="o"),
            event(3, type="view"),
        ]
    )
    live.refresh(version())
    assert list(live.customer("a").orders) == [
        {
            "ts": datetime(2018, 1, 2, 10),
            "product_id": "p2",
            "order_id": "o",
            "kind": "return",
        },
        {
            "ts": datetime(2018, 1, 3, 10),
            "product_id": "p1",
            "quantity": 2.0,
            "revenue": 3.5,
            "location_id": "l",
            "order_id": "a/l/2018-01-03",
            "kind": "sale",
        },
    ]
    assert live.customer("a").last == datetime(2018, 1, 3, 10)
    assert live.customer("a").position == 3
    assert live.customer("b") is None


def test_views_and_carts_of_a_session_come_most_recent_first(log, live):
    log.append([event(n, type=kind, session_id="s") for n, kind in enumerate(["view", "cart"] * 2)])
    live.refresh(version())
    session = live.session("s")
    assert [product for product, _ in session.viewed] == ["p2", "p0"]
    assert [product for product, _ in session.carted] == ["p3", "p1"]
    assert not session.orders


def test_events_that_the_version_has_seen_are_left_out(log, live):
    log.append([event(1, ts="2017-12-01"), event(2, ts="2018-01-01"), event(3, ts="2017-12-02")])

    def shown(version):
        live.refresh(version)
        return {line["product_id"] for line in live.customer("a").orders}

    assert shown(version(0)) == {"p1", "p2", "p3"}
    # Imported, but at or after the instant of the answers.
    assert shown(version(2)) == {"p2", "p3"}
    assert shown(version(0)) == {"p1", "p2", "p3"}
    live.refresh(version(3, datetime(2018, 2, 1)))
    assert live.customer("a") is None


def test_new_events_are_added_and_erased_customers_are_dropped(log, live):
    log.append([event(1), event(2, customer_id="b")])
    live.refresh(version())
    log.append([event(3)])
    live.refresh(version())
    assert len(live.customer("a").orders) == 2
    log.erase(["a"])
    live.refresh(version())
    assert live.customer("a") is None
    assert live.customer("b") is not None


def test_memory_is_bounded_by_dropping_the_least_active(log):
    live = LiveEvents(log, most_events=3)
    live.refresh(version())
    for number, customer in enumerate("aabbc"):
        log.append([event(number, customer_id=customer)])
        live.refresh(version())
    assert live.customer("a") is None
    assert len(live.customer("b").events) == 2


def test_unavailable_products_follow_their_times(log, live):
    log.set_availability(
        [
            Availability("off", available=False),
            Availability("soon", available=True, start=datetime(2018, 1, 2)),
            Availability("on", available=True),
        ]
    )
    live.refresh(version())
    assert live.unavailable(AS_OF) == {"off", "soon"}
    assert live.unavailable(datetime(2018, 1, 2)) == {"off"}
    log.set_availability([Availability("off", available=True)])
    live.refresh(version())
    assert live.unavailable(AS_OF) == {"soon"}


class Reader:
    known_ids = frozenset("a")


class Versions:
    def __init__(self, record):
        self.record = record

    def all_served(self):
        return [ServedVersion(Path(), self.record, {"churn": Reader}, {})]


def test_where_consent_is_recorded_only_customers_of_the_version_are_shown(log):
    log.append([event(1), event(2, customer_id="b", session_id="s"), event(3, session_id="t")])
    views = EventViews(Versions(version(consent=True)), lambda _: log, poll_seconds=60)
    views.refresh()
    live = views.view("shop")
    shown = live.customer("a"), live.customer("b"), live.session("s"), live.session("t")
    assert [one is not None for one in shown] == [True, False, False, True]


def test_the_thread_survives_a_database_that_fails(log):
    broken = [True]

    def open_log(_):
        if broken:
            raise OSError("no database")
        return log

    views = EventViews(Versions(version()), open_log, poll_seconds=60)
    views.refresh()
    assert "OSError" in views.fault
    broken.clear()
    log.append([event(1)])
    views.refresh()
    assert views.fault is None
    assert views.view("shop").customer("a") is not None
