"""Track training runs and registered model versions in MLflow.

Besides the script that is stored with each model, only this module imports mlflow; look-ups of
versions do without it, in `registered.py`.
"""

import json
import logging
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from features.dataset import Dataset
from training.backtest import FORESELL, SCHEMA, Report
from training.contract import Model, Score, Task
from training.published import digests
from training.registered import Registry, Version, model_name
from training.registry import save_task
from training.standing import Standing

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Metric
from mlflow.models import infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE
from mlflow.utils.validation import MAX_METRICS_PER_BATCH

BACKTEST = "backtest.json"


def code_version() -> str:
    """Return the commit of the running code, or the package's version outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return version("foresell")
    return done.stdout.strip()


class Tracker(Registry):
    """MLflow's store: its database, and artifacts under a folder; opening one creates it.

    Parameters
    ----------
    mlruns, url
        As for `Registry`. Processes on several machines share runs by the URL of a database, and
        artifacts by a folder that all of them mount at the same path.
    """

    def __init__(self, mlruns: Path, url: str | None = None) -> None:
        super().__init__(mlruns, url)
        self.mlruns.mkdir(parents=True, exist_ok=True)
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(self.uri)
        self._client = mlflow.MlflowClient()

    @contextmanager
    def run(
        self, task: str, name: str, tags: Mapping[str, str], *, nested: bool = False
    ) -> Iterator[str]:
        """Open a run in a task's experiment; yields the run's id."""
        with mlflow.start_run(
            experiment_id=self._experiment(task), run_name=name, tags=dict(tags), nested=nested
        ) as run:
            yield run.info.run_id

    @contextmanager
    def resume(self, run_id: str) -> Iterator[None]:
        """Open the run of an earlier training again."""
        with mlflow.start_run(run_id=run_id):
            yield

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log options in the open run."""
        mlflow.log_params(dict(params))

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log single metrics in the open run."""
        mlflow.log_metrics(dict(metrics))

    def log_document(self, name: str, content: Mapping[str, Any]) -> None:
        """Log JSON values with the open run, as `<name>.json`."""
        mlflow.log_text(json.dumps(content, indent=1), f"{name}.json")

    def log_page(self, name: str, html: str) -> None:
        """Log a page with the open run, as `<name>.html`."""
        mlflow.log_text(html, f"{name}.html")

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an earlier run; an empty value removes a tag."""
        present = self._client.get_run(run_id).data.tags
        for name, value in tags.items():
            if value:
                self._client.set_tag(run_id, name, value)
            elif name in present:
                self._client.delete_tag(run_id, name)

    def log_report(self, report: Report) -> None:
        """Log a backtest in the open run: the model's metrics by fold, ratio, rows and figures.

        Metrics come last and at once, the primary ones after all others: a run that has them is
        complete.
        """
        best = report.best_baseline()
        summary = {
            f"mean_{report.task.primary}": report.primary(FORESELL),
            f"best_baseline_{report.task.primary}": report.primary(best),
            "ratio_to_best_baseline": report.ratio(),
        }
        mlflow.log_text(json.dumps(report.rows.to_dicts()), BACKTEST)
        for name, figure in report.figures().items():
            mlflow.log_figure(figure, f"plots/{name}.png")
        mlflow.set_tags({"best_baseline": best, "folds": len(report.origins)})
        mlflow.log_metrics(summary)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, fold) for fold, name, value in _by_fold(report)]
        run = mlflow.active_run()
        assert run is not None, "a report is logged in an open run"  # noqa: S101
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            batch = metrics[start : start + MAX_METRICS_PER_BATCH]
            self._client.log_batch(run.info.run_id, metrics=batch)

    def log_realised(self, run_id: str, scores: Iterable[Score]) -> None:
        """Log in the run of a version how it performed: `realised/<slice>/<metric>`."""
        now = int(time.time() * 1000)
        named = {
            re.sub(r"[^\w\-./ ]", "_", f"realised/{score.slice}/{score.metric}"): score.value
            for score in scores
            if math.isfinite(score.value)
        }
        metrics = [Metric(name, value, now, 0) for name, value in named.items()]
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS_PER_BATCH])

    def backtest_rows(self, run_id: str) -> pl.DataFrame | None:
        """Return the rows of the backtest in a run, as `Report.rows`; None without one."""
        names = [item.path for item in self._client.list_artifacts(run_id)]
        if BACKTEST not in names:
            return None
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{BACKTEST}")
        return pl.DataFrame(json.loads(text), schema=SCHEMA)

    def log_standing(
        self,
        dataset: str,
        task: str,
        number: int,
        standing: Standing,
        report: Report | None = None,
    ) -> None:
        """Log in the open run how a version stands beside its baselines.

        Words and results, if there is a backtest, are the description of the run and the version.
        """
        note = standing.describe(f"{task}/{number}")
        if report is not None:
            note += f"\n\n{_results(report)}"
        tags = {"judged": str(standing.judged).lower(), "standing": standing.model_dump_json()}
        mlflow.set_tags({**tags, MLFLOW_RUN_NOTE: note})
        self._client.update_model_version(model_name(dataset, task), str(number), note)

    def register(
        self, task: Task, model: Model, dataset: Dataset, sample: pl.DataFrame, ids: pl.DataFrame
    ) -> int:
        """Register the open run's model with its signature; returns the number of the version."""
        with tempfile.TemporaryDirectory() as draft, warnings.catch_warnings():
            # MLflow advises on nullable integers and input examples; ids are strings here.
            warnings.simplefilter("ignore", UserWarning)
            folder = Path(draft) / "model"
            folder.mkdir()
            model.save(folder)
            save_task(task, folder)
            sha256 = {name: file.sha256 for name, file in digests.measure(folder).items()}
            signature = infer_signature(None, sample.head(5).to_pandas())
            # Ids may be whole numbers too; the script reads them as texts.
            any_type = AnyType()  # type: ignore[no-untyped-call]
            signature.inputs = Schema([ColSpec(any_type, name) for name in ids.columns])
            signature.params = ParamSchema(
                [
                    ParamSpec("home", "string", ""),
                    ParamSpec("dataset", "string", dataset.name),
                    ParamSpec("as_of", "string", ""),
                ]
            )
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("mlflow_model.py")),
                artifacts={"model": str(folder)},
                signature=signature,
                pip_requirements=[f"foresell=={version('foresell')}"],
            )
        name = model_name(dataset.name, task.name)
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)
        registered = self._client.create_model_version(
            name, info.model_uri, info.run_id, model_id=info.model_id
        )
        # The run was named before the version had a number.
        run = mlflow.active_run()
        assert run is not None, "a model is registered in an open run"  # noqa: S101
        named = f"{task.name}/{registered.version}"
        title = run.info.run_name.replace(task.name, named, 1)
        recorded = {"version": named, "digests": json.dumps(sha256)}
        mlflow.set_tags({MLFLOW_RUN_NAME: title, **recorded})
        return int(registered.version)

    def remove(self, dataset: str, version: Version) -> None:
        """Remove a registered version and its files; its run stays."""
        name, files = model_name(dataset, version.task), version.folder.parents[2]
        self._client.delete_model_version(name, str(version.number))
        if files.parent == self.artifacts / "models":
            self._client.delete_logged_model(files.name)
            shutil.rmtree(files, ignore_errors=True)

    def set_alias(self, dataset: str, task: str, alias: str, number: int) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(model_name(dataset, task), alias, str(number))

    def remove_alias(self, dataset: str, task: str, alias: str) -> None:
        """Remove an alias from the models of a task."""
        self._client.delete_registered_model_alias(model_name(dataset, task), alias)

    def _experiment(self, task: str) -> str:
        name = f"foresell-{task}"
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = self.artifacts.as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))


