"""The nightly job on real households: a first night, one without and one with new records."""

import polars as pl
import pytest

from features.dataset import open_dataset
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.ingest.sources import complete_journey
from foresell.promotion import rollback
from foresell.settings import Settings
from training.customers.published import ANSWERS
from training.promote import champions
from training.publish import publish
from training.published import versions as published
from training.registered import CHAMPION, PREVIOUS
from training.registry import TASKS
from training.retraining.job import Job
from training.retraining.quiet import note_complete, quiet_night
from training.tracking import Tracker

NAME = complete_journey.NAME
LAST_WEEK = 17525  # 2017-12-25


@pytest.fixture(scope="module")
def nights(journey, tmp_path_factory):
    """Home, tracker and reports of the job on three nights."""
    home = tmp_path_factory.mktemp("nightly")
    tracker = Tracker(tmp_path_factory.mktemp("nightly_runs"))
    orders = journey.table("orders").collect().to_polars()

    def importing(rows: pl.DataFrame):
        return lambda: import_tables(home, NAME, [SourceTable("orders", rows)], 0.05)

    earlier = orders.filter(pl.col("day") < LAST_WEEK)
    tasks = [TASKS["churn"]]
    reports = [
        Job(home, tracker, NAME, importing(rows), tasks=tasks, folds=1).run()
        for rows in (earlier, earlier, orders)
    ]
    return home, tracker, reports


def test_the_first_night_promotes_a_champion_and_serves_it(nights):
    _, _, (first, _, _) = nights
    outcome = first.outcomes[0]
    assert (outcome.trained, outcome.promoted) == (True, True)
    assert "no champion" in outcome.reason
    assert first.published


def test_a_night_without_new_records_trains_nothing_and_serves_the_same(nights):
    _, _, (first, second, _) = nights
    assert not second.outcomes[0].trained
    assert second.snapshot == first.snapshot
    assert second.published == first.published


def test_new_records_train_a_challenger_that_is_compared_with_the_champion(nights):
    home, tracker, (first, _, third) = nights
    assert third.snapshot != first.snapshot
    assert third.outcomes[0].trained
    assert "the same model on newer records" in third.outcomes[0].reason
    champion = tracker.version(NAME, "churn", CHAMPION)
    assert champion.snapshot == third.snapshot
    assert champion.as_of == open_dataset(home, NAME).end


def test_the_champion_is_served(nights):
    home, tracker, (_, _, third) = nights
    folder = published.current(home)
    assert folder.name == third.published
    champion = champions(tracker, NAME)["churn"]
    assert published.read(folder).models["churn"].version == champion.label


def test_the_job_leaves_no_lock(nights):
    home, _, _ = nights
    assert not list(home.glob("*.pid"))


def test_a_damaged_served_version_is_published_again(nights):
    home, tracker, _ = nights
    folder = published.current(home)
    (folder / published.RECORD).write_text("{")
    assert publish(home, tracker, NAME) == folder.name
    assert published.served(home)[0] == folder
    assert (folder / "churn" / ANSWERS).is_file()


def test_a_night_without_news_is_known_without_the_models(nights):
    home, tracker, (_, _, third) = nights
    options = {"folds": 1}

    def tonight(**changes):
        wanted = {"source": "files", "options": options, "max_bad_share": 0.05} | changes
        return quiet_night(home, tracker, NAME, **wanted)

    assert tonight() is None
    note_complete(home, tracker, third, source="files", options=options)
    quiet = tonight()
    assert (quiet.exit_code, quiet.published) == (0, third.published)
    assert quiet.outcomes[0].state == "unchanged"
    assert tonight(source="other files") is None
    assert tonight(options={"folds": 2}) is None


def test_a_model_that_fails_keeps_its_champion_and_does_not_stop_the_job(nights, monkeypatch):
    home, tracker, (_, _, third) = nights
    folder = published.current(home)

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("training.retraining.job.set_up", broken)
    tasks = [TASKS["churn"], TASKS["value"]]
    report = Job(home, tracker, NAME, lambda: None, tasks=tasks, folds=2).run()
    assert [outcome.task for outcome in report.outcomes if outcome.failed] == ["churn", "value"]
    assert "unexpected ZeroDivisionError" in report.outcomes[0].reason
    assert report.published == third.published
    assert published.current(home) == folder


def test_monitoring_that_fails_is_reported_and_does_not_stop_the_job(nights, monkeypatch):
    home, tracker, (_, _, third) = nights

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("training.retraining.job.Job._monitor", broken)
    report = Job(home, tracker, NAME, lambda: None, tasks=[TASKS["churn"]], folds=1).run()
    assert report.failed == ["monitoring"]
    assert report.published == third.published


def test_a_rollback_serves_the_former_champion_and_the_next_night_keeps_it(nights):
    home, tracker, _ = nights
    served = published.read(published.current(home)).models["churn"]
    former = tracker.version(NAME, "churn", PREVIOUS)
    options = Settings(home=home, mlruns=tracker.mlruns, dataset=NAME)
    (row,) = rollback(options, "churn")
    assert (row["champion"], row["replaced"]) == (former.label, served.version)
    folder = published.current(home)
    assert folder.name == row["published"]
    assert published.read_intact(folder).models["churn"].version == former.label
    assert publish(home, tracker, NAME) == folder.name
