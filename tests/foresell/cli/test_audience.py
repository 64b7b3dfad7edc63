"""From the command line to a campaign's file, and what kinds of customers there are."""

import json
from datetime import datetime

import polars as pl
import pytest
from typer.testing import CliRunner

from foresell import audience as audiences
from foresell import output as rows
from foresell.cli import app
from foresell.settings import Settings
from training.customers import profile
from training.models.churn.model import ChurnModel
from training.models.value.model import ValueModel
from training.published import versions as published
from training.registry import TASKS

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def served(journey, tmp_path_factory):
    """A home in which churn and value are published."""
    home = tmp_path_factory.mktemp("served")
    draft = published.root(home) / ".draft"
    models = (ChurnModel(rounds=20), ValueModel(rounds=20))
    for model in models:
        (draft / model.name).mkdir(parents=True)
        fitted = model.fit(journey, AS_OF)
        TASKS[model.name].publish(fitted, journey, AS_OF, draft / model.name)
    (draft / "profile").mkdir()
    profile.publish(journey, AS_OF, draft / "profile")
    record = published.PublishedVersion(
        version="v1",
        dataset=journey.name,
        created=datetime.now().astimezone(),
        models={
            model.name: published.PublishedModel(
                version=f"{model.name}/1", run_id="none", snapshot=journey.snapshot, as_of=AS_OF
            )
            for model in models
        },
        companions=("profile",),
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")
    return home


@pytest.fixture
def run(served, monkeypatch):
    monkeypatch.setenv("FORESELL_HOME", str(served))
    return lambda *args: CliRunner().invoke(app, list(args))


def test_a_campaigns_csv_has_a_row_a_customer_and_no_lists(run, tmp_path):
    out = tmp_path / "audience.csv"
    result = run("audience", "churn_probability > 0.3", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    written = pl.read_csv(out, schema_overrides={"customer_id": pl.String})
    assert written.height == said["size"] > 0
    assert (written["churn_probability"] > 0.3).all()
    assert written["expected_loss"].sum() == pytest.approx(said["expected_loss"])
    assert list(tmp_path.iterdir()) == [out]


def test_parquet_holds_what_json_prints(run, tmp_path):
    out = tmp_path / "audience.parquet"
    where = "stage = 'slipping' and value_30 > 1"
    assert run("audience", where, "--out", str(out)).exit_code == 0
    printed = json.loads(run("audience", where, "--json").stdout)["customers"]
    written = pl.read_parquet(out)
    assert written.get_column("customer_id").to_list() == [one["customer_id"] for one in printed]
    assert written.schema["explanations"] == pl.List(pl.String)


def test_an_audience_tells_the_instants_that_it_rests_on(served, run, monkeypatch):
    """Where value's former champion stayed, its answers are of a week before."""
    assert json.loads(run("audience", "visits > 1", "--json").stdout)["models_as_of"] == {}
    record = published.read(published.current(served))
    former = record.models["value"].model_copy(update={"as_of": datetime(2017, 11, 27)})
    mixed = record.model_copy(update={"models": {**record.models, "value": former}})
    monkeypatch.setattr(published, "read", lambda _: mixed)
    said = json.loads(run("audience", "visits > 1", "--json").stdout)
    assert said["as_of"] == "2017-12-04T00:00:00"
    assert said["models_as_of"] == {"value": "2017-11-27T00:00:00"}
    assert "value predicts as of 2017-11-27" in run("audience", "visits > 1").output


def test_an_unknown_field_ends_with_exit_code_2_and_the_fields_there_are(run):
    result = run("audience", "likelihood > 0.4")
    assert result.exit_code == 2
    assert "likelihood" in result.output
    assert "churn_probability" in result.output


@pytest.mark.parametrize("out", ["audience.txt", "no/such/folder/audience.csv"])
def test_a_file_that_cannot_be_written_is_refused_and_nothing_is_left(run, tmp_path, out):
    result = run("audience", "visits > 1", "--out", str(tmp_path / out))
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_audience_that_fails_to_write_leaves_the_former_file(tmp_path, monkeypatch):
    out = tmp_path / "audience.csv"
    out.write_text("former")

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(OSError, match="no space"):
        rows.write(pl.DataFrame({"customer_id": ["1"]}), out)
    assert out.read_text() == "former"


def test_before_anything_is_published_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESELL_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["audience", "visits > 1"])
    assert result.exit_code == 2
    assert "foresell train all" in result.output


def test_another_dataset_than_the_published_one_is_refused(run):
    result = run("audience", "visits > 1", "--dataset", "my-shop")
    assert result.exit_code == 2
    assert "my-shop" in result.output


def test_segments_count_everyone_three_times_over(home, journey):
    found = audiences.segments(Settings(home=home, dataset=journey.name), "2017-12-04")
    for name in ("stage", "rfm_segment", "cluster"):
        assert sum(row["customers"] for row in found[name]) == found["customers"] == 300
    assert [one["as_of"][:10] for one in found["stability"]] == ["2017-11-06", "2017-09-04"]
    assert set(found["centres"]) == {row["cluster"] for row in found["cluster"]}


def test_segments_of_an_early_instant_are_told_by_the_horizon_that_was_usual_then(home, journey):
    settings = Settings(home=home, dataset=journey.name)
    early = audiences.segments(settings, "2017-03-06")["horizon_days"]
    assert early < audiences.segments(settings)["horizon_days"]
