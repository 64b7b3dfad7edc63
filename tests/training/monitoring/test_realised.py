"""Realised quality: predictions are kept until their outcomes are known, then judged once."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import mlflow
import polars as pl
import pytest

from training.backtest import FORESELL, SCHEMA
from training.contract import Score
from training.monitoring import checks as stored
from training.monitoring import predictions as kept
from training.monitoring.job import keep_predictions, monitor
from training.monitoring.realised import judge
from training.promote import promote
from training.registry import TASKS
from training.tracking import Tracker
from training.train import evaluate, train

CHURN = TASKS["churn"]
AS_OF = datetime(2017, 11, 1)
TASK = SimpleNamespace(
    name="churn", primary="log_loss", primary_slice="activity=active", lower_is_better=True
)
VERSION = SimpleNamespace(label="churn/3", as_of=AS_OF)


def backtest(**folds):
    """Rows of a backtest: the primary metric by fold of each slice."""
    rows = [
        ("churn", "shop", fold, str(AS_OF), FORESELL, name, "log_loss", value, 500)
        for name, values in folds.items()
        for fold, value in enumerate(values)
    ]
    renamed = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return renamed.with_columns(pl.col("slice").str.replace("_", "="))


def realised(**values):
    return [Score(name.replace("_", "="), "log_loss", value, 500) for name, value in values.items()]


BACKTEST = backtest(activity_active=[0.28, 0.30, 0.29], tenure_short=[0.4, 0.4, 0.4])


def test_quality_as_in_the_backtest_is_usual():
    check = judge(TASK, VERSION, realised(activity_active=0.31, tenure_short=0.45), BACKTEST)
    assert check.ok
    assert "0.29 in the backtest" in check.detail


def test_quality_far_worse_than_the_backtest_recommends_what_to_do():
    check = judge(TASK, VERSION, realised(activity_active=0.45), BACKTEST)
    assert not check.ok
    assert "foresell rollback churn" in check.detail


def test_better_quality_is_usual():
    assert judge(TASK, VERSION, realised(activity_active=0.1), BACKTEST).ok


def test_a_slice_that_collapsed_is_named():
    check = judge(TASK, VERSION, realised(activity_active=0.29, tenure_short=0.8), BACKTEST)
    assert not check.ok
    assert "tenure=short: 0.8" in check.detail


def test_an_easy_slice_varies_by_more_than_its_own_mean():
    easy = backtest(activity_active=[0.3, 0.3], spending_high=[0.03, 0.03])
    assert judge(TASK, VERSION, realised(activity_active=0.3, spending_high=0.1), easy).ok


def test_noisy_folds_widen_what_is_expected():
    noisy = backtest(activity_active=[0.2, 0.3, 0.4])
    assert judge(TASK, VERSION, realised(activity_active=0.5), noisy).ok


def test_a_version_without_a_backtest_is_only_reported():
    check = judge(TASK, VERSION, realised(activity_active=9.0), None)
    assert check.ok
    assert "without a backtest" in check.detail


@pytest.fixture(scope="module")
def replayed(journey, home, tmp_path_factory):
    """A champion of November, its kept predictions, and the job of the end of December."""
    folder = tmp_path_factory.mktemp("monitored")
    (folder / "datasets").mkdir()
    copy = folder / "datasets" / journey.name
    copy.mkdir()
    for path in (home / "datasets" / journey.name).iterdir():
        (copy / path.name).symlink_to(path)
    tracker = Tracker(folder / "mlruns")
    options = CHURN.options(journey, as_of=AS_OF)
    version = train(CHURN, journey, tracker, as_of=AS_OF, options=options, params={"rounds": 20})
    evaluate(CHURN, journey, tracker, version, folds=1)
    promote(tracker, journey.name, version, "the first one")
    keep_predictions(folder, tracker, journey, [CHURN])
    paths = kept.kept_versions(folder, journey.name, "churn")
    contents = {number: pl.read_parquet(path) for number, path in paths.items()}
    monitoring = monitor(folder, tracker, lambda: tracker, journey, [CHURN])
    return SimpleNamespace(
        folder=folder,
        tracker=tracker,
        version=version,
        contents=contents,
        monitoring=monitoring,
    )


def test_predictions_of_a_champion_are_kept_once(replayed):
    assert list(replayed.contents) == [replayed.version.number]
    assert {"customer_id", "churn_probability"} <= set(replayed.contents[1].columns)


def test_known_outcomes_are_judged_and_logged_in_the_run(replayed, journey):
    (check,) = [check for check in replayed.monitoring.checks if check.kind == "quality"]
    assert check.name == "churn log_loss"
    metrics = mlflow.get_run(replayed.version.run_id).data.metrics
    assert metrics["realised/activity_active/log_loss"] == pytest.approx(check.value)
    assert not kept.kept_versions(replayed.folder, journey.name, "churn")


def test_a_later_job_without_new_outcomes_keeps_the_check_of_quality(replayed, journey):
    again = monitor(replayed.folder, replayed.tracker, lambda: replayed.tracker, journey, [CHURN])
    assert again == replayed.monitoring
    assert stored.read(replayed.folder, journey.name) == again


def test_predictions_wait_for_the_end_of_their_horizon(replayed, journey):
    horizon = timedelta(days=replayed.version.options["horizon_days"])
    early = journey.with_tables(
        "early",
        {
            "orders": journey.known("orders", AS_OF + horizon - timedelta(days=1)),
            "touchpoints": journey.known("touchpoints", AS_OF),
        },
    )
    path = kept.path_of(replayed.folder, replayed.version, journey.name)
    kept.write(path, replayed.contents[1])
    monitor(replayed.folder, replayed.tracker, lambda: replayed.tracker, early, [CHURN])
    assert path.is_file()
    path.unlink()


def test_predictions_of_a_version_that_was_removed_are_dropped(replayed, journey):
    gone = replayed.version.number + 1
    path = kept.path_of(replayed.folder, replace(replayed.version, number=gone), journey.name)
    kept.write(path, replayed.contents[1])
    monitor(replayed.folder, replayed.tracker, lambda: replayed.tracker, journey, [CHURN])
    assert not path.exists()


def test_redacted_customers_leave_kept_predictions(replayed, journey):
    path = kept.path_of(replayed.folder, replayed.version, journey.name)
    kept.write(path, replayed.contents[1])
    gone = replayed.contents[1].get_column("customer_id")[0]
    kept.redact(replayed.folder, journey.name, lambda ids: ids == gone)
    left = pl.read_parquet(path).get_column("customer_id")
    assert gone not in left
    assert len(left) == replayed.contents[1].height - 1
    path.unlink()


def test_large_populations_are_sampled_and_judged_on_the_sample(replayed, journey, monkeypatch):
    from training.monitoring import realised as judging

    monkeypatch.setattr(kept, "MAX_ENTITIES", 100)
    sample = kept.keep(replayed.folder, CHURN, journey, replayed.version)
    assert sample.height == 100
    scores = judging.evaluate(CHURN, journey, replayed.version, sample)
    assert max(score.n for score in scores) == 100


def test_before_the_first_job_there_are_no_checks(tmp_path):
    assert stored.read(tmp_path, "shop") is None
