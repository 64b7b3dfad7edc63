import os
import subprocess
import sys

import pytest

from features.errors import Unavailable
from features.locks import job_lock


def test_a_second_job_is_kept_out_while_the_first_lives(tmp_path):
    with (
        job_lock(tmp_path, "retrain"),
        pytest.raises(Unavailable, match=str(os.getpid())),
        job_lock(tmp_path, "retrain"),
    ):
        pytest.fail("two jobs held one lock")


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys; from features.locks import job_lock; from pathlib import Path\n"
    code += (
        "with job_lock(Path(sys.argv[1]), 'retrain'): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Unavailable, match=str(holder.pid)), job_lock(tmp_path, "retrain"):
        pytest.fail("two processes held one lock")
    holder.kill()
    holder.communicate()
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.lock").read_text() == str(os.getpid())


def test_a_lock_file_without_a_holder_keeps_nobody_out(tmp_path):
    (tmp_path / "retrain.lock").write_text(f"{os.getpid()}")
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.lock").exists()


def test_locks_of_different_names_do_not_meet(tmp_path):
    with job_lock(tmp_path, "import-a"), job_lock(tmp_path, "import-b"):
        assert len(list(tmp_path.glob("*.lock"))) == 2


def test_the_lock_goes_with_the_job_even_when_it_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), job_lock(tmp_path, "retrain"):
        _ = 1 / 0
    assert not (tmp_path / "retrain.lock").exists()
