import os
import subprocess
import sys

import psutil
import pytest

from features.errors import Unavailable
from training.retrain import job_lock


def test_a_second_job_is_kept_out_while_the_first_lives(tmp_path):
    with (
        job_lock(tmp_path, "retrain"),
        pytest.raises(Unavailable, match=str(os.getpid())),
        job_lock(tmp_path, "retrain"),
    ):
        pytest.fail("two jobs held one lock")


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "retrain.lock").write_text(f"{dead.pid} 1.0")
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.lock").read_text().startswith(str(os.getpid()))


def test_a_process_number_that_was_given_out_again_holds_no_lock(tmp_path):
    earlier = psutil.Process().create_time() - 100
    (tmp_path / "retrain.lock").write_text(f"{os.getpid()} {earlier}")
    with job_lock(tmp_path, "retrain"):
        assert (tmp_path / "retrain.lock").exists()


def test_the_lock_goes_with_the_job_even_when_it_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), job_lock(tmp_path, "retrain"):
        _ = 1 / 0
    assert not (tmp_path / "retrain.lock").exists()
