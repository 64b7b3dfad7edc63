"""Commands that only read import none of the libraries that train and serve."""

import json
import os
import subprocess
import sys

from features.ingest.sources.complete_journey import NAME
from foresell.settings import Settings
from foresell.status import describe_dataset

HEAVY = {
    "bentoml",
    "fastapi",
    "implicit",
    "lifelines",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "optuna",
    "pandas",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "statsforecast",
}
# Of these, a help text needs none either.
FRAMES_AND_SETTINGS = {"narwhals", "numpy", "polars", "pydantic", "rich.table"}
SCRIPT = """
import json, sys
from typer.testing import CliRunner
from foresell.cli import app
rows = {}
for command in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, command)
    rows[" ".join(command)] = [result.exit_code, sorted(sys.modules)]
print(json.dumps(rows))
"""


def test_commands_that_read_import_nothing_heavy(home, tmp_path):
    # The description of a snapshot is computed once, by whatever asks for it first.
    describe_dataset(Settings(home=home), NAME)
    commands = [["--help"], ["status", "--help"], ["data", "list"], ["data", "show", NAME]]
    commands += [["status"], ["keys", "list"]]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        env={**os.environ, "FORESELL_HOME": str(home), "FORESELL_MLRUNS": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    rows = json.loads(done.stdout)
    # Without champions, a check of `status` fails.
    codes = [code for code, _ in rows.values()]
    assert codes == [0, 0, 0, 0, 1, 0], done.stderr
    loaded = {command: HEAVY & set(modules) for command, (_, modules) in rows.items()}
    assert loaded == {command: set() for command in rows}
    assert not FRAMES_AND_SETTINGS & set(rows["status --help"][1])
