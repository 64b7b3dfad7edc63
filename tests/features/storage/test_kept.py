"""Results are computed again exactly where something that they depend on has changed."""

import pytest

from features.storage import kept
from features.storage.snapshots import commit_snapshot, replace_snapshot


@pytest.fixture
def result(tmp_path):
    """Return a function that gives a result, and how often it was computed so far."""
    (tmp_path / "tables").mkdir()
    calls = []

    def get(snapshot: str, **inputs):
        def compute():
            calls.append(inputs)
            return {"value": len(calls)}

        sources = ("features/*.py",)
        return kept.of_snapshot(
            tmp_path, snapshot, "number", compute, inputs=inputs, sources=sources
        )

    return tmp_path, get


def test_a_result_is_computed_once(result):
    folder, get = result
    snapshot = commit_snapshot(folder, {"orders": ["orders-1.parquet"]})
    assert [get(snapshot), get(snapshot)] == [{"value": 1}] * 2


def test_it_is_computed_again_for_other_inputs_and_after_an_erasure(result):
    folder, get = result
    snapshot = commit_snapshot(folder, {"orders": ["orders-1.parquet"]})
    assert [get(snapshot, folds=1), get(snapshot, folds=2)] == [{"value": 1}, {"value": 2}]
    replace_snapshot(folder, snapshot, {"orders": ["orders-2.parquet"]})
    assert get(snapshot, folds=2) == {"value": 3}


def test_other_code_computes_it_again(result, monkeypatch):
    folder, get = result
    snapshot = commit_snapshot(folder, {"orders": ["orders-1.parquet"]})
    get(snapshot)
    monkeypatch.setattr("features.storage.kept.sources_digest", lambda *_: "other")
    assert get(snapshot) == {"value": 2}
