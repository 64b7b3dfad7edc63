"""Locks of jobs and scratch folders, between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import Unavailable
from features.storage.locks import clean_up_scratch, job_lock, scratch_folder

HOLD_LOCK = """
import sys
from pathlib import Path
from features.storage.locks import job_lock
with job_lock(Path(sys.argv[1]), "retrain"):
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_SCRATCH = """
import sys
from pathlib import Path
from features.storage.locks import scratch_folder
with scratch_folder(Path(sys.argv[1])) as scratch:
    (scratch / "lines.csv").write_text("1111")
    print(scratch, flush=True)
    sys.stdin.read()
"""


def started(code: str, home: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_second_job_is_refused_while_the_first_runs(tmp_path):
    with (
        job_lock(tmp_path, "retrain"),
        pytest.raises(Unavailable, match=str(os.getpid())),
        job_lock(tmp_path, "retrain"),
    ):
        pytest.fail("two jobs held one lock")


def test_a_refused_job_leaves_the_owner_in_place(tmp_path):
    with job_lock(tmp_path, "retrain"):
        for _ in range(2):
            with (
                pytest.raises(Unavailable, match=rf"process {os.getpid()}\b"),
                job_lock(tmp_path, "retrain"),
            ):
                pytest.fail("two jobs held one lock")


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    holder = started(HOLD_LOCK, tmp_path)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Unavailable, match=str(holder.pid)), job_lock(tmp_path, "retrain"):
        pytest.fail("two processes held one lock")
    holder.kill()
    holder.communicate()
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.pid").read_text() == str(os.getpid())


def test_files_without_a_live_owner_refuse_no_job(tmp_path):
    (tmp_path / "retrain.lock").write_text("")
    (tmp_path / "retrain.pid").write_text(f"{os.getpid()}")
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.pid").exists()


def test_locks_of_different_names_are_independent(tmp_path):
    with job_lock(tmp_path, "import-a"), job_lock(tmp_path, "import-b"):
        assert len(list(tmp_path.glob("*.pid"))) == 2


def test_a_failed_job_releases_its_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), job_lock(tmp_path, "retrain"):
        _ = 1 / 0
    assert not (tmp_path / "retrain.pid").exists()
    with job_lock(tmp_path, "retrain"):
        pass


def test_scratch_folders_of_killed_processes_are_removed(tmp_path):
    reader = started(HOLD_SCRATCH, tmp_path)
    left = Path(reader.stdout.readline().strip()) / "lines.csv"
    with scratch_folder(tmp_path) as scratch:
        clean_up_scratch(tmp_path)
        assert scratch.exists()
        assert left.exists()
    reader.kill()
    reader.communicate()
    clean_up_scratch(tmp_path)
    assert not left.exists()
    assert not scratch.exists()
    assert not list((tmp_path / "scratch").iterdir())
