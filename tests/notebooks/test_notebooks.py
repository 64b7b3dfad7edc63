"""Every notebook runs from top to bottom, on the small data set."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(path, home_of, tmp_path, monkeypatch):
    monkeypatch.setenv("FORESELL_HOME", str(home_of(120)))
    monkeypatch.setenv("FORESELL_MLRUNS", str(tmp_path / "mlruns"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": tmp_path}})
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
