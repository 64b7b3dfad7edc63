"""Files for containers, clusters and hosted CI are valid by their schemas."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from foresell.cli import app

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "deploy" / "systemd"
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        (
            "vendor.github-workflows",
            [
                *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
                ROOT / "deploy" / "github" / "retrain.yml",
            ],
        ),
        ("vendor.compose-spec", [ROOT / "compose.yaml"]),
    ],
)
def test_workflows_and_compose_file_follow_their_schemas(schema, files):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_follow_the_schemas_of_kubernetes(path):
    import kubernetes_validate

    for manifest in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path):
    """Its check wants to find the command and the page."""
    for path in SYSTEMD.iterdir():
        text = path.read_text().replace("/opt/foresell/bin/foresell", sys.executable)
        (tmp_path / path.name).write_text(text.replace("User=foresell\n", ""))
    units = sorted(tmp_path.iterdir())
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    timer = (SYSTEMD / "foresell-retrain.timer").read_text()
    (instant,) = re.findall(r"OnCalendar=(.*)", timer)
    subprocess.run(["systemd-analyze", "calendar", instant], check=True, capture_output=True)


def commands() -> dict[str, list[str]]:
    """Return the arguments of `foresell` in each file that runs it on a schedule."""
    cron = (ROOT / "deploy" / "crontab").read_text()
    service = (SYSTEMD / "foresell-retrain.service").read_text()
    (job,) = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "cronjob.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    workflow = yaml.safe_load((ROOT / "deploy" / "github" / "retrain.yml").read_text())
    first = workflow["jobs"]["retrain"]["steps"][0]["run"]
    return {
        "crontab": shlex.split(re.findall(r"bin/foresell ([^)2>]*)", cron)[0]),
        "systemd": shlex.split(re.findall(r"ExecStart=\S+/foresell (.*)", service)[0]),
        "kubernetes": container["args"],
        "github": shlex.split(re.findall(r"bin/foresell ([^>]*)", first)[0]),
    }


@pytest.mark.parametrize("file", ["crontab", "systemd", "kubernetes", "github"])
def test_what_a_schedule_runs_is_a_command(file):
    words = commands()[file]
    command = typer.main.get_command(app).commands[words[0]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words[1:] if word.startswith("-")} <= options


def test_the_crontab_has_one_job_with_five_fields_and_a_user():
    lines = (ROOT / "deploy" / "crontab").read_text().splitlines()
    (job,) = [line for line in lines if re.match(r"[\d*]", line)]
    assert re.match(r"(\d+ ){2}\* \* \* foresell ", job)
    assert "%" not in job  # cron would end the command there
