"""`foresell forget` with published models: a served customer becomes an unknown one."""

import json
import os
import shutil
import signal
import subprocess
import sys

import lightgbm
import numpy as np
import polars as pl
import pytest
import scipy.optimize
from typer.testing import CliRunner

from features.dataset import open_dataset
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from foresell.cli import app
from serving.customers.profile import profiles
from serving.predictor import VersionHolder
from serving.readers import READERS
from training.customers.published import ANSWERS, CURVES
from training.estimators.bg_nbd import BgNbd
from training.estimators.boosting import Booster
from training.estimators.gamma_gamma import GammaGamma
from training.published import versions as published
from training.registry import TASKS
from training.release import republish

PERSONAL = ("churn", "next-purchase", "value", "recommender")


@pytest.fixture
def served_home(published_home, home, tmp_path):
    """A separate home with the small data set and its published version."""
    for folder in ("datasets", "quarantine"):
        if (home / folder).is_dir():
            shutil.copytree(home / folder, tmp_path / folder)
    shutil.copytree(published.root(published_home), published.root(tmp_path))
    return tmp_path


@pytest.fixture
def run(served_home):
    def invoke(*words: str) -> tuple[int, str, str]:
        env = {"FORESELL_HOME": str(served_home)}
        result = CliRunner().invoke(app, list(words), env=env, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


def customers(home, dataset) -> list[str]:
    orders = open_dataset(home, dataset).table("orders").select("customer_id")
    return sorted(orders.unique().collect().get_column("customer_id").drop_nulls().to_list())


def answers(predictor: VersionHolder, ids: list[str]) -> dict[str, list]:
    """Responses of every model of customers, as their routes give them."""
    models = predictor.current().readers
    responses = {task: models[task].answer(ids) for task in PERSONAL}
    responses["customer"] = profiles(models, ids)
    category = models["next-category"].answers.item(0, "category")
    responses["next-category"] = models["next-category"].answer(ids, category)
    return {
        task: [json.dumps(row, default=str) for row in rows] for task, rows in responses.items()
    }


def test_a_forgotten_customer_is_answered_as_unknown_and_all_others_as_before(
    served_home, run, journey
):
    predictor = VersionHolder([served_home], READERS, 1.0)
    predictor.refresh()
    ids = customers(served_home, journey.name)
    gone, others = ids[100], [other for other in ids[::6] if other != ids[100]]
    before = answers(predictor, others)
    product = predictor.current().readers["recommender"].index.catalogue.ids[0]
    buyers = predictor.current().readers["recommender"].customers_for([product], 1000)
    code, out, err = run("forget", gone, "--yes", "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert row["dataset"] == journey.name
    assert row["orders"] > 0
    assert row["published"]
    assert predictor.refresh()
    assert answers(predictor, others) == before
    forgotten = answers(predictor, [gone])
    nobody = answers(predictor, ["nobody"])
    assert forgotten == {
        task: [row.replace('"nobody"', f'"{gone}"') for row in rows]
        for task, rows in nobody.items()
    }
    assert all('"population"' in rows[0] for rows in forgotten.values())
    still = predictor.current().readers["recommender"].customers_for([product], 1000)
    kept = [buyer for buyer in buyers[0]["customers"] if buyer["customer_id"] != gone]
    assert [buyer["customer_id"] for buyer in still[0]["customers"]] == [
        buyer["customer_id"] for buyer in kept
    ]


def test_forgetting_fits_no_model(served_home, run, journey, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("A model was fitted.")

    for owner in (*(task.model for task in TASKS.values()), BgNbd, GammaGamma, Booster):
        monkeypatch.setattr(owner, "fit", refuse)
    for module, name in ((lightgbm, "train"), (scipy.optimize, "minimize")):
        monkeypatch.setattr(module, name, refuse)
    gone = customers(served_home, journey.name)[3]
    code, out, err = run("forget", gone, "--yes", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["published"]


def test_no_published_file_names_a_forgotten_customer(served_home, run, journey):
    gone = customers(served_home, journey.name)[7]
    assert run("forget", gone, "--yes")[0] == 0
    named = [
        path
        for path in served_home.rglob("*.parquet")
        if "customer_id" in pl.read_parquet_schema(path)
        and gone in pl.read_parquet(path)["customer_id"].to_list()
    ]
    assert named == []
    (version,) = published.versions(served_home)
    assert version == published.current(served_home)


def test_an_unknown_customer_is_a_users_mistake_and_changes_nothing(served_home, run, journey):
    before = published.current(served_home)
    code, out, err = run("forget", "nobody-of-that-name")
    assert (code, out) == (2, "")
    assert "nothing was changed" in err.replace("\n", " ")
    assert "nobody-of-that-name" not in err
    assert published.current(served_home) == before


def test_forgetting_again_is_no_mistake(served_home, run, journey):
    gone = customers(served_home, journey.name)[0]
    run("forget", gone, "--yes")
    code, out, err = run("forget", gone, "--yes", "--dataset", journey.name, "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["again"], row["orders"], row["published"]) == (True, 0, False)


KILLED = """
import os, signal, sys
from foresell.forget import forget
from foresell.settings import Settings
action, fragment, customer = sys.argv[1:4]
def watch(event, args):
    if event == action and fragment in str(args[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
forget(Settings(), customer)
"""


@pytest.mark.parametrize(
    "point",
    [("os.rename", "/.manifest"), ("os.rmdir", "/v1")],
    ids=["about to be served", "old version being deleted"],
)
def test_the_next_run_completes_a_publication_that_was_killed(served_home, run, journey, point):
    gone = customers(served_home, journey.name)[3]
    env = {**os.environ, "FORESELL_HOME": str(served_home)}
    words = [sys.executable, "-c", KILLED, *point, gone]
    child = subprocess.run(words, capture_output=True, text=True, env=env)
    assert child.returncode == -signal.SIGKILL, child.stderr or "it ended"
    assert published.read(published.current(served_home))
    assert run("forget", gone, "--yes")[0] == 0
    folders = [path for path in published.current(served_home).parent.iterdir() if path.is_dir()]
    assert folders == [published.current(served_home)]
    assert gone not in pl.read_parquet(folders[0] / "churn" / ANSWERS)["customer_id"]


def test_a_withdrawn_consent_is_redacted_from_the_import_on(served_home, journey):
    ids = customers(served_home, journey.name)
    people = pl.DataFrame({"customer_id": ids, "consent": [other != ids[5] for other in ids]})
    import_tables(served_home, journey.name, [SourceTable("customers", people)], 0.0)
    assert republish(served_home, journey.name) == 1
    predictor = VersionHolder([served_home], READERS, 1.0)
    predictor.refresh()
    bases = [json.loads(row)["basis"] for row in answers(predictor, ids[5:6])["churn"]]
    assert bases == ["population"]
    curves = np.load(predictor.current().folder / "next-purchase" / CURVES)
    assert len(curves) == len(predictor.current().readers["next-purchase"].customers.positions)
