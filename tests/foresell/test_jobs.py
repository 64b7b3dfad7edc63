"""Which tasks `train` trains and skips, and what `serve` publishes, with fake stores and fits."""

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
def jobs_run(home, journey, monkeypatch):
    """Train by `jobs_run.train(model, ...)`; records fitted tasks and counts publications."""
    store, run = Store(), SimpleNamespace(trained=[], published=0, lacking="", settings=None)

    def fit(task, dataset, tracker, *, as_of, options, **_):
        if task.name == run.lacking:
            raise MissingData("nothing happened in the evaluated windows")
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
        run.trained.append(task.name)
        return SimpleNamespace(version=version, report=None)

    def publish(*_, **__):
        run.published += 1

    def train(*words, **options):
        run.trained.clear()
        return jobs.train(run.settings, *words, **options)

    monkeypatch.setattr("training.tracking.Tracker", store)
    monkeypatch.setattr("training.publish.publish", publish)
    monkeypatch.setattr("training.train.train", fit)
    monkeypatch.setattr("training.tuning.best_params", lambda *_: {})
    run.settings, run.train, run.store = Settings(home=home), train, store
    return run


def test_with_all_a_task_that_cannot_be_evaluated_is_skipped(jobs_run, capsys):
    jobs_run.lacking = "churn"
    rows = jobs_run.train("all")
    assert jobs_run.trained == [name for name in TASKS if name != "churn"]
    assert len(rows) == 5
    assert jobs_run.published == 1
    assert "churn is left out: nothing happened" in capsys.readouterr().err


def test_a_named_task_that_cannot_be_evaluated_is_refused(jobs_run):
    jobs_run.lacking = "churn"
    with pytest.raises(MissingData, match="nothing happened"):
        jobs_run.train("churn")
    assert jobs_run.published == 0


def test_missing_champions_are_trained_and_all_are_published(jobs_run):
    jobs_run.train("all")
    del jobs_run.store.champions["value"]
    assert [row["version"] for row in jobs_run.train("all", if_missing=True)] == ["value/1"]
    assert jobs_run.trained == ["value"]
    jobs_run.train("churn", if_missing=True)
    assert jobs_run.trained == []
    assert jobs_run.published == 3


def test_a_champion_of_another_instant_or_horizon_counts_as_missing(jobs_run):
    jobs_run.train("churn")
    for other in ({"as_of": "2017-12-01"}, {"horizon": 14}):
        jobs_run.train("churn", if_missing=True, **other)
        assert jobs_run.trained == ["churn"]


def test_nothing_is_trained_while_a_customer_is_being_forgotten(jobs_run):
    with job_lock(jobs_run.settings.home, "retrain"), pytest.raises(Unavailable):
        jobs_run.train("churn")
    assert jobs_run.train("churn")


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
    monkeypatch.setattr("training.tracking.Tracker", lambda _: None)
    monkeypatch.setattr("training.publish.publish", lambda *words, **_: datasets.append(words[2]))
    monkeypatch.setattr("serving.launch.serve", lambda **_: 0)

    def serve(**options):
        datasets.clear()
        assert jobs.serve(Settings(home=tmp_path, **options)) == 0
        return datasets

    return serve


def test_the_published_version_is_served_unless_another_dataset_is_named(served, monkeypatch):
    monkeypatch.delenv("FORESELL_DATASET", raising=False)
    assert served() == []
    assert served(dataset="my-shop") == []
    assert served(dataset="complete-journey") == ["complete-journey"]


def test_an_unreadable_version_is_published_again(served, tmp_path):
    (published.root(tmp_path) / "v1" / published.RECORD).write_text("{")
    assert served() == ["complete-journey"]


def test_a_champion_of_another_country_counts_as_missing_for_demand_alone(jobs_run):
    jobs_run.train("all")
    jobs_run.settings = jobs_run.settings.model_copy(update={"country": "NL"})
    jobs_run.train("all", if_missing=True)
    assert jobs_run.trained == ["demand"]
