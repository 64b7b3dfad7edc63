"""`foresell serve` as a process: first without a published version, then with one."""

import contextlib
import shutil
import socket
import sys
import time

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
sys.exit(serve(home=Path(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2])))
"""


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


def test_an_occupied_port_is_refused_before_anything_starts(tmp_path):
    before = psutil.Process().children(recursive=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=str(port)):
            launch.serve(home=tmp_path, host="127.0.0.1", port=port)
    assert not set(psutil.Process().children(recursive=True)) - set(before)
