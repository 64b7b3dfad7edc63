"""Rate and delay of live events with two workers, and what is stored after kills of processes.

Starts `foresell serve` with two workers on a copy of the published version, on SQLite and on a
PostgreSQL server (its address: FORESELL_TEST_DATABASE). Measured are acknowledged events per
second, CPU of the workers per event, the delay of an acknowledgement, and the time until every
worker knows an event. Then processes are killed (SIGKILL) under load, one after another.

Run: python benchmarks/events.py [kills, by default 100]
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl
import psutil
import sqlalchemy as sa
from results import record

from features.events.database import EVENTS
from features.events.log import EventLog
from foresell.settings import Settings
from training.published import versions as published

WORKERS, CONNECTIONS, SECONDS = 2, 32, 10
VISIBLE_EVENTS = 100
SERVER = os.environ.get("FORESELL_TEST_DATABASE", "postgresql://postgres@127.0.0.1:5432/test")
PORT = int(os.environ.get("PORT", "4120"))
NOTE = (
    f"{WORKERS} workers and the load generator ({CONNECTIONS} connections) share two cores. A "
    "request has `batch` events; each is durable before it is acknowledged. `visible`: from the "
    f"acknowledgement of one of {VISIBLE_EVENTS} events until /readyz of every worker shows it."
)


@dataclass
class Load:
    """Sends requests of some events, each of which is sent again until it is acknowledged.

    Attributes
    ----------
    batch
        Events of a request.
    seconds
        Delay of each acknowledgement.
    acknowledged
        Numbers of the acknowledged events.
    """

    batch: int
    next_number: int = 0
    seconds: list[float] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    stopped: bool = False

    async def run(self) -> None:
        """Send until `stopped`."""
        await asyncio.gather(*(self._send() for _ in range(CONNECTIONS)))

    async def _send(self) -> None:
        connection = None
        while not self.stopped:
            numbers = range(self.next_number, self.next_number + self.batch)
            self.next_number += self.batch
            body = json.dumps({"events": [_event(number) for number in numbers]}).encode()
            begun = time.perf_counter()
            status = 0
            while status != 202:
                with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                    connection = connection or await asyncio.open_connection("127.0.0.1", PORT)
                    status = await exchange(connection, "POST", "/v1/events", body)
                if status != 202:
                    connection = None
                    await asyncio.sleep(0.05)
            self.seconds.append(time.perf_counter() - begun)
            self.acknowledged += numbers


def _event(number: int) -> dict[str, object]:
    who, ts = f"bench {number % 1000}", "2018-01-02T10:00:00"
    kind = {"type": "view", "customer_id": who, "product_id": str(number)}
    return {"event_id": f"bench {number}", "ts": ts, **kind}


async def exchange(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    method: str,
    path: str,
    body: bytes = b"",
) -> int:
    """Send a request and return the status of its response."""
    reader, writer = connection
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().partition(b"content-length:")[2].split()[0])
    content = await reader.readexactly(length)
    status = int(answer.split()[1])
    return status if path != "/readyz" else int(json.loads(content)["events_position"])


@contextmanager
def serving(home: Path, url: str | None) -> Iterator[psutil.Process]:
    """Serve a home for the duration of a context; yields the process of the command."""
    environment = {**os.environ, "FORESELL_HOME": str(home), "FORESELL_WORKERS": str(WORKERS)}
    environment |= {"FORESELL_EVENTS_URL": url} if url else {}
    command = [sys.executable, "-m", "foresell.cli", "serve", "--port", str(PORT)]
    with subprocess.Popen(  # noqa: S603
        command, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            asyncio.run(_wait())
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


async def _wait() -> None:
    """Wait until the service responds."""
    for _ in range(600):
        with suppress(OSError, asyncio.IncompleteReadError, ValueError, KeyError, IndexError):
            connection = await asyncio.open_connection("127.0.0.1", PORT)
            await exchange(connection, "GET", "/readyz")
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the service does not respond")


def workers(service: psutil.Process) -> list[psutil.Process]:
    """Return the serving processes, the newest last."""
    processes = []
    for child in service.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("worker" in word for word in child.cmdline()):
                processes.append(child)
    return processes


async def measure_rate(service: psutil.Process, load: Load) -> dict[str, object]:
    """Send as fast as events are acknowledged."""
    before = _cpu(service)
    sending = asyncio.create_task(load.run())
    await asyncio.sleep(SECONDS)
    load.stopped = True
    await sending
    events = len(load.acknowledged)
    p50, p99 = np.quantile(load.seconds, [0.5, 0.99])
    return {
        "batch": load.batch,
        "events_per_second": round(events / SECONDS),
        "cpu_ms_per_event": (_cpu(service) - before) / events * 1000,
        "ack_p50_ms": p50 * 1000,
        "ack_p99_ms": p99 * 1000,
    }


def _cpu(service: psutil.Process) -> float:
    times = [child.cpu_times() for child in workers(service)]
    return sum(time.user + time.system for time in times)


async def measure_delay(log: EventLog, first: int) -> tuple[float, float]:
    """Return median and 99th percentile of the seconds until every worker knows an event."""
    address = "127.0.0.1", PORT
    post = await asyncio.open_connection(*address)
    # Connections go to any worker: so many reach all of them.
    readers = [await asyncio.open_connection(*address) for _ in range(8 * WORKERS)]
    seconds = []
    for number in range(first, first + VISIBLE_EVENTS):
        body = json.dumps({"events": [_event(number)]}).encode()
        await exchange(post, "POST", "/v1/events", body)
        begun, position = time.perf_counter(), log.head().position
        for reader in readers:
            while await exchange(reader, "GET", "/readyz") < position:
                await asyncio.sleep(0.005)
        seconds.append(time.perf_counter() - begun)
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return float(p50), float(p99)


async def kill_workers(service: psutil.Process, load: Load, kills: int) -> None:
    """Kill one worker after another under load, each once all are back."""
    sending = asyncio.create_task(load.run())
    chance = random.Random(7)  # noqa: S311
    killed = 0
    while killed < kills:
        while len(alive := workers(service)) < WORKERS:
            await asyncio.sleep(0.05)
        known = len(load.acknowledged)
        while len(load.acknowledged) < known + 5 * CONNECTIONS:
            await asyncio.sleep(0.01)
        with suppress(psutil.NoSuchProcess):
            chance.choice(alive).kill()
            killed += 1
    load.stopped = True
    await sending


def lost_and_repeated(log: EventLog, acknowledged: list[int]) -> tuple[int, int]:
    """Return how many acknowledged events are missing, and how many events are stored twice."""
    with log.engine.connect() as connection:
        stored = Counter(connection.execute(sa.select(EVENTS.c.event_id)).scalars())
    missing = sum(f"bench {number}" not in stored for number in acknowledged)
    return missing, sum(count > 1 for count in stored.values())


def measure(home: Path, url: str | None, kills: int) -> tuple[list[dict[str, object]], str]:
    """Measure one database; returns the rows of the table, and what the kills left."""
    database = "SQLite" if url is None else "PostgreSQL"
    (dataset,) = published.datasets(home)
    rows, first = [], 0
    with serving(home, url) as service, closing(EventLog(home, dataset, url)) as log:
        asyncio.run(_warm_up(first))
        for batch in (1, 10, 100):
            first += 1_000_000
            row = asyncio.run(measure_rate(service, Load(batch, first)))
            rows.append({"database": database, **row})
        p50, p99 = asyncio.run(measure_delay(log, first + 900_000))
        rows = [row | {"visible_p50_s": p50, "visible_p99_s": p99} for row in rows]
        print(pl.DataFrame(rows))
        load = Load(3, first + 1_000_000)
        asyncio.run(kill_workers(service, load, kills))
        missing, repeated = lost_and_repeated(log, load.acknowledged)
    text = (
        f"{database}: after {kills} kills of a worker under load, of {len(load.acknowledged):,} "
        f"acknowledged events {missing} are missing and {repeated} are stored twice."
    )
    return rows, text


async def _warm_up(first: int) -> None:
    load = Load(1, first)
    sending = asyncio.create_task(load.run())
    await asyncio.sleep(2)
    load.stopped = True
    await sending


@contextmanager
def databases() -> Iterator[list[str | None]]:
    """Yield the URLs of SQLite and of an empty schema of the server."""
    engine = sa.create_engine(sa.make_url(SERVER).set(drivername="postgresql+psycopg"))
    schema = f"events_{uuid4().hex}"
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    try:
        yield [None, f"{SERVER}?options=-csearch_path%3D{schema}"]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))


def main() -> None:
    """Measure both databases."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rows, texts = [], []
    with databases() as urls, tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        source = Settings().home
        shutil.copytree(source / "published", home / "published")
        for url in urls:
            of_database, text = measure(home, url, kills)
            rows += of_database
            texts.append(text)
    packages = ["sqlalchemy", "psycopg"]
    note = " ".join([NOTE, *texts])
    command = "python benchmarks/events.py"
    record("live events", pl.DataFrame(rows), command=command, packages=packages, note=note)


if __name__ == "__main__":
    main()
