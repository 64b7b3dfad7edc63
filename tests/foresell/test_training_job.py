"""Which tasks `train` trains, publishes and evaluates, with fake stores and fits."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import InvalidInput, MissingData, Unavailable
from features.storage.locks import job_lock
from foresell.failures import Failures
from foresell.settings import Settings
from foresell.training_job import train
from training.published.pending import pending
from training.registered import Version
from training.standing import Standing

TASKS = ["demand", "churn", "next-purchase", "next-category", "value", "recommender"]
# The group that was trained last is evaluated first.
EVALUATED = ["recommender", "churn", "next-purchase", "next-category", "value", "demand"]
CUSTOMER = "customer 4711"


class Store:
    """Champions in memory."""

    def __init__(self):
        self.champions = {}

    def __call__(self, mlruns, url=None):
        return self

    def champion(self, dataset, task):
        return self.champions.get(task)

    def tag(self, run_id, tags): ...

    def set_alias(self, dataset, task, alias, number): ...


class Killed(BaseException):
    """The process ends at once."""


@pytest.fixture
def job(home, journey, monkeypatch):
    """Train by `job.train(model, ...)`; `job.steps` has what happened, in order."""
    store = Store()
    job = SimpleNamespace(steps=[], lacking="", broken="", fails_at=None, store=store, pending=[])

    def step(verb, name):
        if (verb, name) == job.fails_at:
            raise Killed
        job.steps.append((verb, name))

    def fit(task, dataset, tracker, *, as_of, options, standing, **_):
        if task.name == job.lacking:
            raise MissingData("too few orders")
        step("fit", task.name)
        if task.name == job.broken:
            raise ZeroDivisionError(CUSTOMER)
        job.pending.append(pending(home))
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
            standing=standing,
        )
        store.champions[task.name] = version
        return version

    def publish(*_, **__):
        step("publish", "+".join(store.champions))

    def evaluate(task, dataset, tracker, version, **_):
        step("evaluate", task.name)
        store.champions[task.name] = replace(version, primary=(0.5,))
        return SimpleNamespace(
            best_baseline=lambda: "naive", primary=lambda method: 0.5, ratio=lambda: 1.0
        )

    def run(*words, settings=None, **options):
        job.steps.clear()
        return train(settings or Settings(home=home), *words, **options)

    monkeypatch.setattr("training.tracking.Tracker", store)
    monkeypatch.setattr("training.publish.publish", publish)
    monkeypatch.setattr("training.train.train", fit)
    monkeypatch.setattr("training.train.evaluate", evaluate)
    judged = Standing(judged=True, words="level with naive")
    monkeypatch.setattr("training.standing.judge", lambda report: judged)
    monkeypatch.setattr("training.tuning.best_params", lambda *_: {})
    job.train = run
    return job


def did(job, verb):
    return [name for step, name in job.steps if step == verb]


def test_each_model_is_published_before_the_next_is_trained_and_all_before_any_is_evaluated(job):
    rows = job.train("all")
    published = ["+".join(TASKS[: n + 1]) for n in range(len(TASKS))]
    interleaved = [
        step for n, name in enumerate(TASKS) for step in (("fit", name), ("publish", published[n]))
    ]
    judged = ("publish", published[-1])
    assert job.steps == [*interleaved, *(("evaluate", name) for name in EVALUATED), judged]
    assert [row["version"] for row in rows] == [f"{name}/1" for name in TASKS]


def test_without_publishing_models_are_trained_and_evaluated_alone(job):
    assert len(job.train("churn", publish=False)) == 1
    assert job.steps == [("fit", "churn"), ("evaluate", "churn")]
    assert job.pending == [()]


def test_models_are_announced_until_they_are_trained(job, home):
    job.train("all")
    assert job.pending[0] == tuple(TASKS)
    assert pending(home) == ()


def test_with_all_a_task_that_cannot_be_trained_is_skipped(job, capsys):
    job.lacking = "churn"
    assert len(job.train("all")) == 5
    assert did(job, "fit") == [name for name in TASKS if name != "churn"]
    assert "churn is left out: too few orders" in capsys.readouterr().err


def test_a_named_task_that_cannot_be_trained_is_refused(job):
    job.lacking = "churn"
    with pytest.raises(MissingData, match="too few orders"):
        job.train("churn")
    assert job.steps == []


@pytest.fixture
def failures(home):
    return Failures(home, "all")


def test_a_model_that_fails_does_not_stop_the_others(job, failures):
    job.broken = "value"
    assert len(job.train("all", failures=failures)) == 5
    assert did(job, "fit") == TASKS
    assert did(job, "evaluate") == [name for name in EVALUATED if name != "value"]
    assert list(failures.messages) == ["value"]


def test_an_unexpected_error_is_named_with_its_place_and_without_its_message(job, failures, capsys):
    job.broken = "value"
    job.train("all", failures=failures)
    shown = capsys.readouterr().err
    assert "value failed: unexpected ZeroDivisionError" in shown
    stack = (failures.home / "failures" / "value.txt").read_text()
    assert "in fit" in stack
    assert CUSTOMER not in shown + stack


def test_a_model_that_cannot_be_published_is_not_evaluated(job, failures, monkeypatch):
    def publish(*_, failed, **__):
        if "value" in job.store.champions and "value" not in failures.messages:
            failed("value", ZeroDivisionError())

    monkeypatch.setattr("training.publish.publish", publish)
    assert len(job.train("all", failures=failures)) == 5
    assert list(failures.messages) == ["value"]


def test_a_dataset_with_which_no_model_can_be_trained_is_refused(job, monkeypatch):
    def lacking(*_, **__):
        raise MissingData("too few orders")

    monkeypatch.setattr("training.train.train", lacking)
    with pytest.raises(MissingData, match="No model can be trained"):
        job.train("all")


def test_without_folds_nothing_is_evaluated(job):
    words = "not judged: trained without evaluation"
    row = {"version": "churn/1", "judged": False, "behind": [], "standing": words}
    assert job.train("churn", folds=0) == [row]
    assert job.steps == [("fit", "churn"), ("publish", "churn")]


def test_records_too_short_to_evaluate_are_trained_on_with_a_warning(job, capsys):
    (row,) = job.train("churn", as_of="2017-06-01", horizon=140)
    assert not row["judged"]
    assert did(job, "fit") == did(job, "publish") == ["churn"]
    assert did(job, "evaluate") == []
    shown = " ".join(capsys.readouterr().err.split())
    assert "churn/1 is not judged: of 151 days of records, 70 are needed to predict from" in shown


def test_an_instant_that_cannot_be_evaluated_is_refused_before_training(job):
    with pytest.raises(InvalidInput, match="within a day"):
        job.train("churn", as_of="2017-12-01T09:30")
    assert job.steps == []


def test_missing_champions_are_trained_and_what_is_there_is_published(job):
    job.train("all")
    del job.store.champions["value"]
    assert [row["version"] for row in job.train("all", if_missing=True)] == ["value/1"]
    assert did(job, "fit") == did(job, "evaluate") == ["value"]
    assert job.train("churn", if_missing=True) == []
    assert len(did(job, "publish")) == 1


def test_a_job_that_died_between_fit_and_publish_is_completed_by_the_next(job):
    job.fails_at = ("publish", "demand+churn")
    with pytest.raises(Killed):
        job.train("all")
    job.fails_at = None
    job.train("all", if_missing=True)
    assert job.steps[:2] == [("publish", "demand+churn"), ("fit", "next-purchase")]
    assert did(job, "fit") == TASKS[2:]
    assert did(job, "evaluate") == EVALUATED


def test_a_job_that_died_while_evaluating_only_evaluates_the_rest(job):
    job.fails_at = ("evaluate", "value")
    with pytest.raises(Killed):
        job.train("all")
    job.fails_at = None
    job.train("all", if_missing=True)
    assert did(job, "fit") == []
    assert did(job, "evaluate") == ["value", "demand"]


def test_a_champion_of_another_instant_or_horizon_counts_as_missing(job):
    job.train("churn")
    for other in ({"as_of": "2017-12-01"}, {"horizon": 14}):
        job.train("churn", if_missing=True, **other)
        assert did(job, "fit") == ["churn"]


def test_a_champion_of_another_country_counts_as_missing_for_demand_alone(job, home):
    job.train("all")
    job.train("all", if_missing=True, settings=Settings(home=home, country="NL"))
    assert did(job, "fit") == ["demand"]


def test_nothing_is_trained_while_a_customer_is_being_forgotten(job, home):
    with job_lock(home, "retrain"), pytest.raises(Unavailable):
        job.train("churn")
    assert job.train("churn")