def _results(report: Report) -> str:
    """Return the primary metric of all methods, best first, as a table in Markdown."""
    primary_slice = report.task.primary_slice
    of = "" if primary_slice == "all" else f" of {primary_slice}"
    header = ["method", f"{report.task.primary}{of}", "by fold", f"{FORESELL} / method"]
    lines = [header, ["---"] * len(header)]
    for row in report.summary().to_dicts():
        folds = ", ".join(f"{value:.4f}" for value in row["folds"])
        name = f"**{FORESELL}**" if row["method"] == FORESELL else row["method"]
        lines.append([name, f"{row['value']:.4f}", folds, f"{row['foresell_ratio']:.3f}"])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    starts = ", ".join(str(origin.date()) for origin in report.origins)
    return f"{table}\n\nFolds of {report.options['horizon_days']} days from {starts}"


def _by_fold(report: Report) -> list[tuple[int, str, float]]:
    """Return fold, name and value of the model's metrics; those of the primary metric last.

    Metrics of the primary slice have the plain names, so that versions compare by them.
    """
    model = report.rows.filter(pl.col("method") == FORESELL)
    metrics = model.filter(pl.col("slice") == "all")
    primary_slice = report.task.primary_slice
    if primary_slice != "all":
        overall = metrics.with_columns(("all_" + pl.col("metric")).alias("metric"))
        metrics = pl.concat([model.filter(pl.col("slice") == primary_slice), overall])
    measured = metrics.drop_nulls("value").filter(pl.col("value").is_not_nan())
    last = (pl.col("metric") == report.task.primary).alias("last")
    return measured.sort(last, maintain_order=True).select("fold", "metric", "value").rows()
