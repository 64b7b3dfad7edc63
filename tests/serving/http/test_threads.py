"""Long answers: the thread stops when the client goes or the time is up."""

import asyncio
import threading

import pytest
from starlette.requests import ClientDisconnect

from serving.http.threads import MAX_WAIT, MOST_THREADS, RECEIVE, Overloaded, in_thread
from serving.stopping import Stopped, check_stopped


class Work:
    """Computes until it is stopped."""

    def __init__(self) -> None:
        self.started, self.stopped = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.started.set()
        try:
            while True:
                check_stopped()
        except Stopped:
            self.stopped.set()
            raise

    async def begun(self) -> None:
        await asyncio.to_thread(self.started.wait, 10)


def test_a_result_or_an_error_is_passed_on():
    assert asyncio.run(in_thread(lambda: 42)) == 42
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(lambda: 1 // 0))


def test_work_stops_when_the_client_goes():
    work = Work()

    async def request() -> None:
        async def receive() -> dict[str, str]:
            await work.begun()
            return {"type": "http.disconnect"}

        RECEIVE.set(receive)
        await in_thread(work)

    with pytest.raises(ClientDisconnect):
        asyncio.run(request())
    assert work.stopped.wait(10)


def test_work_stops_when_the_time_is_up():
    work = Work()

    async def request() -> None:
        task = asyncio.ensure_future(in_thread(work))
        await work.begun()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(request())
    assert work.stopped.wait(10)


def test_nothing_stops_outside_of_a_request():
    check_stopped()


def test_a_request_that_waits_too_long_for_its_turn_is_refused():
    work = [Work() for _ in range(MOST_THREADS)]

    async def requests() -> None:
        busy = [asyncio.ensure_future(in_thread(one)) for one in work]
        for one in work:
            await one.begun()
        MAX_WAIT.set(0.01)
        with pytest.raises(Overloaded):
            await in_thread(lambda: 42)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        MAX_WAIT.set(10)
        assert await in_thread(lambda: 42) == 42

    asyncio.run(requests())
