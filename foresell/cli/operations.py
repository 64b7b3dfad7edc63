"""Commands of operation: the nightly job, the service, erasure and status."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from features.errors import Unavailable
from foresell.cli.edge import (
    DATASET,
    FOLDS,
    JSON,
    MODEL,
    MODELS,
    YES,
    app,
    cell,
    confirm,
    exit_codes,
    make_grid,
    settings,
    show,
)
from foresell.progress import console


@app.command()
@exit_codes
def retrain(
    dataset: DATASET = None,
    folds: FOLDS = None,
    only: Annotated[str, typer.Option(help=f"one of {MODELS}, or all")] = "all",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would run and why; change nothing")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Run the nightly job: import, train, gate, publish. Example: `foresell retrain`.

    Prints one line; reports are below the home, in `datasets/NAME/retraining/reports`. Exit code 4
    if the gate refused a model, 3 if some models failed, 1 if all did, 5 if the import failed, 6
    if another job runs, 7 if there is nothing to publish.
    """
    from foresell import jobs
    from training.retraining.report import BUSY

    chosen = settings(dataset)
    if dry_run:
        rows = jobs.plan_retraining(chosen, folds=folds, only=only)
        if as_json:
            show(rows)
        else:
            grid = make_grid("step", "action", "reason")
            for row in rows:
                grid.add_row(*map(escape, row.values()))
            console.print(grid)
        return
    try:
        report = jobs.retrain(chosen, folds=folds, only=only)
    except Unavailable as error:
        console.print(f"[red]{escape(error.message)}[/]", soft_wrap=True)
        raise typer.Exit(BUSY) from error
    if as_json:
        show(report.to_json())
    else:
        grid = make_grid("model", "version", "outcome", "reason")
        for outcome in report.outcomes:
            version = outcome.version or ""
            grid.add_row(outcome.task, version, outcome.state, escape(outcome.reason))
        console.print(grid)
        if report.imports is not None:
            _print_imports(report.imports.to_json())
        if report.import_failure is not None:
            console.print(f"[red]{escape(report.import_failure)}[/]", soft_wrap=True)
        typer.echo(report.summary)
    raise typer.Exit(report.exit_code)


