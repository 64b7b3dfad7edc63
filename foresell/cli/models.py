"""Commands on models: train, evaluate and tune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from foresell.cli.edge import (
    AS_OF,
    DATASET,
    FOLDS,
    GRAIN,
    HORIZON,
    JSON,
    MODEL,
    app,
    cell,
    exit_after,
    exit_codes,
    make_grid,
    settings,
    show,
)
from foresell.progress import console

if TYPE_CHECKING:
    from training.backtest import Report


@app.command()
@exit_codes
def train(
    model: MODEL,
    dataset: DATASET = None,
    as_of: AS_OF = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=0, help="rolling origins to evaluate on, or 0; FORESELL_TRAIN_FOLDS by default"
        ),
    ] = None,
    grain: GRAIN = None,
    horizon: HORIZON = None,
    if_missing: Annotated[
        bool,
        typer.Option(
            "--if-missing", help="only what is missing for these records: models, evaluations"
        ),
    ] = False,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="leave the served version as it is")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Fit, register, promote and publish; then evaluate. Example: `foresell train all`.

    A model that fails does not stop the others: exit code 3 if some failed, 1 if all did.
    """
    from foresell.failures import Failures
    from foresell.training_job import train

    chosen = settings(dataset)
    failures = Failures(chosen.home, model)
    rows = train(
        chosen,
        model,
        as_of=as_of,
        folds=folds,
        grain=grain,
        horizon=horizon,
        if_missing=if_missing,
        publish=not no_publish,
        failures=failures,
    )
    if as_json:
        show(rows)
    elif any("metric" in row for row in rows):
        grid = make_grid("version", "metric", "foresell", "best baseline", "", "ratio", "cpu s")
        columns = ("version", "metric", "foresell", "best_baseline", "baseline", "ratio")
        for row in rows:
            grid.add_row(*(cell(row.get(name, "")) for name in (*columns, "cpu_seconds")))
        console.print(grid)
    exit_after(failures.messages, done=bool(rows))


@app.command()
@exit_codes
def evaluate(
    model: MODEL,
    dataset: DATASET = None,
    folds: FOLDS = None,
    as_of: AS_OF = None,
    grain: GRAIN = None,
    horizon: HORIZON = None,
    as_json: JSON = False,
) -> None:
    """Backtest against all baselines. Example: `foresell evaluate churn --folds 3 --json`.

    A model that fails does not stop the others: exit code 3 if some failed, 1 if all did.
    """
    from foresell import jobs
    from foresell.failures import Failures

    chosen = settings(dataset)
    failures = Failures(chosen.home, model)
    reports = jobs.evaluate(
        chosen,
        model,
        folds=folds,
        as_of=as_of,
        grain=grain,
        horizon=horizon,
        failures=failures,
    )
    if as_json:
        show([row for report in reports for row in report.rows.to_dicts()])
    else:
        _print_reports(reports)
    exit_after(failures.messages, done=bool(reports))


def _print_reports(reports: list[Report]) -> None:
    """Print the methods of each backtest, best first."""
    for report in reports:
        grid = make_grid("method", report.task.primary, "folds", "foresell / method", "cpu s")
        for row in report.summary().to_dicts():
            folds_ = " ".join(f"{value:.4f}" for value in row["folds"])
            seconds = f"{report.seconds[row['method']]:.1f}"
            ratio = f"{row['foresell_ratio']:.3f}"
            grid.add_row(row["method"], f"{row['value']:.4f}", folds_, ratio, seconds)
        console.print(f"[bold]{report.task.name}[/], slice {report.task.primary_slice}")
        console.print(grid)
        floor = report.mean("wape_noise_floor")
        if floor is not None:
            console.print(f"[dim]noise floor, with every rate known: {floor:.4f}[/]")
        for plan in ("known", "hidden"):
            error, bias = (report.mean(name, f"plan={plan}") for name in ("wape", "bias"))
            if error is not None and bias is not None:
                console.print(f"[dim]plan {plan}: wape {error:.4f}, bias {bias:+.4f}[/]")
        for member, weight in report.weights().items():
            console.print(f"[dim]weight {weight:.2f}: {member}[/]")
        if report.task.note:
            console.print(f"[dim]{report.task.note}[/]")


@app.command()
@exit_codes
def tune(
    model: MODEL,
    trials: Annotated[int, typer.Option(min=1, help="trials to add to the study")] = 20,
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Search better options; resumable. Example: `foresell tune churn --trials 20`.

    A model that fails does not stop the others: exit code 3 if some failed, 1 if all did.
    """
    from foresell import jobs
    from foresell.failures import Failures

    chosen = settings(dataset)
    failures = Failures(chosen.home, model)
    rows = jobs.tune(chosen, model, trials=trials, failures=failures)
    if as_json:
        show(rows)
    else:
        _print_trials(rows)
    exit_after(failures.messages, done=bool(rows))


def _print_trials(rows: list[dict[str, Any]]) -> None:
    """Print what tuning found."""
    grid = make_grid("model", "metric", "trials", "default", "best", "best options")
    for row in rows:
        options = ", ".join(f"{name}={value:.4g}" for name, value in row["params"].items())
        cells = (cell(row[name]) for name in ("trials", "default", "best"))
        metric = row["metric"] if row["slice"] == "all" else f"{row['metric']}, {row['slice']}"
        grid.add_row(row["model"], metric, *cells, options)
    console.print(grid)
