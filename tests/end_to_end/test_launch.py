"""`foresell serve` as a process: first without a published version, then with one."""

import concurrent.futures
import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from datetime import timedelta

import httpx
import psutil
import pytest

from features.errors import Unavailable
from serving import launch
from training.published import versions as published

START = """
import sys
from pathlib import Path
from serving.launch import serve
home, port = Path(sys.argv[1]), int(sys.argv[2])
sys.exit(serve(home=home, host="127.0.0.1", port=port))
"""
# So many connections reach both workers.
CONNECTIONS, PURCHASES = 8, 3
# Replaced under load; more by the environment.
SWAPS = int(os.environ.get("FORESELL_TEST_SWAPS", "3"))


@pytest.fixture(scope="module")
def launched(serving, free_port, environment, tmp_path_factory):
    """A server that runs from the sources, on a home without a published version."""
    folder = tmp_path_factory.mktemp("launched")
    command = [sys.executable, "-c", START, str(folder / "home"), str(free_port)]
    variables = {
        **environment,
        "PYTHONPATH": f"{launch.SOURCES}:{environment['PYTHONPATH']}",
        "FORESELL_POLL_SECONDS": "0.2",
    }
    with serving(command, free_port, folder / "here", variables) as service:
        yield service, folder / "home"


def until(true, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if true():
                return True
        time.sleep(0.1)
    return False


def test_it_starts_empty_loads_a_version_and_stops_cleanly(launched, published_home):
    service, home = launched
    body = {"customer_ids": ["1"]}

    assert until(lambda: httpx.get(f"{service.url}/livez").status_code == 200, 180)
    assert httpx.get(f"{service.url}/readyz").status_code == 503
    refused = httpx.post(f"{service.url}/v1/churn", json=body)
    assert refused.status_code == 503
    assert "foresell train all" in refused.json()["message"]

    shutil.copytree(published.root(published_home), published.root(home))
    assert until(lambda: httpx.get(f"{service.url}/readyz").status_code == 200, 90)
    assert httpx.post(f"{service.url}/v1/churn", json=body).status_code == 200
    version = published.current(home).name
    assert f"[foresell] serving version {version}\n" in service.log.read_text()

    assert len(service.family()) >= 3
    assert service.interrupt() == []
    assert service.process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/livez")


@pytest.fixture(scope="module")
def running(serving, environment, published_home, tmp_path_factory):
    """Two workers with a published version in a home of their own, which the last test ends."""
    folder, port = tmp_path_factory.mktemp("running"), free_port_now()
    home = folder / "home"
    shutil.copytree(published.root(published_home), published.root(home))
    start = START.replace("port=port", "port=port, workers=2")
    command = [sys.executable, "-c", start, str(home), str(port)]
    variables = {
        **environment,
        "PYTHONPATH": f"{launch.SOURCES}:{environment['PYTHONPATH']}",
        "FORESELL_POLL_SECONDS": "0.2",
    }
    with serving(command, port, folder / "here", variables) as service:
        service.wait_until_ready()
        yield service, home


def free_port_now():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_dead_worker_is_logged_and_replaced(running):
    service, _ = running
    server = psutil.Process(service.process.pid).children()[0]
    assert until(lambda: len(server.children()) == 2, 10)
    worker, other = server.children()
    worker.kill()
    assert until(lambda: f"worker {worker.pid} ended" in service.log.read_text(), 10)
    service.wait_until_ready()
    assert until(lambda: len({*server.children()} - {worker, other}) == 1, 10)


def publish_copy(home, number):
    """Publish the served version again, its models with another number."""
    former = published.current(home)
    draft = former.parent / ".draft"
    shutil.copytree(former, draft, copy_function=os.link)
    (draft / published.RECORD).unlink()
    record = published.read(former)
    models = {
        name: model.model_copy(update={"version": f"{name}/{number}"})
        for name, model in record.models.items()
    }
    record = record.model_copy(update={"version": f"v{number}", "models": models})
    published.finish(home, draft, record)
    published.switch(home, record.version)


def test_all_workers_change_to_a_new_version_at_once(running):
    """No answer begins with the former version after one from the new version has ended."""
    service, home = running
    answers, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            begun = time.monotonic()
            # On a connection of its own, so of either worker.
            response = httpx.get(f"{service.url}/v1/status", timeout=30)
            assert response.status_code == 200, response.text
            numbers = {int(model["version"].split("/")[1]) for model in response.json()["models"]}
            answers.append((begun, time.monotonic(), numbers))

    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(ask) for _ in range(3)]
        try:
            for number in range(2, SWAPS + 2):
                publish_copy(home, number)
                assert until(lambda number=number: answers[-1][2] == {number}, 60)
        finally:
            ended.set()
        for future in asking:
            future.result()

    assert {len(numbers) for *_, numbers in answers} == {1}
    newest_ended = sorted((end, max(numbers)) for _, end, numbers in answers)
    seen, position = 1, 0
    for begun, _, (number,) in sorted(answers, key=lambda answer: answer[0]):
        while newest_ended[position][0] < begun:
            seen = max(seen, newest_ended[position][1])
            position += 1
        assert number >= seen


