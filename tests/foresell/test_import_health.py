"""A nightly job whose newest file has dates of another form: the job stops, `status` says why."""

import json
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from foresell.cli import app

FIRST = date(2024, 1, 1)
MAPPING = """name = "nightly"
[orders]
path = "till-*.csv"
columns = { order_id = "bill", day = "day", customer_id = "member", revenue = "paid" }
"""


@pytest.fixture
def run(tmp_path, mlruns):
    """Run a command on a home of its own; returns exit code, stdout and stderr."""
    runner = CliRunner()
    env = {
        "FORESELL_HOME": str(tmp_path / "home"),
        "FORESELL_MLRUNS": str(mlruns),
        "FORESELL_DATASET": "nightly",
        "COLUMNS": "250",
    }

    def invoke(*words: str) -> tuple[int, str, str]:
        result = runner.invoke(app, list(words), env=env, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    for month in range(12):
        export(tmp_path, f"till-{month + 1:02d}", range(30 * month, 30 * month + 30), "%Y-%m-%d")
    (tmp_path / "m.toml").write_text(MAPPING)
    assert invoke("data", "import", str(tmp_path / "m.toml"))[0] == 0
    return invoke


def export(folder, name: str, days: range, form: str) -> None:
    lines = [
        f"B{name}{n},{FIRST + timedelta(days=day):{form}},M{n % 40},{n % 7}.50"
        for n, day in enumerate([day for day in days for _ in range(10)])
    ]
    (folder / f"{name}.csv").write_text("\n".join(["bill,day,member,paid", *lines, ""]))


def checks(state: str) -> dict[str, str]:
    return {check["check"]: check["detail"] for check in json.loads(state)["checks"]}


def test_the_job_stops_at_the_file_and_status_reports_it(run, tmp_path):
    export(tmp_path, "till-13", range(360, 367), "%d/%m/%Y")
    code, _, err = run("retrain")
    assert code == 5
    assert "100.0% of the rows of till-13.csv (orders) in nightly failed" in " ".join(err.split())
    code, out, _ = run("status", "--json")
    assert code == 1
    assert "till-13.csv" in checks(out)["the last import succeeded"]
    code, _, err = run("status")
    assert (code, "✗ the last import succeeded" in err) == (1, True)
    assert "till-*.csv" in err
    export(tmp_path, "till-13", range(360, 367), "%Y-%m-%d")
    assert run("data", "import", str(tmp_path / "m.toml"))[0] == 0
    state = run("status", "--json")[1]
    assert checks(state)["the last import succeeded"] == "all"
    (source,) = json.loads(state)["imports"]["sources"]
    assert (source["source"], source["files"], source["newest"]) == ("till-*.csv", 13, "2025-01-01")
