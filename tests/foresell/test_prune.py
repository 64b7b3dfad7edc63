"""Old versions, models and snapshots go; what is served or may be served again stays."""

import json
from datetime import datetime

import polars as pl
import pytest

from features.dataset import Dataset
from features.errors import InvalidInput
from features.storage import snapshots
from foresell.prune import prune
from foresell.settings import Settings
from training.published import versions as published
from training.registered import CHALLENGER, CHAMPION, PREVIOUS
from training.registry import TASKS
from training.tracking import Tracker

IDS = pl.DataFrame({"customer_id": ["1"]})


class Tiny:
    """A model of one file."""

    def save(self, folder):
        (folder / "model.json").write_text("{}")


def register(tracker: Tracker, snapshot: str) -> int:
    tags = {
        "dataset": "pruned",
        "snapshot": snapshot,
        "as_of": "2024-01-01T00:00:00",
        "code": "1.0",
        "settings": json.dumps({"options": {}, "params": {}}),
    }
    with tracker.run("churn", "churn on pruned", tags):
        return tracker.register(TASKS["churn"], Tiny(), Dataset("pruned", snapshot, {}), IDS, IDS)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, mlruns):
    """Six snapshots with a version each; 2 is the previous champion, 3 the champion, 4 served."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), mlruns=mlruns)
    folder, tracker = snapshots.dataset_folder(settings.home, "pruned"), Tracker(mlruns)
    (folder / "tables").mkdir(parents=True)
    names = []
    for number in range(1, 7):
        part = f"orders-{number}.parquet"
        (folder / "tables" / part).write_text("rows")
        names.append(snapshots.commit_snapshot(folder, {"orders": [part]}))
        register(tracker, names[-1])
    for alias, number in ((PREVIOUS, 2), (CHAMPION, 3), (CHALLENGER, 3)):
        tracker.set_alias("pruned", "churn", alias, number)
    for number in (1, 4, 5):
        draft = published.dataset_root(settings.home, "pruned") / ".draft"
        (draft / "churn").mkdir(parents=True)
        version = tracker.numbered("pruned", "churn", number)
        model = published.PublishedModel(
            version=version.label,
            run_id=version.run_id,
            snapshot=version.snapshot,
            as_of=version.as_of,
        )
        record = published.PublishedVersion(
            version=f"v{number}",
            dataset="pruned",
            created=datetime(2024, 1, number).astimezone(),
            models={"churn": model},
        )
        published.finish(settings.home, draft, record)
    published.switch(settings.home, "v4", "pruned")
    return settings, folder, names, tracker


def test_what_is_served_or_may_be_served_again_stays(pruned):
    settings, folder, names, tracker = pruned
    assert prune(settings, keep=1, older_than_days=1) == [
        {"dataset": "pruned", "kind": "published", "name": "v1", "created": datetime(2024, 1, 1)}
    ]
    # Published versions that went kept their models and snapshots until now.
    planned = prune(settings, keep=1, older_than_days=0, dry_run=True)
    assert [(row["kind"], row["name"]) for row in planned] == [
        ("model", "churn/1"),
        ("snapshot", names[0]),
    ]
    gone = tracker.numbered("pruned", "churn", 1)
    assert gone.folder.is_dir()
    assert prune(settings, keep=1, older_than_days=0) == planned
    assert [version.number for version in tracker.versions("pruned", "churn")] == [6, 5, 4, 3, 2]
    assert not gone.folder.exists()
    assert tracker.numbered("pruned", "churn", 2).folder.is_dir()
    assert snapshots.list_snapshots(folder) == sorted(names[1:])
    assert not (folder / "tables" / "orders-1.parquet").exists()
    assert {path.name for path in published.versions(settings.home, "pruned")} == {"v4", "v5"}


def test_the_current_snapshot_cannot_be_removed(pruned):
    _, folder, names, _ = pruned
    with pytest.raises(InvalidInput, match="current snapshot"):
        snapshots.remove_snapshots(folder, [names[-1]])
