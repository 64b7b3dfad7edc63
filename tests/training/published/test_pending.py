import os

import pytest

from training.published.pending import PENDING, announced, pending


def test_tasks_are_pending_while_the_job_runs(tmp_path):
    assert pending(tmp_path) == ()
    with announced(tmp_path, ["demand", "churn"]):
        assert pending(tmp_path) == ("demand", "churn")
    assert pending(tmp_path) == ()


def test_a_job_that_died_has_nothing_pending(tmp_path):
    child = os.fork()
    if child == 0:
        with announced(tmp_path, ["demand"]):
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / PENDING).exists()
    assert pending(tmp_path) == ()


@pytest.mark.parametrize("content", ["", "{", '{"pid": "x"}', "\x00\xff"])
def test_an_unreadable_announcement_counts_for_nothing(tmp_path, content):
    (tmp_path / PENDING).write_text(content)
    assert pending(tmp_path) == ()
