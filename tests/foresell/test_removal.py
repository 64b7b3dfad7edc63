"""Removal of a dataset on the command line."""

from datetime import datetime

import pytest
from typer.testing import CliRunner

from features.dataset import open_dataset
from features.erasure import erase, is_known
from features.storage.snapshots import list_datasets
from foresell.cli import app
from training.published import versions as published

MAPPING = """name = "shop"
[orders]
path = "lines.csv"
columns = { customer_id = "who", ts = "when", revenue = "paid" }
"""


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def run(home, tmp_path):
    """Run a command on a home with the dataset `shop`; input is what the user types."""
    runner = CliRunner()
    env = {"FORESELL_HOME": str(home), "FORESELL_MLRUNS": str(tmp_path / "mlruns")}

    def invoke(*words: str, typed: str = "") -> tuple[int, str]:
        result = runner.invoke(app, list(words), input=typed, env=env, catch_exceptions=False)
        return result.exit_code, " ".join(result.stderr.split())

    (tmp_path / "lines.csv").write_text("who,when,paid\n1,2024-01-01,5\n2,2024-01-02,6\n3,x,1\n")
    (tmp_path / "shop.toml").write_text(MAPPING)
    env["FORESELL_MAX_BAD_SHARE"] = "0.5"
    assert invoke("data", "import", str(tmp_path / "shop.toml"))[0] == 0
    return invoke


def publish(home) -> None:
    draft = published.root(home) / ".draft"
    draft.mkdir(parents=True)
    record = published.PublishedVersion(
        version="v1", dataset="shop", created=datetime(2024, 1, 1), models={}
    )
    published.finish(home, draft, record)
    published.switch(home, "v1")


def test_a_dataset_is_removed_once_the_question_is_answered_with_yes(run, home, tmp_path):
    code, err = run("data", "remove", "shop", typed="n\n")
    assert (code, "Remove dataset shop" in err) == (1, True)
    assert list_datasets(home) == ["shop"]
    assert run("data", "remove", "shop", typed="y\n")[0] == 0
    assert list_datasets(home) == []
    left = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    assert run("data", "import", str(tmp_path / "shop.toml"))[0] == 0


def test_an_unknown_dataset_is_named(run):
    code, err = run("data", "remove", "nowhere", "--yes")
    assert (code, "'nowhere'" in err) == (2, True)


def test_a_published_dataset_is_removed_only_with_its_versions(run, home):
    publish(home)
    code, err = run("data", "remove", "shop", "--yes")
    assert (code, "v1" in err, "--unpublish" in err) == (2, True, True)
    assert list_datasets(home) == ["shop"]
    assert run("data", "remove", "shop", "--yes", "--unpublish")[0] == 0
    assert published.versions(home) == []
    assert published.current(home, "shop") is None


def test_erased_customers_stay_erased_in_a_later_dataset_of_the_name(run, home, tmp_path):
    erase(home, "shop", ["1"])
    assert run("data", "remove", "shop", "--yes")[0] == 0
    assert run("data", "import", str(tmp_path / "shop.toml"))[0] == 0
    assert is_known(home, "shop", ["1"])
    customers = open_dataset(home, "shop").table("orders").collect().get_column("customer_id")
    assert set(customers.to_list()) == {None, "2"}
