"""Files for containers, clusters and hosted CI are valid by their schemas."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
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
