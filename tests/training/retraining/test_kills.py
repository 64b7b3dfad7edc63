"""A job that is killed is run again, and ends as one that was not."""

import multiprocessing
import os
import signal

from features.ingest.sources.complete_journey import NAME
from training.published import versions as published
from training.registered import Registry
from training.registry import TASKS
from training.retraining.job import Job

TASK = TASKS["churn"]
# Before the fit, twice in a row after it, and after the promotion.
STEPS = (": fit", ": foresell", ": foresell", "publish churn")


def job(home, mlruns, progress=lambda _: None) -> Job:
    registry = Registry(mlruns)
    return Job(home, registry, NAME, lambda: None, tasks=[TASK], folds=1, progress=progress)


def run_and_die(home, mlruns, step):
    def progress(message):
        if step in message:
            os.kill(os.getpid(), signal.SIGKILL)

    job(home, mlruns, progress).run()


def test_a_job_that_was_killed_at_any_step_ends_as_an_undisturbed_one(home_of, tmp_path):
    home, mlruns = home_of(300), tmp_path / "mlruns"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.retraining.job", "training.train"])
    for step in STEPS:
        child = context.Process(target=run_and_die, args=(home, mlruns, step))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, step
        assert published.served(home, NAME) is None
    report = job(home, mlruns).run()
    assert (report.exit_code, report.outcomes[0].state) == (0, "unchanged")
    (version,) = Registry(mlruns).versions(NAME, TASK.name)
    assert version == Registry(mlruns).champion(NAME, TASK.name)
    assert len(version.primary) == 1
    _, record = published.served(home, NAME)
    assert {task: model.version for task, model in record.models.items()} == {"churn": "churn/1"}
    kept = home / "datasets" / NAME / "retraining" / "backtests"
    assert len(list(kept.iterdir())) == 1
    assert not [path for path in home.rglob("*draft*") if "results" not in path.parts]
