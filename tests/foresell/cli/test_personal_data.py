"""Pseudonyms, consent and withdrawal of consent on the command line."""

import json
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from features.dataset import open_dataset
from features.errors import MissingData
from foresell.cli import app
from training.customers.published import ANSWERS, CURVES, HISTORY
from training.published import versions as published

MAPPING = """name = "corner-shop"
pseudonymise = true
[orders]
path = "lines.csv"
columns = { customer_id = "who", ts = "when", revenue = "paid" }
"""
KEY = {"FORESELL_PSEUDONYM_KEY": "a secret of sixteen letters"}


@pytest.fixture
def shop(tmp_path):
    """A folder with one export and its mapping."""
    lines = "".join(f"70{n % 3},2024-01-{n:02d},{n}.5\n" for n in range(1, 29))
    (tmp_path / "lines.csv").write_text("who,when,paid\n" + lines + "709,soon,1\n")
    (tmp_path / "shop.toml").write_text(MAPPING)
    return tmp_path


@pytest.fixture
def run(shop):
    runner = CliRunner()

    def invoke(*words: str, env: dict[str, str] = KEY) -> tuple[int, str, str]:
        variables = {"FORESELL_HOME": str(shop / "home"), "COLUMNS": "200", **env}
        result = runner.invoke(app, list(words), env=variables, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_an_import_with_pseudonyms_names_the_missing_key(run, shop):
    code, _, err = run("data", "import", str(shop / "shop.toml"), env={})
    assert code == 2
    assert "FORESELL_PSEUDONYM_KEY" in err
    code, _, err = run("data", "import", str(shop / "shop.toml"))
    assert code == 0, err


def test_the_pseudonym_of_an_id_is_printed(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    code, out, err = run("data", "pseudonym", "701", "--dataset", "corner-shop")
    assert code == 0, err
    orders = open_dataset(shop / "home", "corner-shop").table("orders").collect().to_polars()
    assert out.strip() in orders["customer_id"].to_list()
    other = {"FORESELL_PSEUDONYM_KEY": "another secret, as long"}
    code, _, err = run("data", "pseudonym", "701", "--dataset", "corner-shop", env=other)
    assert (code, "is not the one" in err) == (2, True)


def test_quarantined_rows_with_pseudonyms_are_replayed_by_the_stored_mapping(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    code, out, err = run("data", "quarantine", "corner-shop", "--replay", "--json")
    assert code == 0, err
    assert json.loads(out)["tables"]["orders"]["quarantined"] == 1
    assert '"709"' not in run("data", "quarantine", "corner-shop", "--json")[1]


def test_show_counts_consents_and_the_import_quarantines_unclear_values(run, shop):
    people = "id,agreed\n700,yes\n701,no\n702,perhaps\n"
    (shop / "people.csv").write_text(people)
    table = '[customers]\npath = "people.csv"\ncolumns = { customer_id = "id", consent = "agreed" }'
    (shop / "shop.toml").write_text(MAPPING + table)
    code, _, err = run("data", "import", str(shop / "shop.toml"))
    assert (code, "consent is neither yes nor no" in err) == (2, True)
    every = {**KEY, "FORESELL_MAX_BAD_SHARE": "1"}
    code, out, err = run("data", "import", str(shop / "shop.toml"), "--json", env=every)
    assert code == 0, err
    assert json.loads(out)["tables"]["customers"]["quarantined"] == 1
    shown = json.loads(run("data", "show", "corner-shop", "--json")[1])["personal"]
    assert shown == {"pseudonymised": True, "customers_asked": 2, "customers_consenting": 1}
    assert "1 of 2 customers consent" in run("data", "show", "corner-shop")[2]


PEOPLE = '[customers]\npath = "people.csv"\ncolumns = { customer_id = "id", consent = "agreed" }'


def publish_all(home):
    """Publish a version with predictions for every known customer."""
    dataset = open_dataset(home, "corner-shop")
    ids = dataset.table("orders").collect().to_polars()["customer_id"].drop_nulls().unique().sort()
    draft = published.root(home) / ".draft"
    (draft / "churn").mkdir(parents=True)
    pl.DataFrame({"customer_id": ids}).write_parquet(draft / "churn" / ANSWERS)
    for name in (CURVES, HISTORY):
        np.save(draft / "churn" / name, np.zeros((len(ids), 3)))
    model = published.PublishedModel(
        version="churn/1", run_id="none", snapshot=dataset.snapshot, as_of=dataset.end
    )
    record = published.PublishedVersion(
        version="v1",
        dataset="corner-shop",
        created=datetime.now().astimezone(),
        models={"churn": model},
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")


def served_customers(home):
    """Count the customers in the served version."""
    return pl.read_parquet(published.current(home) / "churn" / ANSWERS).height


@pytest.mark.parametrize("verb", ["import", "retrain", "replay"])
def test_a_withdrawn_consent_is_redacted_by_every_command_that_imports_it(
    run, shop, mlruns, monkeypatch, verb
):
    def lacks(*args, **kwargs):
        raise MissingData("nothing to learn from")

    # The job has nothing to train here, and serves the same models.
    monkeypatch.setattr("training.retraining.job.set_up", lacks)
    env = {**KEY, "FORESELL_MLRUNS": str(mlruns)}
    (shop / "people.csv").write_text("id,agreed\n700,yes\n701,yes\n701,no\n")
    unread = '\ndrop = [ { column = "agreed", in = ["no"], reason = "not read yet" } ]'
    (shop / "shop.toml").write_text(MAPPING + PEOPLE + unread)
    code, _, err = run("data", "import", str(shop / "shop.toml"), env=env)
    assert code == 0, err
    publish_all(shop / "home")
    assert served_customers(shop / "home") == 2
    kept = shop / "home" / "sources" / "corner-shop.toml"
    for mapping in (shop / "shop.toml", kept):
        mapping.write_text(mapping.read_text().replace(unread, ""))
    words = {
        "import": ("data", "import", str(shop / "shop.toml")),
        "retrain": ("retrain", "--dataset", "corner-shop"),
        "replay": ("data", "quarantine", "corner-shop", "--replay"),
    }[verb]
    code, _, err = run(*words, env=env)
    assert code == (7 if verb == "retrain" else 0), err
    assert served_customers(shop / "home") == 1


def test_an_unreadable_served_version_is_deleted_with_a_withdrawal(run, shop):
    (shop / "people.csv").write_text("id,agreed\n700,yes\n701,yes\n")
    (shop / "shop.toml").write_text(MAPPING + PEOPLE)
    run("data", "import", str(shop / "shop.toml"))
    publish_all(shop / "home")
    (published.current(shop / "home") / published.RECORD).write_text("{")
    (shop / "people.csv").write_text("id,agreed\n700,yes\n701,no\n")
    code, _, err = run("data", "import", str(shop / "shop.toml"))
    assert code == 0, err
    assert not published.current(shop / "home").exists()
