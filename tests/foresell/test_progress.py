"""Progress of long work on standard error, without a terminal."""

import io
import re
import time

import pytest
from rich.console import Console

from foresell import progress


@pytest.fixture
def stderr(monkeypatch):
    """Standard error that is no terminal, with a report every hundredth of a second."""
    file = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=file, width=120))
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.01)
    return file


def test_a_line_names_each_finished_step_and_the_total(stderr):
    with progress.progress("train all", 2) as begin:
        begin("churn: fit")
        begin("value: fit")
    lines = stderr.getvalue().splitlines()
    assert re.fullmatch(r"train all: done in \d+\.\d s", lines[-1])
    for name in ("churn: fit", "value: fit"):
        assert any(re.fullmatch(rf"  ✓ {name} \d+\.\d s", line) for line in lines)


def test_a_step_that_takes_long_is_named_while_it_runs(stderr):
    with progress.progress("train all") as begin:
        begin("demand: fit")
        deadline = time.monotonic() + 10
        while "so far" not in stderr.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert re.search(r"  demand: fit \d+ s so far\n", stderr.getvalue())


def test_reports_end_with_the_work(stderr):
    with progress.progress("train all") as begin:
        begin("demand: fit")
    before = stderr.getvalue()
    time.sleep(0.05)
    assert stderr.getvalue() == before
