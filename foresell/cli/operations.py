"""The verbs of operation: the nightly job, the service, how things stand."""

from typing import Annotated

import typer
from rich.table import Table as Grid

from foresell.cli.edge import DATASET, FOLDS, JSON, app, cell, settings, show, verb
from foresell.progress import console


@app.command()
@verb
def retrain(dataset: DATASET = None, folds: FOLDS = None, as_json: JSON = False) -> None:
    """Run the nightly job: import, train, gate, publish. Example: `foresell retrain`."""
    from foresell import jobs

    report = jobs.retrain(settings(dataset), folds=folds)
    if as_json:
        show(report.to_json())
        return
    grid = Grid("model", "version", "trained", "promoted", "why")
    for one in report.outcomes:
        grid.add_row(one.task, one.version or "", str(one.trained), str(one.promoted), one.reason)
    console.print(grid)
    console.print(f"served: {report.published}")


@app.command()
@verb
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
        str | None, typer.Option(help="the dataset; by default what is published")
    ] = None,
    try_it: Annotated[
        bool, typer.Option("--try", help="once ready, ask four endpoints and print the answers")
    ] = False,
) -> None:
    """Answer over HTTP until interrupted. Example: `foresell serve --port 3000`."""
    from foresell import jobs

    given = {"port": port, "workers": workers, "host": host}
    chosen = settings(dataset).model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    raise typer.Exit(jobs.serve(chosen, try_it=try_it))


@app.command()
@verb
def forget(
    customer_id: Annotated[
        str, typer.Argument(help="as the source has it (with the key set), or as it is stored")
    ],
    dataset: Annotated[str | None, typer.Option(help="only there; everywhere by default")] = None,
    as_json: JSON = False,
) -> None:
    """Erase a person everywhere, for good. Example: `foresell forget 4711`.

    Sales stay, as anonymous ones. Exit code 2 where nobody knows the customer.
    """
    from foresell import forget as forgetting

    rows = forgetting.forget(settings(), customer_id, dataset)
    if as_json:
        show(rows)
        return
    grid = Grid(
        "dataset",
        "order lines made anonymous",
        "customer rows",
        "touchpoints",
        "older snapshots cleaned",
        "quarantined rows blanked",
        "was served",
        "forgotten before",
    )
    for row in rows:
        grid.add_row(*(cell(value) for value in row.values()))
    console.print(grid)


@app.command()
@verb
def status(dataset: DATASET = None, as_json: JSON = False) -> None:
    """Show champions, what is served, how old it is, and checks. Example: `foresell status`."""
    from foresell import status as overview

    found = overview.status(settings(dataset))
    if as_json:
        show(found)
        return
    grid = Grid("model", "champion", "as of", "age in days", "primary by fold", "served")
    for one in found["champions"]:
        grid.add_row(*(str(value) for value in one.values()))
    console.print(
        f"dataset {found['dataset']}, snapshot {found['snapshot']}, ends {found['data_end']}"
    )
    console.print(grid)
    for check in found["checks"]:
        mark = "[green]✓[/]" if check["ok"] else "[red]✗[/]"
        console.print(f"{mark} {check['check']}: {check['detail']}")
