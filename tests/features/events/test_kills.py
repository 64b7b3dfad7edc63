"""A writer may be killed at any point: what was acknowledged is stored, and stored once."""

import multiprocessing
import random
from pathlib import Path

from features.events.log import EventLog
from features.events.schema import Event

KILLS = 20
GROUP = 3


def write(folder: Path, url: str | None, first: int, acknowledge) -> None:
    """Append groups of events for ever; sends the number of each once it is acknowledged."""
    log = EventLog(folder, "shop", url)
    for start in range(first, 1_000_000, GROUP):
        numbers = range(start, start + GROUP)
        log.append([event(number) for number in numbers])
        acknowledge.send_bytes(b",".join(str(number).encode() for number in numbers))


def event(number: int) -> Event:
    fields = {"type": "view", "session_id": "s", "ts": "2018-01-01"}
    return Event(event_id=f"id {number}", product_id=str(number), **fields)


def test_every_acknowledged_event_is_stored_once_after_kills(tmp_path, events_url, open_log):
    log, chance = open_log(), random.Random(7)
    processes = multiprocessing.get_context("fork")
    log.append([])
    first, acknowledged = 0, []
    for _ in range(KILLS):
        receive, send = processes.Pipe(duplex=False)
        writer = processes.Process(target=write, args=(tmp_path, events_url, first, send))
        writer.start()
        send.close()
        for _ in range(chance.randrange(1, 8)):
            acknowledged += map(int, receive.recv_bytes().split(b","))
        writer.kill()
        writer.join()
        try:
            while True:
                acknowledged += map(int, receive.recv_bytes().split(b","))
        except EOFError:
            receive.close()
        # The next writer begins with what was not acknowledged, stored or not.
        first = acknowledged[-1] + 1
    stored = [int(logged.product_id) for logged in log.since(0)]
    assert sorted(stored)[: len(acknowledged)] == acknowledged
    assert len(stored) == len(set(stored)) <= len(acknowledged) + GROUP
    assert [logged.position for logged in log.since(0)] == list(range(1, len(stored) + 1))
