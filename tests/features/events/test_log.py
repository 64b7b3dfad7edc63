"""The log stores each event once, in an order that no reader misses anything of."""

import threading
from datetime import datetime

import pytest

from features.errors import InvalidInput, Unavailable
from features.events.log import EventLog
from features.events.records import Availability
from features.ingest.forgotten import ForgottenCustomers

AT = datetime(2018, 1, 1, 12)


def test_an_event_id_is_stored_once(open_log, event):
    log = open_log()
    assert log.append([event("1"), event("2"), event("1")]) == [True, True, False]
    assert open_log().append([event("2", product_id="other"), event("3")]) == [False, True]
    assert [(e.position, e.product_id) for e in log.since(0)] == [
        (1, "milk"),
        (2, "milk"),
        (3, "milk"),
    ]


def test_what_is_read_is_what_was_logged(open_log, event):
    fields = {"quantity": 2.0, "revenue": 5.98, "order_id": "o", "location_id": "l"}
    given = event("1", session_id="s", channel="web", recommendation_id="r", **fields)
    log = open_log()
    log.append([given])
    assert log.since(0)[0]._asdict() == given.model_dump(exclude={"event_id"}) | {"position": 1}


def test_reading_creates_nothing(tmp_path):
    log = EventLog(tmp_path, "shop")
    assert (log.since(0), log.head().position, log.erase(["a"])) == ([], 0, 0)
    assert not list(tmp_path.iterdir())


def test_a_reader_that_follows_positions_misses_no_event_of_concurrent_writers(open_log, event):
    each, writers = 15, 4

    def write(name):
        log = open_log()
        for number in range(each):
            log.append([event(f"{name}-{number}")])

    open_log().append([])
    threads = [threading.Thread(target=write, args=(name,)) for name in range(writers)]
    for thread in threads:
        thread.start()
    reader, position, read = open_log(), 0, []
    while len(read) < each * writers and (any(t.is_alive() for t in threads) or len(read) == 0):
        read += (new := reader.since(position))
        position = new[-1].position if new else position
    read += reader.since(position)
    assert [e.position for e in read] == list(range(1, each * writers + 1))


def test_erasure_leaves_anonymous_lines_and_deletes_other_events_and_the_sessions(
    tmp_path, open_log, event
):
    log = open_log()
    log.append(
        [
            event("1 of a", revenue=2.0),
            event("2", session_id="s", type="view"),
            event("3", session_id="s", customer_id="a", type="view"),
            event("4", session_id="other", type="view"),
            event("5", customer_id="b"),
        ]
    )
    before = log.head()
    folder = tmp_path / "datasets" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    ForgottenCustomers.load(folder).add(folder, ["a"])
    assert log.erase(["a"]) == 3
    assert [(e.position, e.customer_id, e.revenue) for e in log.since(0)] == [
        (1, None, 2.0),
        (4, None, None),
        (5, "b", None),
    ]
    assert log.head().erased > before.position
    # Sent again, and later ones: the customer stays forgotten.
    assert log.append([event("1 of a"), event("6", session_id="s", customer_id="a")]) == [
        False,
        True,
    ]
    assert log.since(5)[0][:4] == (7, "purchase", None, None)


def test_nothing_of_an_erased_customer_stays_in_the_files(tmp_path, event):
    log = EventLog(tmp_path, "shop")
    name = "somebody-in-particular"
    log.append([event(f"1-{name}", customer_id=name), event("2", customer_id=name, type="view")])
    log.erase([name])
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(name.encode() in content for content in files)


def test_the_last_statement_on_a_product_counts(open_log):
    log = open_log()
    log.set_availability(
        [Availability("milk", available=False), Availability("tea", available=True)]
    )
    position = log.set_availability([Availability("milk", available=True, start=AT)])
    assert log.availability(position - 1) == [Availability("milk", available=True, start=AT)]
    assert {p.product_id for p in log.availability()} == {"milk", "tea"}


@pytest.mark.parametrize("available", [True, False])
def test_a_product_is_in_its_state_from_start_to_end(available):
    product = Availability("milk", available, AT, AT.replace(hour=14))
    assert [product.is_available(AT.replace(hour=hour)) for hour in (11, 12, 13, 14)] == [
        not available,
        available,
        available,
        not available,
    ]


def test_a_url_of_another_database_is_refused_without_its_password(tmp_path):
    with pytest.raises(InvalidInput, match="FORESELL_EVENTS_URL") as error:
        EventLog(tmp_path, "shop", "mysql://user:hidden@host/shop")
    assert "hidden" not in error.value.message


def test_a_database_that_does_not_answer_is_reported_without_its_password(tmp_path, event):
    log = EventLog(tmp_path, "shop", "postgresql://user:hidden@127.0.0.1:1/shop")
    for use in (log.head, lambda: log.append([event("1")])):
        with pytest.raises(Unavailable, match="does not answer") as error:
            use()
        assert "hidden" not in error.value.message