@app.command()
@exit_codes
def promote(
    model: Annotated[str, typer.Argument(help=f"one of {MODELS}")],
    version: Annotated[int, typer.Argument(min=1, help="its number in the registry")],
    force: Annotated[
        bool, typer.Option("--force", help="even if the gate refused it, or never saw it")
    ] = False,
    reason: Annotated[str, typer.Option(help="recorded in the run of the version")] = "",
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Make a version the champion and serve it. Example: `foresell promote churn 3`.

    A version that did not pass the gate needs `--force` and `--reason`.
    """
    from foresell import promotion

    rows = promotion.promote(settings(dataset), model, version, force=force, reason=reason)
    _print_champions(rows, as_json=as_json)


@app.command()
@exit_codes
def serve(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="port to listen on; FORESELL_PORT by default"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="serving processes; FORESELL_WORKERS by default")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="address to listen on; FORESELL_HOST by default")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="the dataset; by default the published one")
    ] = None,
    try_it: Annotated[
        bool, typer.Option("--try", help="send each model a request and print the response")
    ] = False,
    train: Annotated[
        bool,
        typer.Option("--train", help="meanwhile train what is missing; models answer when ready"),
    ] = False,
) -> None:
    """Serve over HTTP until interrupted. Example: `foresell serve --port 3000`."""
    from foresell import serving_job

    given = {"port": port, "workers": workers, "host": host}
    chosen = settings(dataset).model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    raise typer.Exit(serving_job.serve(chosen, try_it=try_it, train=train))


@app.command()
@exit_codes
def rollback(
    model: MODEL,
    to: Annotated[
        int | None, typer.Option(min=1, help="number in the registry; else the former champion")
    ] = None,
    reason: Annotated[str, typer.Option(help="recorded in the run of the replaced version")] = "",
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Serve the former champion of a model again. Example: `foresell rollback churn`."""
    from foresell import promotion

    rows = promotion.rollback(settings(dataset), model, number=to, reason=reason)
    _print_champions(rows, as_json=as_json)


def _print_champions(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print which versions are champions now, and what is served."""
    if as_json:
        show(rows)
        return
    for row in rows:
        console.print(f"{row['champion']} is champion instead of {row['replaced'] or 'none'}")
    console.print(f"served: {rows[0]['published']}")


@app.command()
@exit_codes
def forget(
    customer_id: Annotated[
        str, typer.Argument(help="id as in the source (with the key set), or as stored")
    ],
    dataset: Annotated[str | None, typer.Option(help="one dataset; all by default")] = None,
    yes: YES = False,
    as_json: JSON = False,
) -> None:
    """Erase a customer everywhere, for good. Example: `foresell forget 4711`.

    Their sales stay, anonymously. Exit code 1 if the question is not answered with yes, 2 if no
    dataset knows the customer.
    """
    from foresell import forget as forgetting

    names = ", ".join(forgetting.find(settings(), customer_id, dataset))
    confirm(f"Erase customer {customer_id} for good from {names}?", yes=yes)
    rows = forgetting.forget(settings(), customer_id, dataset)
    if as_json:
        show(rows)
        return
    grid = make_grid(
        "dataset",
        "order lines made anonymous",
        "customer rows",
        "touchpoints",
        "older snapshots cleaned",
        "quarantined rows blanked",
        "events",
        "was served",
        "forgotten before",
    )
    for row in rows:
        grid.add_row(*(cell(value) for value in row.values()))
    console.print(grid)


@app.command()
@exit_codes
def status(
    dataset: DATASET = None,
    check: Annotated[bool, typer.Option("--check", help="print only checks that fail")] = False,
    as_json: JSON = False,
) -> None:
    """Show champions, their age, what is served, and checks. Example: `foresell status`.

    Exit code 1 if a check fails.
    """
    from foresell import status as overview

    state = overview.status(settings(dataset))
    failing = [row for row in state["checks"] if not row["ok"]]
    if as_json:
        show(failing if check else state)
    elif check:
        _print_checks(failing)
    else:
        _print_status(state)
    if failing:
        raise typer.Exit(1)


def _print_status(state: dict[str, Any]) -> None:
    """Print champions, sources and checks."""
    grid = make_grid("model", "champion", "as of", "age in days", "primary by fold", "served")
    columns = ("model", "champion", "as_of", "age_days", "primary", "served")
    for champion in state["champions"]:
        grid.add_row(*(str(champion[name]) for name in columns))
    console.print(
        f"dataset {state['dataset']}, snapshot {state['snapshot']}, ends {state['data_end']}"
    )
    console.print(grid)
    for champion in state["champions"]:
        style = "yellow" if champion["behind"] or not champion["judged"] else "dim"
        console.print(champion["standing"], style=style, soft_wrap=True, markup=False)
    _print_imports(state["imports"])
    _print_checks(state["checks"])


def _print_checks(checks: list[dict[str, Any]]) -> None:
    for check in checks:
        mark = "[green]✓[/]" if check["ok"] else "[red]✗[/]"
        console.print(f"{mark} {escape(check['check'])}: {escape(check['detail'])}")


def _print_imports(imports: dict[str, Any]) -> None:
    """Print the newest record of each source, and the number of quarantined rows."""
    if imports["sources"]:
        grid = make_grid("table", "source", "files", "newest record", "")
        for source in imports["sources"]:
            late = f"{source['days_late']} days late" if source["days_late"] else ""
            texts = (source["table"], source["source"], str(source["files"]))
            grid.add_row(*map(escape, texts), source["newest"] or "", late)
        console.print(grid)
    for table, rows in imports["quarantined"].items():
        console.print(f"{table}: {rows:,} rows in quarantine")
