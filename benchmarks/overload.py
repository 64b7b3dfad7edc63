"""Answers at ten times the capacity: delay of accepted requests, refusals, and memory after it.

Starts `foresell serve` with two workers on a copy of the published version. First, few connections
ask for lists as fast as they are answered: the capacity and the quiet delay. Then requests arrive
at ten times that rate, whether or not earlier ones were answered, each on a connection of its own.

Run: python benchmarks/overload.py [seconds of overload, by default 60]
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import events
import numpy as np
import polars as pl
import psutil
from events import exchange, serving, workers
from results import record

from foresell.settings import Settings
from training.published import versions as published

COMMAND = "python benchmarks/overload.py"
CONNECTIONS, QUIET_SECONDS, TIMES = 4, 10, 10
# A request for so many lists with a filter, so that ten times the capacity can be sent from here.
CUSTOMERS = 20
Delays = dict[int, list[float]]


def body_of(home: Path) -> bytes:
    """Return the request: lists of known customers, cheap products only."""
    version = published.current(home)
    if version is None:
        raise SystemExit("No version is published; run foresell train all.")
    answers = pl.read_parquet(version / "churn" / "answers.parquet", columns=["customer_id"])
    ids = answers.to_series().head(CUSTOMERS).to_list()
    return json.dumps({"customer_ids": ids, "max_price": 20.0}).encode()


async def request(body: bytes, delays: Delays) -> None:
    """Send a request on a new connection and note its status and seconds; 0 without an answer."""
    begun, status = time.perf_counter(), 0
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        connection = await asyncio.open_connection("127.0.0.1", events.PORT)
        sent = exchange(connection, "POST", "/v1/recommend", body)
        status = await asyncio.wait_for(sent, 60)
        connection[1].close()
    delays[status].append(time.perf_counter() - begun)


async def quiet(body: bytes) -> Delays:
    """Ask on few connections, one request after another."""
    delays: Delays = defaultdict(list)
    end = time.monotonic() + QUIET_SECONDS

    async def ask() -> None:
        while time.monotonic() < end:
            await request(body, delays)

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return delays


async def overload(body: bytes, rate: float, seconds: float) -> Delays:
    """Send requests at a rate, without waiting for answers."""
    delays: Delays = defaultdict(list)
    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(begun + number / rate - time.monotonic())
            tasks.create_task(request(body, delays))
    return delays


def row(phase: str, delays: Delays, seconds: float, service: psutil.Process) -> dict[str, object]:
    """Describe a phase."""
    refused = [delay for status in (429, 503) for delay in delays.get(status, [])]
    accepted = delays.get(200, [])
    others = sum(map(len, delays.values())) - len(accepted) - len(refused)
    memory = max(process.memory_full_info().uss for process in workers(service))
    return {
        "phase": phase,
        "accepted_per_second": len(accepted) / seconds,
        "accepted_p50_ms": _milliseconds(accepted, 0.5),
        "accepted_p99_ms": _milliseconds(accepted, 0.99),
        "refused_per_second": len(refused) / seconds,
        "refused_p99_ms": _milliseconds(refused, 0.99),
        "others": others,
        "worker_mb": memory / 2**20,
    }


def _milliseconds(delays: list[float], level: float) -> float | None:
    return float(np.quantile(delays, level)) * 1000 if delays else None


def main() -> None:
    """Measure and record."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(Settings().home / "published", home / "published")
        body = body_of(home)
        with serving(home, None) as service:
            asyncio.run(quiet(body))
            before = asyncio.run(quiet(body))
            rows = [row("quiet", before, QUIET_SECONDS, service)]
            rate = TIMES * len(before[200]) / QUIET_SECONDS
            at_peak = asyncio.run(overload(body, rate, seconds))
            rows.append(row(f"{TIMES} times", at_peak, seconds, service))
            rows.append(row("afterwards", asyncio.run(quiet(body)), QUIET_SECONDS, service))
    note = (
        f"Requests for {CUSTOMERS} filtered lists; two workers and the load generator share two "
        f"cores; {seconds:.0f} s of overload. `others` had another status or no answer. "
        "`worker_mb`: unique memory of the largest worker."
    )
    record("overload", pl.DataFrame(rows), command=COMMAND, packages=("polars",), note=note)


if __name__ == "__main__":
    main()
