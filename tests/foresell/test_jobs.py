"""What `train` takes on and what it passes over, with stores and fits that take no time."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import MissingData, NotFound, Unavailable
from features.storage.locks import job_lock
from foresell import jobs
from foresell.settings import Settings
from training.published import versions as published
from training.tracking import Version

TASKS = ["demand", "churn", "next-purchase", "next-category", "value", "recommender"]


class Store:
    """Champions in memory."""

    def __init__(self):
        self.champions = {}

    def __call__(self, mlruns):
        return self

    def version(self, dataset, task, alias):
        if task not in self.champions:
            raise NotFound(f"no {alias}")
        return self.champions[task]

    def set_alias(self, dataset, task, alias, number): ...


@pytest.fixture
def desk(home, journey, monkeypatch):
    """Train by `desk.train(model, ...)`; what was fitted and how often was published."""
    store, found = Store(), SimpleNamespace(trained=[], published=0, lacking="", settings=None)

    def fit(task, dataset, tracker, *, as_of, options, **_):
        if task.name == found.lacking:
            raise MissingData("nothing happened in the judged windows")
        version = Version(
            task=task.name,
            number=1,
            run_id="none",
            as_of=as_of,
            snapshot=dataset.snapshot,
            options=dict(options),
            params={},
            code="none",
            folder=Path(),
            primary=(),
            created=datetime(2024, 1, 1),
        )
        store.champions[task.name] = version
        found.trained.append(task.name)
        return SimpleNamespace(version=version, report=None)

    def publish(*_, **__):
        found.published += 1

    def train(*words, **options):
        found.trained.clear()
        return jobs.train(found.settings, *words, **options)

    monkeypatch.setattr("training.tracking.Tracker", store)
    monkeypatch.setattr("training.publish.publish", publish)
    monkeypatch.setattr("training.train.train", fit)
    monkeypatch.setattr("training.tuning.best_params", lambda *_: {})
    found.settings, found.train, found.store = Settings(home=home), train, store
    return found


def test_of_all_that_cannot_be_judged_is_left_out_and_the_others_go_on(desk, capsys):
    desk.lacking = "churn"
    rows = desk.train("all")
    assert desk.trained == [name for name in TASKS if name != "churn"]
    assert len(rows) == 5
    assert desk.published == 1
    assert "churn is left out: nothing happened" in capsys.readouterr().err


def test_one_that_cannot_be_judged_is_refused_where_it_was_named(desk):
    desk.lacking = "churn"
    with pytest.raises(MissingData, match="nothing happened"):
        desk.train("churn")
    assert desk.published == 0


def test_what_is_missing_is_trained_and_all_is_published(desk):
    desk.train("all")
    del desk.store.champions["value"]
    assert [row["version"] for row in desk.train("all", if_missing=True)] == ["value/1"]
    assert desk.trained == ["value"]
    desk.train("churn", if_missing=True)
    assert desk.trained == []
    assert desk.published == 3


def test_a_champion_of_another_instant_or_question_is_missing(desk):
    desk.train("churn")
    for other in ({"as_of": "2017-12-01"}, {"horizon": 14}):
        desk.train("churn", if_missing=True, **other)
        assert desk.trained == ["churn"]


def test_nothing_is_trained_while_somebody_is_being_forgotten(desk):
    with job_lock(desk.settings.home, "retrain"), pytest.raises(Unavailable):
        desk.train("churn")
    assert desk.train("churn")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A home that serves a shop; serve it and say which datasets were published for that."""
    draft = published.root(tmp_path) / ".draft"
    draft.mkdir(parents=True)
    record = published.PublishedVersion(
        version="v1", dataset="my-shop", created=datetime(2024, 1, 1), models={}
    )
    published.finish(tmp_path, draft, record)
    published.switch(tmp_path, "v1")
    made = []
    monkeypatch.setattr("training.tracking.Tracker", lambda _: None)
    monkeypatch.setattr("training.publish.publish", lambda *words, **_: made.append(words[2]))
    monkeypatch.setattr("serving.launch.serve", lambda **_: 0)

    def serve(**options):
        made.clear()
        assert jobs.serve(Settings(home=tmp_path, **options)) == 0
        return made

    return serve


def test_what_is_published_is_served_unless_another_dataset_is_asked_for(served, monkeypatch):
    monkeypatch.delenv("FORESELL_DATASET", raising=False)
    assert served() == []
    assert served(dataset="my-shop") == []
    assert served(dataset="complete-journey") == ["complete-journey"]


def test_a_published_version_that_cannot_be_read_is_published_anew(served, tmp_path):
    (published.root(tmp_path) / "v1" / published.RECORD).write_text("{")
    assert served() == ["complete-journey"]
