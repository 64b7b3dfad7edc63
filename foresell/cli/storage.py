"""Commands on what is stored: look at runs and verify them, back up, restore and prune."""

import os
from pathlib import Path
from typing import Annotated

import typer

from foresell.cli.edge import DATASET, JSON, app, exit_codes, make_grid, settings, show
from foresell.progress import console


@app.command()
@exit_codes
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 5000,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
) -> None:
    """Open MLflow's interface of runs and models until interrupted. Example: `foresell ui`."""
    from foresell.ui import command

    arguments, environment = command(settings(), host, port)
    console.print(f"MLflow on http://{host}:{port}; Ctrl-C ends it")
    os.execve(arguments[0], arguments, environment)  # noqa: S606


@app.command()
@exit_codes
def reproduce(
    run: Annotated[str, typer.Argument(help="id of a run, or a version such as churn/3")],
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Fit a version again and compare its files. Example: `foresell reproduce churn/3`.

    Exit code 1 if a file differs from the recorded one.
    """
    from foresell.reproduction import reproduce

    result = reproduce(settings(dataset), run)
    if as_json:
        show(result.to_json())
    else:
        for remark in result.remarks:
            console.print(f"[yellow]{remark}[/]", soft_wrap=True)
        count = len(result.same) + len(result.differing)
        console.print(f"{result.version}: {len(result.same)} of {count} files are the same")
        for name in result.differing:
            console.print(f"[red]differs: {name}[/]")
    if result.differing:
        raise typer.Exit(1)


@app.command()
@exit_codes
def backup(
    out: Annotated[Path, typer.Argument(help="the file to write, or a folder for a dated file")],
    as_json: JSON = False,
) -> None:
    """Write home and runs to one archive. Example: `foresell backup /backups`."""
    from foresell.backup import backup

    path, record = backup(settings(), out)
    if as_json:
        show({"file": str(path), "files": len(record.files), "bytes": record.size})
        return
    console.print(f"{len(record.files):,} files, {record.size / 1e6:,.0f} MB in {path}")
    for variable in ("FORESELL_TRACKING_URL", "FORESELL_EVENTS_URL"):
        if variable in os.environ:
            console.print(f"[yellow]The database of {variable} is not in it; use pg_dump.[/]")


@app.command()
@exit_codes
def prune(
    keep: Annotated[
        int, typer.Option(min=1, help="the newest that stay, of a dataset or a model")
    ] = 5,
    older_than: Annotated[int, typer.Option(min=0, help="days within which everything stays")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="remove nothing")] = False,
    as_json: JSON = False,
) -> None:
    """Remove old versions, models and snapshots. Example: `foresell prune --dry-run`.

    What is served stays, and so do champions, their predecessors and challengers, and the
    snapshots of all versions that stay.
    """
    from foresell.prune import prune

    rows = prune(settings(), keep=keep, older_than_days=older_than, dry_run=dry_run)
    if as_json:
        show(rows)
        return
    grid = make_grid("dataset", "kind", "name", "created")
    for row in rows:
        grid.add_row(row["dataset"], row["kind"], row["name"], f"{row['created']:%Y-%m-%d}")
    console.print(grid if rows else "Nothing is old enough to be removed.")
    if rows and dry_run:
        console.print("Nothing was removed (--dry-run).")


@app.command()
@exit_codes
def restore(
    file: Annotated[Path, typer.Argument(help="an archive of `foresell backup`")],
    force: Annotated[
        bool, typer.Option("--force", help="replace a home and runs that are not empty")
    ] = False,
) -> None:
    """Replace home and runs by an archive, once verified. Example: `foresell restore F.tar`."""
    from foresell.backup import restore

    chosen = settings()
    record = restore(chosen, file, force=force)
    console.print(
        f"{len(record.files):,} files of {record.created:%Y-%m-%d %H:%M} are restored to "
        f"{chosen.home} and {chosen.mlruns}"
    )
