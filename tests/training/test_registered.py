"""Runs and versions in a PostgreSQL database, with artifacts in a folder."""

import json
import os
import uuid
from datetime import datetime

import polars as pl
import psycopg
import pytest

from features.dataset import Dataset
from features.errors import InvalidInput, NotFound, Unavailable
from training.registered import CHAMPION, Registry
from training.registry import TASKS
from training.tracking import Tracker

SERVER = os.environ.get("FORESELL_TEST_DATABASE", "postgresql://postgres@127.0.0.1:5432/test")
TAGS = {
    "dataset": "shop",
    "snapshot": "abc",
    "as_of": "2024-01-01T00:00:00",
    "code": "1.0",
    "primary": "log_loss",
    "settings": json.dumps({"options": {"horizon_days": 28}, "params": {}}),
}


@pytest.fixture
def url():
    """A database of its own, dropped afterwards."""
    name = f"foresell_{uuid.uuid4().hex[:8]}"
    try:
        server = psycopg.connect(SERVER, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL at {SERVER}: {error}")
    with server:
        server.execute(f"create database {name}")
        yield f"{SERVER.rpartition('/')[0]}/{name}"
        server.execute(f"drop database {name} with (force)")


class Tiny:
    """A model of one file."""

    def save(self, folder):
        (folder / "model.json").write_text("{}")


def test_a_version_in_postgresql_is_read_back_by_another_process(url, tmp_path):
    assert Registry(tmp_path, url).champion("shop", "churn") is None
    tracker = Tracker(tmp_path, url)
    ids = pl.DataFrame({"customer_id": ["1"]})
    dataset = Dataset("shop", "abc", {})
    with tracker.run("churn", "churn on shop", TAGS):
        number = tracker.register(TASKS["churn"], Tiny(), dataset, ids, ids)
        tracker.log_metrics({"log_loss": 0.5})
    tracker.set_alias("shop", "churn", CHAMPION, number)
    version = Registry(tmp_path, url).version("shop", "churn")
    assert (version.label, version.as_of) == ("churn/1", datetime(2024, 1, 1))
    assert version.primary == (0.5,)
    assert set(version.digests) == {file.name for file in version.folder.iterdir()}
    assert version == tracker.of_run(version.run_id)[1] == tracker.versions("shop", "churn")[0]
    assert version.folder.is_relative_to(tmp_path / "artifacts")
    assert not (tmp_path / "mlflow.db").exists()
    with pytest.raises(NotFound):
        tracker.numbered("shop", "churn", 2)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path):
    with pytest.raises(Unavailable, match="FORESELL_TRACKING_URL") as error:
        Registry(tmp_path, "postgresql://user:hidden@127.0.0.1:1/runs").champion("shop", "churn")
    assert "hidden" not in error.value.message


def test_another_url_than_one_of_postgresql_is_refused_without_showing_it(tmp_path):
    with pytest.raises(InvalidInput, match="FORESELL_TRACKING_URL") as error:
        Registry(tmp_path, "mysql://user:hidden@host/runs")
    assert "hidden" not in error.value.message
