"""Commands end to end, as text and as JSON, on 300 real households."""

import json
from datetime import datetime, timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

from foresell.cli import app
from foresell.cli.edge import MODELS
from training.backtest import rolling_origins
from training.models.value.task import VALUE
from training.monitoring import checks
from training.monitoring.checks import Check, Monitoring
from training.published import versions as published
from training.registry import TASKS
from training.task_setup import set_up
from training.tuning import best_params

ROW = {"model", "dataset", "fold", "as_of", "method", "slice", "metric", "value", "n"}


@pytest.fixture(scope="module")
def run(home, mlruns):
    """Run a command on the small data set; returns (exit code, stdout, stderr)."""
    runner = CliRunner()
    env = {"FORESELL_HOME": str(home), "FORESELL_MLRUNS": str(mlruns), "COLUMNS": "200"}

    def invoke(*words: str) -> tuple[int, str, str]:
        result = runner.invoke(app, list(words), env=env, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope="module")
def trained(run):
    """The rows that `train churn --json` printed."""
    code, out, err = run("train", "churn", "--as-of", "2017-12-01", "--folds", "1", "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_help_of_every_command_has_an_example(run):
    for name in ("train", "evaluate", "tune", "score", "retrain", "rollback", "serve", "status"):
        code, out, _ = run(name, "--help")
        assert code == 0
        assert "Example" in out


def test_help_names_every_model():
    assert MODELS.split(", ") == list(TASKS)


def test_list_names_the_datasets(run):
    assert run("data", "list")[1].split() == ["complete-journey"]


def test_show_lists_which_models_can_run(run):
    shown = json.loads(run("data", "show", "complete-journey", "--json")[1])
    assert {row["model"]: row["can_run"] for row in shown["models"]} == {
        "demand": "yes",
        "churn": "yes",
        "next-purchase": "yes",
        "next-category": "yes",
        "value": "yes",
        "recommender": "yes",
    }


def test_show_lists_the_noise_floor_of_each_grain(run):
    shown = json.loads(run("data", "show", "complete-journey", "--json")[1])["grains"]
    noise = {row["grain"]: row["noise_floor"] for row in shown}
    assert noise["product:day"] > noise["product:week"] > noise["category:week"]
    assert [row["grain"] for row in shown if row["default"]] == ["product:week"]


def test_import_if_missing_does_nothing_for_a_known_dataset(run):
    code, _, err = run("data", "import", "complete-journey", "--if-missing")
    assert code == 0
    assert "exists already" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "weather"), "weather"),
        (("evaluate", "churn", "--dataset", "nowhere"), "nowhere"),
        (("evaluate", "churn", "--folds", "40"), "40 folds"),
        (("train", "churn", "--as-of", "2017-13-01"), "2017-13-01"),
        (("train", "churn", "--as-of", "2031-01-01"), "2031-01-01"),
        (("evaluate", "churn", "--as-of", "2031-01-01"), "2031-01-01"),
        (("train", "churn", "--as-of", "2017-12-01T09:30"), "within a day"),
        (("evaluate", "churn", "--as-of", "2017-12-01T09:30"), "within a day"),
        (("score", "churn", "--as-of", "2031-01-01", "--out", "x.parquet"), "2031-01-01"),
        (("segments", "--as-of", "2031-01-01"), "2031-01-01"),
        (("score", "all", "--out", "x.parquet"), "one"),
        (("score", "churn", "--out", "/no/such/folder/x.parquet"), "/no/such/folder"),
        (("score", "churn", "--out", "x.xlsx"), ".parquet or .csv"),
        (("score", "demand", "--explain", "--list", "buy_again", "--out", "x.csv"), "--list"),
        (("score", "churn", "--grain", "product:week", "--out", "x.csv"), "score demand"),
        (("score", "churn", "--by", "category", "--out", "x.csv"), "score next-purchase"),
        (("score", "next-purchase", "--by", "brand", "--out", "x.csv"), "--by category"),
        (("score", "recommender", "--list", "best", "--out", "x.csv"), "list = 'best'"),
        (("serve", "--port", "99999"), "65535"),
        (("data", "import", "nothing.toml"), "nothing.toml"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(run, words, expected):
    code, out, err = run(*words)
    assert code == 2
    assert expected in err.replace("\n", "")
    assert "Traceback" not in err + out


@pytest.mark.parametrize("words", [("status",), ("data", "list"), ("train", "churn")])
def test_an_invalid_environment_variable_is_named(run, words, monkeypatch):
    monkeypatch.setenv("FORESELL_PORT", "abc")
    code, out, err = run(*words)
    assert code == 2
    assert "FORESELL_PORT = 'abc'" in err
    assert "Traceback" not in err + out


def test_evaluate_prints_rows_with_the_public_keys(run):
    code, out, _ = run("evaluate", "churn", "--folds", "1", "--json")
    rows = json.loads(out)
    assert code == 0
    assert all(set(row) == ROW for row in rows)
    assert {"foresell", "bg_nbd"} <= {row["method"] for row in rows}


def test_train_reports_the_ratio_to_the_best_baseline(trained):
    assert trained[0]["version"] == "churn/1"
    assert trained[0]["metric"] == "log_loss"
    assert trained[0]["ratio"] == pytest.approx(trained[0]["foresell"] / trained[0]["baseline"])


def test_score_writes_the_predictions_of_the_trained_model(run, trained, tmp_path):
    out, text = tmp_path / "churn.parquet", tmp_path / "churn.csv"
    for file in (out, text):
        code, _, err = run("score", "churn", "--as-of", "2017-12-01", "--out", str(file))
        assert code == 0, err
        assert "churn/1" in err  # the registered version of that date, not a new one
    frame = pl.read_parquet(out)
    assert frame.height > 250
    assert frame.get_column("churn_probability").is_between(0, 1).all()
    written = pl.read_csv(text, schema_overrides={"customer_id": pl.String})
    same = ["customer_id", "churn_probability"]
    assert written.select(same).equals(frame.select(same))


def test_status_says_what_is_served_and_what_is_missing(run, trained):
    state = json.loads(run("status", "--json")[1])
    assert [row["model"] for row in state["champions"]] == ["churn"]
    assert state["champions"][0]["served"] == "churn/1"
    failing = {check["check"] for check in state["checks"] if not check["ok"]}
    assert failing == {"every runnable model has a champion"}


def test_status_ends_with_what_the_nightly_job_noticed(run, trained, home, journey):
    prices = Check("input", "prices", 2.0, 0.8, 1.25, ok=False, detail="2, usually .8 to 1.25")
    checks.write(home, journey.name, Monitoring(datetime(2018, 1, 1), [prices]))
    code, out, _ = run("status", "--check", "--json")
    assert code == 1
    assert {row["check"] for row in json.loads(out)} == {
        "every runnable model has a champion",
        "prices as usual",
    }
    checks.write(home, journey.name, Monitoring(datetime(2018, 1, 1), []))


def test_a_published_version_of_another_dataset_changes_nothing(run, trained, home):
    draft = published.root(home) / ".other"
    draft.mkdir()
    created = datetime(2024, 1, 1)
    record = published.PublishedVersion(version="v1", dataset="web", created=created, models={})
    published.finish(home, draft, record)
    published.switch(home, "v1", "web")
    state = json.loads(run("status", "--json")[1])
    published.withdraw(home, "web")
    assert state["champions"][0]["served"] == "churn/1"
    assert state["published"] == published.current(home).name


def test_tuning_is_reported_and_the_next_training_uses_its_best_options(run, journey, mlruns):
    row = json.loads(run("tune", "value", "--trials", "2", "--json")[1])[0]
    assert (row["metric"], row["slice"]) == (TASKS["value"].primary, "activity=active")
    assert row["trials"] == 2
    assert row["best"] <= row["default"]

    options = set_up(VALUE, journey, journey.end, folds=3).options
    reported = rolling_origins(journey, options, 3, journey.end)[0]
    assert best_params(mlruns, journey, VALUE, options, reported) == row["params"]
    before = reported - timedelta(days=90)
    assert not best_params(mlruns, journey, VALUE, options, before)
