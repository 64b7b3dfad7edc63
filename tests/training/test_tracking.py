"""What MLflow stores of a training: its options, and no customer."""

from datetime import datetime, timedelta

import mlflow
import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from features.errors import NotFound
from training.contract import options_of
from training.models.churn.model import ChurnModel
from training.registered import _recorded_options
from training.registry import TASKS
from training.reproduce import reproduce
from training.tracking import Tracker
from training.train import evaluate, train


def shop() -> Dataset:
    """Orders of 60 customers whose ids are recognisable in files."""
    rng = np.random.default_rng(7)
    rows = [
        (f"person-{row:03d}", f"o{row}-{n}", 0, f"sku{rng.integers(12)}", day, 1.0, 5.0)
        for row in range(60)
        for n, day in enumerate(np.flatnonzero(rng.random(240) < 0.02 + 0.004 * (row % 20)))
    ]
    names = ["customer_id", "order_id", "line", "product_id", "nth", "quantity", "revenue"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        ts=pl.lit(datetime(2023, 1, 1)) + pl.duration(days="nth"), kind=pl.lit("sale")
    )
    return Dataset.from_frames("people", {"orders": frame.drop("nth")})


@pytest.mark.parametrize(
    ("options", "params", "expected"),
    [
        ({"grain": "product:week"}, {}, "US"),
        ({"grain": "product:week"}, {"country": "NL"}, "NL"),
        ({"grain": "product:week", "country": "NL"}, {}, "NL"),
        ({"horizon_days": 28}, {}, None),
    ],
)
def test_versions_from_before_the_country_was_an_option_are_read_alike(options, params, expected):
    settings = {"options": options, "params": {"rounds": 9, **params}}
    recorded, further = _recorded_options(settings)
    assert recorded.get("country") == expected
    assert further == {"rounds": 9}


@pytest.fixture(scope="module")
def store(tmp_path_factory, quick):
    """A tracking store with a churn model and a recommender of the shop, and their versions."""
    folder = tmp_path_factory.mktemp("store")
    dataset, tracker, versions = shop(), Tracker(folder), {}
    for name, params in (("churn", {"rounds": 20}), ("recommender", quick["recommender"])):
        options = TASKS[name].options(dataset)
        as_of = dataset.end - timedelta(days=1)
        version = train(TASKS[name], dataset, tracker, as_of=as_of, options=options, params=params)
        assert version.primary == ()
        evaluate(TASKS[name], dataset, tracker, version, folds=1)
        versions[name] = tracker.numbered(dataset.name, name, version.number)
    return folder, versions


def test_no_file_of_the_tracking_store_names_a_customer(store):
    folder, _ = store
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".db", ".png", ".json"}
    assert [path for path in files if b"person-0" in path.read_bytes()] == []


@pytest.mark.parametrize("name", ["churn", "recommender"])
def test_a_registered_model_is_loaded_by_the_script_beside_it(store, name):
    _, versions = store
    loaded = mlflow.pyfunc.load_model(f"runs:/{versions[name].run_id}/model")
    assert isinstance(loaded.unwrap_python_model().model, TASKS[name].model)


@pytest.fixture(scope="module")
def small(journey, store):
    """A store and a version of a quick churn model on the bundled households."""
    folder, _ = store
    params = {"rounds": 5, "cutoffs": 2}
    return Tracker(folder), train(TASKS["churn"], journey, Tracker(folder), params=params)


def test_a_registered_model_takes_whole_numbers_as_ids_and_the_home_of_the_settings(
    small, journey, home, monkeypatch
):
    _, version = small
    loaded = mlflow.pyfunc.load_model(f"runs:/{version.run_id}/model")
    monkeypatch.setenv("FORESELL_HOME", str(home))
    ids = journey.table("orders").collect().to_polars()["customer_id"].unique().sort().head(3)
    whole = loaded.predict(pl.DataFrame({"customer_id": ids.cast(pl.Int64)}).to_pandas())
    texts = loaded.predict(pl.DataFrame({"customer_id": ids}).to_pandas())
    assert whole["customer_id"].to_list() == ids.to_list()
    assert whole["churn_probability"].to_list() == texts["churn_probability"].to_list()


def test_a_version_that_is_fitted_again_has_the_same_files_to_the_byte(small, home):
    tracker, version = small
    again = reproduce(home, tracker, version.run_id)
    assert again.version == version.label
    assert again.differing == ()
    assert set(again.same) == set(version.digests) >= {"model.json", "task.json"}


def test_a_reproduction_names_the_files_that_differ_and_what_has_changed(small, home, monkeypatch):
    tracker, version = small
    monkeypatch.setattr("training.reproduce._fit", lambda *_: {**version.digests, "new.txt": "1"})
    monkeypatch.setattr("training.reproduce.code_version", lambda: "later")
    again = reproduce(home, tracker, version.run_id)
    assert again.differing == ("new.txt",)
    assert again.remarks == (f"the version was trained by code {version.code}, and this is later",)
    with pytest.raises(NotFound, match="no run 'none'"):
        reproduce(home, tracker, "none")


def test_all_options_of_the_model_are_logged(store):
    _, versions = store
    logged = mlflow.MlflowClient().get_run(versions["churn"].run_id).data.params
    options = options_of(ChurnModel(**versions["churn"].options, rounds=20))
    assert logged == {name: str(value) for name, value in options.items() if name != "threads"}


def test_a_version_has_the_options_that_it_was_trained_with(store):
    _, versions = store
    churn = versions["churn"]
    assert churn.params == {"rounds": 20}
    assert churn.matches(churn.snapshot, churn.as_of, churn.options)
    assert not churn.matches(churn.snapshot, churn.as_of, {"horizon_days": 1})


def test_the_evaluation_is_logged_in_the_run_of_the_training(store):
    _, versions = store
    churn = versions["churn"]
    client = mlflow.MlflowClient()
    run = client.get_run(churn.run_id)
    assert churn.primary == (run.data.metrics["log_loss"],)
    assert run.data.metrics["ratio_to_best_baseline"] > 0
    assert (run.info.status, run.data.tags["folds"]) == ("FINISHED", "1")
    assert run.info.run_name == f"{churn.label} on people as of {churn.as_of.date()}"
    note = run.data.tags["mlflow.note.content"].splitlines()
    assert note[0] == churn.standing.describe(churn.label)
    assert note[2] == "| method | log_loss of activity=active | by fold | foresell / method |"
    assert f"{run.data.metrics['log_loss']:.4f}" in next(row for row in note if "**fore" in row)
    assert {"backtest.json", "plots"} <= {file.path for file in client.list_artifacts(churn.run_id)}


def test_an_evaluation_that_is_interrupted_leaves_no_metrics(store, monkeypatch):
    folder, _ = store
    dataset, tracker = shop(), Tracker(folder)
    version = train(TASKS["churn"], dataset, tracker, params={"rounds": 5})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.log_figure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(TASKS["churn"], dataset, tracker, version, folds=1)
    assert tracker.numbered(dataset.name, "churn", version.number).primary == ()
    assert mlflow.active_run() is None
