"""A Bento built from the sources with fitted models, served in a separate process."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psutil
import pytest

from features.dataset import Dataset, open_dataset
from training.published import versions as published
from training.registry import TASKS

SOURCES = Path(__file__).resolve().parents[2]
PACKAGES = ("features", "training", "serving", "foresell")
READY_SECONDS = 90
DAYS_AFTER = 31
# Serving must not import them: importing one is an error in the served process.
FORBIDDEN = ("mlflow", "matplotlib", "statsforecast", "lifelines", "implicit")


@dataclass
class Service:
    """A running `bentoml serve`, its address and its processes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def family(self) -> list[psutil.Process]:
        """The server and its workers."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def wait_until_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        pytest.fail(f"not ready within {READY_SECONDS} s:\n{self.log.read_text()[-4000:]}")

    def interrupt(self) -> list[psutil.Process]:
        """Interrupt as Ctrl-C does, wait for the end, and return the processes that are left."""
        family = self.family()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        return psutil.wait_procs(family, timeout=20)[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _serving(
    command: list[str], port: int, folder: Path, environment: dict[str, str]
) -> Iterator[Service]:
    """Run a server from an empty folder; all its processes are killed at the end."""
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        yield service
    finally:
        family = service.family() if process.poll() is None else []
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


@pytest.fixture(scope="session")
def serving() -> Callable[..., contextlib.AbstractContextManager[Service]]:
    """Run a server's command line as a `Service`."""
    return _serving


@pytest.fixture(scope="module")
def free_port() -> int:
    """A free port."""
    return _free_port()


@pytest.fixture(scope="session")
def as_of(journey: Dataset) -> datetime:
    """The instant of the served version; later records exist and must not matter."""
    return journey.end - timedelta(days=DAYS_AFTER)


@pytest.fixture(scope="session")
def models(journey: Dataset, as_of: datetime, quick: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A model of every task, fitted on the small data set."""
    return {
        name: task.model(**task.options(journey, as_of=as_of), **quick.get(name, {})).fit(
            journey, as_of
        )
        for name, task in TASKS.items()
    }


@pytest.fixture(scope="session")
def scored_demand(
    home: Path, journey: Dataset, as_of: datetime, models: dict[str, Any]
) -> pl.DataFrame:
    """Batch forecasts of the demand model, from records without cached features."""
    return models["demand"].predict(open_dataset(home, journey.name), as_of)


@pytest.fixture(scope="session")
def published_home(
    journey: Dataset,
    as_of: datetime,
    models: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A home in which all models are published."""
    home = tmp_path_factory.mktemp("published")
    draft = published.root(home) / ".draft"
    for name, model in models.items():
        (draft / name).mkdir(parents=True)
        TASKS[name].publish(model, journey, as_of, draft / name)
        for companion, published_format in TASKS[name].companions.items():
            (draft / companion).mkdir()
            published_format.publish(journey, as_of, draft / companion)
    record = published.PublishedVersion(
        version="v1",
        dataset=journey.name,
        created=datetime.now().astimezone(),
        models={
            name: published.PublishedModel(
                version=f"{name}/1", run_id="none", snapshot=journey.snapshot, as_of=as_of
            )
            for name in models
        },
        companions=tuple(name for task in models for name in TASKS[task].companions),
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")
    return home


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment with a store of Bentos, where importing a forbidden package fails."""
    forbidden = tmp_path_factory.mktemp("forbidden")
    for name in FORBIDDEN:
        (forbidden / name).mkdir()
        (forbidden / name / "__init__.py").write_text(f"raise ImportError('{name} is forbidden')\n")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FORESELL_")
    }
    return {
        **inherited,
        "PYTHONPATH": str(forbidden),
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
        "BENTOML_DO_NOT_TRACK": "True",
    }


@pytest.fixture(scope="session")
def bento(
    published_home: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The tag of a Bento built from a copy of the sources, which is deleted afterwards."""
    context = tmp_path_factory.mktemp("context")
    for package in PACKAGES:
        shutil.copytree(
            SOURCES / package, context / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(SOURCES / "bentofile.yaml", context)
    shutil.copytree(published.root(published_home), published.root(context / ".foresell"))
    built = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(context)],
        cwd=context,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    shutil.rmtree(context)
    return built.stdout.split("__tag__:")[1].split()[0]


@pytest.fixture(scope="session")
def service(
    bento: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The running Bento."""
    port = _free_port()
    command = [sys.executable, "-m", "bentoml", "serve", bento]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    folder = tmp_path_factory.mktemp("elsewhere") / "served"
    with _serving(command, port, folder, environment) as service:
        service.wait_until_ready()
        yield service
        assert service.interrupt() == []
        assert service.process.returncode == 0


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with httpx.Client(base_url=service.url, timeout=20) as client:
        yield client