def test_purchases_change_the_answers_of_all_workers(running, as_of):
    """A new customer is known from the first purchase; a connection belongs to either worker."""
    service, _ = running
    ts = (as_of + timedelta(hours=1)).isoformat()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=service.url, timeout=20))
            for _ in range(CONNECTIONS)
        ]
        for number in range(PURCHASES):
            purchase = {
                "event_id": f"e{number}",
                "type": "purchase",
                "customer_id": f"new {number}",
            }
            purchase |= {"product_id": "any", "ts": ts, "quantity": 1, "revenue": 5.0}

            def is_known(client, name=purchase["customer_id"]):
                response = client.get("/v1/value", params={"customer_id": name})
                (answer,) = response.json()["results"]
                return answer["basis"] == "live" and answer["historic_value"] == 5.0

            assert not any(map(is_known, clients))
            assert clients[0].post("/v1/events", json=purchase).status_code == 202
            for client in clients:
                assert until(lambda client=client: is_known(client), 20)


def test_a_damaged_file_is_refused_instead_of_crashing_worker_after_worker(running):
    """Truncated in place, a mapped file ends the process that reads it."""
    service, home = running
    (published.current(home) / "churn" / "curves.npy").open("r+b").truncate(100)
    assert until(lambda: httpx.get(f"{service.url}/readyz").status_code == 503, 60)
    assert "curves.npy" in httpx.get(f"{service.url}/readyz").json()["fault"]
    refused = httpx.post(f"{service.url}/v1/churn", json={"customer_ids": ["1"]})
    assert refused.status_code == 503


def test_no_process_outlives_a_launcher_that_is_killed(running):
    service, _ = running
    family = service.family()
    service.process.kill()
    service.process.wait()
    assert psutil.wait_procs(family, timeout=40)[1] == []
    assert is_free(service.port)


def test_a_terminated_service_says_that_it_is_not_ready_before_it_stops(
    serving, environment, published_home, tmp_path
):
    port = free_port_now()
    start = START.replace("port=port", "port=port, drain_seconds=3")
    command = [sys.executable, "-c", start, str(published_home), str(port)]
    variables = {
        **environment,
        "PYTHONPATH": f"{launch.SOURCES}:{environment['PYTHONPATH']}",
    }
    with serving(command, port, tmp_path / "here", variables) as service:
        service.wait_until_ready()
        service.process.terminate()
        assert until(lambda: httpx.get(f"{service.url}/readyz").status_code == 503, 3)
        body = {"customer_ids": ["1"]}
        assert httpx.post(f"{service.url}/v1/churn", json=body).status_code == 200
        assert service.process.wait(timeout=60) == 0
        assert is_free(port)


def test_an_occupied_port_is_refused_before_anything_starts(tmp_path):
    before = psutil.Process().children(recursive=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=str(port)):
            launch.serve(home=tmp_path, host="127.0.0.1", port=port)
    assert not set(psutil.Process().children(recursive=True)) - set(before)
