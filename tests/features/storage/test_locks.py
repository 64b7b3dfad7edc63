import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import Unavailable
from features.storage.locks import clean_up_scratch, job_lock, scratch_folder


def test_a_second_job_is_kept_out_while_the_first_lives(tmp_path):
    with (
        job_lock(tmp_path, "retrain"),
        pytest.raises(Unavailable, match=str(os.getpid())),
        job_lock(tmp_path, "retrain"),
    ):
        pytest.fail("two jobs held one lock")


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys; from features.storage.locks import job_lock; from pathlib import Path\n"
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


def test_what_a_killed_process_was_reading_does_not_stay(tmp_path):
    code = (
        "import sys; from features.storage.locks import scratch_folder; from pathlib import Path\n"
    )
    code += (
        "with scratch_folder(Path(sys.argv[1])) as scratch:\n"
        "    (scratch / 'lines.csv').write_text('1111')\n"
        "    print(scratch, flush=True); sys.stdin.read()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    left = Path(reader.stdout.readline().strip()) / "lines.csv"
    with scratch_folder(tmp_path) as own:
        clean_up_scratch(tmp_path)
        assert own.exists()
        assert left.exists()
    reader.kill()
    reader.communicate()
    clean_up_scratch(tmp_path)
    assert not left.exists()
    assert not own.exists()
