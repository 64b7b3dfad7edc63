"""The verbs on datasets: import them, look at them."""

import sys
from typing import Annotated

import typer
from rich.table import Table as Grid

from foresell.cli.edge import JSON, data, settings, show, verb
from foresell.progress import console


@data.command("import")
@verb
def import_(
    source: Annotated[
        str, typer.Argument(help="a mapping file, or complete-journey, which is bundled")
    ],
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="do nothing where it is there already")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Bring records into a dataset. Example: `foresell data import my-shop.toml`."""
    from foresell import imports

    report = imports.import_source(settings(), source, if_missing=if_missing)
    if as_json:
        show(report.to_json() if report else {"dataset": source, "tables": {}})
    elif report is not None:
        grid = Grid("table", "read", "accepted", "quarantined", "duplicates", "touched by a rule")
        for name, table in report.tables.items():
            counts = (table.read, table.accepted, table.quarantined, table.duplicates)
            rules = "; ".join(f"{rule}: {rows}" for rule, rows in table.touched.items())
            grid.add_row(name, *(f"{count:,}" for count in counts), rules)
        console.print(grid)


@data.command("list")
@verb
def list_(as_json: JSON = False) -> None:
    """Name the datasets. Example: `foresell data list`."""
    from features.dataset import list_datasets

    names = list_datasets(settings().home)
    if as_json:
        show(names)
    else:
        sys.stdout.writelines(f"{name}\n" for name in names)


@data.command("show")
@verb
def show_dataset(name: str, as_json: JSON = False) -> None:
    """Show tables, dates, models that can run. Example: `foresell data show complete-journey`."""
    from foresell import overview

    found = overview.describe_dataset(settings(), name)
    if as_json:
        show(found)
        return
    console.print(
        f"[bold]{name}[/] snapshot {found['snapshot']}, {found['first']} to {found['last']}"
    )
    grid = Grid("table", "rows", "columns")
    for table in found["tables"]:
        grid.add_row(table["name"], f"{table['rows']:,}", ", ".join(table["columns"]))
    console.print(grid)
    grid = Grid("model", "can run", "asked", "because / lacks", "would gain from", show_lines=True)
    for model in found["models"]:
        asked = f"{model['horizon_days']} days ahead" if model["horizon_days"] else ""
        if model["grain"]:
            asked = f"{model['grain']}, {asked}"
        why = model["lacks"] or model["reason"]
        grid.add_row(model["model"], model["can_run"], asked, why, model["would_gain"])
    console.print(grid)
