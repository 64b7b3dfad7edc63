"""What `serve` publishes first and runs beside the service, with a fake server."""

import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from features.errors import InvalidInput
from foresell import serving_job
from foresell.serving_job import Training, serve
from foresell.settings import Settings
from serving.http.keys import KeyStore
from training.published import versions as published


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a home with a published version; returns the datasets that were published for it."""
    draft = published.root(tmp_path) / ".draft"
    draft.mkdir(parents=True)
    record = published.PublishedVersion(
        version="v1", dataset="my-shop", created=datetime(2024, 1, 1), models={}
    )
    published.finish(tmp_path, draft, record)
    published.switch(tmp_path, "v1")
    datasets = []
    monkeypatch.setattr("training.tracking.Tracker", lambda *_: None)
    monkeypatch.setattr("training.publish.publish", lambda *words, **_: datasets.append(words[2]))
    monkeypatch.setattr("serving.launch.serve", lambda **_: 0)

    def run(**options):
        datasets.clear()
        assert serve(Settings(home=tmp_path, **options)) == 0
        return datasets

    return run


def test_the_published_version_is_served_unless_another_dataset_is_named(served, monkeypatch):
    monkeypatch.delenv("FORESELL_DATASET", raising=False)
    assert served() == []
    assert served(dataset="my-shop") == []
    assert served(dataset="complete-journey") == ["complete-journey"]


def test_other_machines_are_served_only_if_there_is_a_key(served, tmp_path):
    with pytest.raises(InvalidInput, match="foresell keys create"):
        served(host="0.0.0.0", dataset="my-shop")
    with pytest.raises(InvalidInput, match="foresell keys create"):
        served(require_key=True, dataset="my-shop")
    assert served(host="0.0.0.0", require_key=False, dataset="my-shop") == []
    KeyStore(tmp_path).create("shop", ["read"])
    assert served(host="0.0.0.0", dataset="my-shop") == []


def test_one_of_several_published_datasets_must_be_named(served, tmp_path, monkeypatch):
    monkeypatch.delenv("FORESELL_DATASET", raising=False)
    draft = published.root(tmp_path) / ".draft"
    draft.mkdir()
    created = datetime(2024, 1, 1)
    record = published.PublishedVersion(version="w1", dataset="web", created=created, models={})
    published.finish(tmp_path, draft, record)
    published.switch(tmp_path, "w1")
    with pytest.raises(InvalidInput, match="my-shop, web"):
        served()
    assert served(dataset="web") == []


def test_an_unreadable_version_is_published_again(served, tmp_path):
    (published.current(tmp_path) / published.RECORD).write_text("{")
    assert served() == ["my-shop"]


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Start training with another program in its place."""
    started = []

    def start(program: str) -> Training:
        popen = subprocess.Popen
        command = [sys.executable, "-c", program]
        monkeypatch.setattr(
            serving_job.subprocess, "Popen", lambda words, **options: popen(command, **options)
        )
        started.append(Training(Settings(home=tmp_path)))
        monkeypatch.setattr(serving_job.subprocess, "Popen", popen)
        return started[-1]

    yield start
    for process in started:
        process.stop()


def test_training_that_fails_is_reported_once_after_its_output(training, capsys):
    process = training("import sys; print('no orders', file=sys.stderr); sys.exit(2)")
    process.process.wait(timeout=30)
    process.report_failure()
    process.report_failure()
    shown = capsys.readouterr().err
    assert shown.startswith("no orders\ntraining ended with exit code 2")
    assert shown.count("exit code") == 1


def test_training_that_ends_well_is_not_reported(training, capsys):
    process = training("")
    process.process.wait(timeout=30)
    process.report_failure()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("handler", ["default_int_handler", "SIG_IGN"])
def test_training_ends_with_the_service_even_if_it_ignores_the_interrupt(
    training, tmp_path, monkeypatch, handler
):
    monkeypatch.setattr("serving.launch.GRACE_SECONDS", 0.5)
    ready = tmp_path / "ready"
    process = training(
        "import pathlib, signal, time\n"
        f"signal.signal(signal.SIGINT, signal.{handler})\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)"
    )
    end = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.stop()
    assert process.process.poll() is not None
    ignored = handler == "SIG_IGN"
    assert (process.process.returncode == -signal.SIGKILL) == ignored
