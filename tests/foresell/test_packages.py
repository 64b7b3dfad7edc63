"""The packages that are released: a wheel in an environment of its own serves without training."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("features", "training", "serving", "foresell")


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout, whose sources would hide what a package lacks."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV") and not name.startswith("FORESELL_")
    }
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=environment, **options
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("__pycache__")
    for package in SOURCES:
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    built = run(sys.executable, "-m", "uv", "build", "--quiet", folder)
    assert built.returncode == 0, built.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def serving(dist, tmp_path_factory):
    """The programs of an environment with the wheel and its extra `serve` alone."""
    environment = tmp_path_factory.mktemp("serving") / "environment"
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, environment)
    (wheel,) = dist.glob("*.whl")
    python = environment / "bin" / "python"
    constraints = ROOT / "requirements.lock"
    installed = run(
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python),
        *("--constraints", constraints, f"{wheel}[serve]"),
    )
    assert installed.returncode == 0, installed.stderr
    return environment / "bin"


def test_the_wheel_and_the_source_archive_hold_types_and_licence(dist):
    (archive,) = dist.glob("*.tar.gz")
    names = run("tar", "--list", "--file", archive).stdout
    assert all(f"/{package}/py.typed" in names for package in SOURCES)
    assert "/LICENSE" in names


def test_the_extra_serve_has_what_the_service_imports(serving, tmp_path):
    code = "import serving.service, foresell.client, sys; print('mlflow' in sys.modules)"
    imported = run(serving / "python", "-c", code, cwd=tmp_path)
    assert imported.stdout.strip() == "False", imported.stderr


def test_without_the_extra_train_training_names_it(serving, tmp_path):
    refused = run(serving / "foresell", "train", "churn", cwd=tmp_path)
    assert refused.returncode == 2
    assert "pip install 'foresell[train]'" in refused.stderr
