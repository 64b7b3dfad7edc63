"""Commands `audience` and `segments`, from a published version to rows and files."""

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
    """A home with published churn and value."""
    home = tmp_path_factory.mktemp("served")
    draft = published.root(home) / ".draft"
    models = (ChurnModel(), ValueModel(rounds=20))
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


def test_an_audience_csv_has_one_row_per_customer_and_no_lists(run, tmp_path):
    out = tmp_path / "audience.csv"
    result = run("audience", "churn_probability > 0.3", "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    written = pl.read_csv(out, schema_overrides={"customer_id": pl.String})
    assert written.height == summary["size"] > 0
    assert (written["churn_probability"] > 0.3).all()
    assert written["expected_loss"].sum() == pytest.approx(summary["expected_loss"])
    assert list(tmp_path.iterdir()) == [out]


def test_parquet_has_the_rows_that_json_prints(run, tmp_path):
    out = tmp_path / "audience.parquet"
    where = "stage = 'slipping' and value_30 > 1"
    assert run("audience", where, "--out", str(out)).exit_code == 0
    printed = json.loads(run("audience", where, "--json").stdout)["customers"]
    written = pl.read_parquet(out)
    assert written.get_column("customer_id").to_list() == [row["customer_id"] for row in printed]
    assert written.schema["explanations"] == pl.List(pl.String)


def test_an_audience_reports_instants_that_differ_between_models(served, run, monkeypatch):
    """The former champion of value stayed, with predictions of the week before."""
    assert json.loads(run("audience", "visits > 1", "--json").stdout)["models_as_of"] == {}
    record = published.read(published.current(served))
    former = record.models["value"].model_copy(update={"as_of": datetime(2017, 11, 27)})
    mixed = record.model_copy(update={"models": {**record.models, "value": former}})
    monkeypatch.setattr(published, "read", lambda _: mixed)
    summary = json.loads(run("audience", "visits > 1", "--json").stdout)
    assert summary["as_of"] == "2017-12-04T00:00:00"
    assert summary["models_as_of"] == {"value": "2017-11-27T00:00:00"}
    assert "value predicts as of 2017-11-27" in run("audience", "visits > 1").output


def test_an_unknown_field_exits_with_code_2_and_lists_the_known_fields(run):
    result = run("audience", "likelihood > 0.4")
    assert result.exit_code == 2
    assert "likelihood" in result.output
    assert "churn_probability" in result.output


@pytest.mark.parametrize("out", ["audience.txt", "no/such/folder/audience.csv"])
def test_an_unwritable_file_is_refused_and_leaves_nothing(run, tmp_path, out):
    result = run("audience", "visits > 1", "--out", str(tmp_path / out))
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_former_file(tmp_path, monkeypatch):
    out = tmp_path / "audience.csv"
    out.write_text("former")

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(OSError, match="no space"):
        rows.write(pl.DataFrame({"customer_id": ["1"]}), out)
    assert out.read_text() == "former"


def test_without_a_published_version_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESELL_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["audience", "visits > 1"])
    assert result.exit_code == 2
    assert "foresell train all" in result.output


def test_a_dataset_that_is_not_published_is_refused(run):
    result = run("audience", "visits > 1", "--dataset", "my-shop")
    assert result.exit_code == 2
    assert "my-shop" in result.output


@pytest.fixture(scope="module")
def counts_at(home, mlruns, journey):
    settings = Settings(home=home, mlruns=mlruns, dataset=journey.name)
    return lambda as_of: audiences.segments(settings, as_of)


@pytest.fixture(scope="module")
def counts(counts_at):
    return counts_at("2017-12-04")


def test_segments_count_every_customer_by_three_groupings(counts, journey):
    customers = journey.known("orders", AS_OF).collect().to_polars()["customer_id"].n_unique()
    for name in ("stage", "rfm_segment", "cluster"):
        assert sum(row["customers"] for row in counts[name]) == counts["customers"] == customers
    assert [row["as_of"][:10] for row in counts["stability"]] == ["2017-11-06", "2017-09-04"]
    assert set(counts["centres"]) == {row["cluster"] for row in counts["cluster"]}


def test_segments_of_an_early_instant_use_the_horizon_of_that_instant(counts_at, counts):
    assert counts_at("2017-03-06")["horizon_days"] < counts["horizon_days"]
