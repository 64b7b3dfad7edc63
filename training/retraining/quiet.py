"""Nights without news: nothing changed since a complete job, which is known without the models.

Their import, and the choice of demand's grain, would take most of the time of such a night.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from features.ingest.health import read_health
from features.ingest.provenance import note_unchanged
from features.storage.kept import digest, recall, remember, sources_digest
from features.storage.locks import job_lock
from features.storage.snapshots import dataset_folder, list_datasets, read_head, read_snapshot
from training.published import versions as published
from training.registered import Registry
from training.retraining.folder import retraining_folder
from training.retraining.report import JobReport, Outcome, write_report

_NAME = "complete"


def quiet_night(
    home: Path,
    registry: Registry,
    name: str,
    *,
    source: str | None,
    options: Mapping[str, Any],
    max_bad_share: float,
) -> JobReport | None:
    """Return the report of a night without news; None if there is anything to do.

    Parameters
    ----------
    source
        As in `training.retraining.job.Job`.
    options
        All further options of the job.

    Raises
    ------
    Unavailable
        If another such job is running.
    """
    if source is None or name not in list_datasets(home):
        return None
    with ExitStack() as stack:
        stack.enter_context(job_lock(home, "retrain"))
        stack.enter_context(registry.exclusive(f"retrain {name}"))
        report = JobReport(name)
        with report.step("compare with the last night") as step:
            inputs = _inputs(home, registry, name, source, options)
            last = recall(retraining_folder(home, name), _NAME, inputs)
            if last is None or last["state"] != _state(home, registry, name, last["tasks"]):
                return None
            step.kept = True
            note_unchanged(home, name)
            report.snapshot = read_head(dataset_folder(home, name))
            report.imports = read_health(home, name, max_bad_share)
            report.published = last["published"]
            rows = last["outcomes"]
            report.outcomes = [Outcome(**row | {"behind": tuple(row["behind"])}) for row in rows]
        write_report(retraining_folder(home, name) / "reports", report)
        return report


def note_complete(
    home: Path,
    registry: Registry,
    report: JobReport,
    *,
    source: str | None,
    options: Mapping[str, Any],
) -> None:
    """Remember a job without failures as the one to compare the next nights with."""
    if source is None or report.failed or report.published is None:
        return
    name, tasks = report.dataset, [outcome.task for outcome in report.outcomes]
    rows = [
        {
            "task": outcome.task,
            "version": outcome.version,
            "reason": outcome.reason if outcome.refused else "nothing changed since the last night",
            "refused": outcome.refused,
            "judged": outcome.judged,
            "behind": list(outcome.behind),
        }
        for outcome in report.outcomes
    ]
    value = {
        "tasks": tasks,
        "state": _state(home, registry, name, tasks),
        "published": report.published,
        "outcomes": rows,
    }
    inputs = _inputs(home, registry, name, source, options)
    remember(retraining_folder(home, name), _NAME, inputs, value)


def _inputs(
    home: Path, registry: Registry, name: str, source: str, options: Mapping[str, Any]
) -> str:
    folder = dataset_folder(home, name)
    studies = registry.mlruns / "optuna.db"
    tuned = studies.stat().st_mtime_ns if studies.exists() else None
    # The parts count, and not the name of the snapshot: erasure replaces parts under the name.
    parts = read_snapshot(folder, read_head(folder))
    code = sources_digest("features/**/*.py", "training/**/*.py")
    return digest(source, parts, dict(options), tuned, code)


def _state(home: Path, registry: Registry, name: str, tasks: Iterable[str]) -> list[Any]:
    """Return the champions' runs, and the version that is served."""
    champions = [registry.champion(name, task) for task in tasks]
    runs = [None if champion is None else champion.run_id for champion in champions]
    served = published.served(home, name)
    record = None if served is None else published.read_intact(served[0])
    return [*runs, None if record is None else record.version]
