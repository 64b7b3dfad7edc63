"""Predictions in parts equal those in one file, and an interrupted call is continued."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import open_dataset
from features.errors import InvalidInput, NotFound
from features.ingest.sources.complete_journey import NAME
from foresell.scoring import score
from foresell.settings import Settings
from training.registry import TASKS
from training.tracking import Tracker
from training.train import train


@pytest.fixture(scope="module")
def settings(home, mlruns):
    """A home with a small churn model as of November, number 1 or later."""
    settings = Settings(home=home, mlruns=mlruns, dataset=NAME)
    dataset, tracker = open_dataset(home, NAME), Tracker(mlruns)
    params = {"rounds": 5, "cutoffs": 2}
    version = train(
        TASKS["churn"], dataset, tracker, as_of=dataset.instant("2017-11-01"), params=params
    )
    return settings, version.number


def test_parts_equal_one_file_and_missing_ones_are_written_again(settings, tmp_path):
    options, number = settings
    wanted = {"as_of": "2017-12-01", "model_version": number}
    score(options, "churn", tmp_path / "all.parquet", **wanted)
    whole = pl.read_parquet(tmp_path / "all.parquet")
    folder, rows = score(options, "churn", tmp_path / "parts", **wanted, part_size=100)
    assert folder == tmp_path / "parts" / "as_of=2017-12-01" / f"version=churn-{number}"
    parts = sorted(folder.glob("part-*.parquet"))
    assert (len(parts), rows) == (-(-whole.height // 100), whole.height)
    read = pl.scan_parquet(folder / "*.parquet", hive_partitioning=True).collect()
    assert set(read.columns) - set(whole.columns) == {"as_of", "version"}
    assert_frame_equal(read.select(whole.columns).sort("customer_id"), whole.sort("customer_id"))
    times = [path.stat().st_mtime_ns for path in parts]
    # As after an interruption.
    parts[1].unlink()
    (folder / "_SUCCESS").unlink()
    assert score(options, "churn", tmp_path / "parts", **wanted, part_size=100)[1] == rows
    assert (folder / "_SUCCESS").is_file()
    changed = [path.stat().st_mtime_ns != time for path, time in zip(parts, times, strict=True)]
    assert changed == [number == 1 for number in range(len(parts))]
    # Parts of another size do not stay beside new ones.
    score(options, "churn", tmp_path / "parts", **wanted, part_size=1_000)
    assert [path.name for path in folder.glob("part-*")] == ["part-00000.parquet"]


def test_a_version_that_does_not_suit_is_refused(settings, tmp_path):
    options, number = settings
    out = tmp_path / "parts"
    with pytest.raises(InvalidInput, match="not known as of 2017-10-01"):
        score(options, "churn", out, as_of="2017-10-01", model_version=number)
    with pytest.raises(InvalidInput, match="horizon_days = 7"):
        score(options, "churn", out, horizon=7, model_version=number)
    with pytest.raises(NotFound, match="churn/999"):
        score(options, "churn", out, model_version=999)
    with pytest.raises(InvalidInput, match="name a folder"):
        score(options, "churn", tmp_path / "none" / "parts", model_version=number)
