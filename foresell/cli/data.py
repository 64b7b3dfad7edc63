"""The verbs on datasets: import them, look at them."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table as Grid

from features.ingest.validation import ImportReport
from foresell.cli.edge import DATASET, JSON, NAME, data, settings, show, verb
from foresell.progress import console

# A person looks at so many; a program reads all of them with --json.
_GROUPS_SHOWN = 50


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
    from foresell import importing as imports

    report = imports.import_source(settings(), source, if_missing=if_missing)
    if as_json:
        show(report.to_json() if report else {"dataset": source, "tables": {}})
    elif report is not None:
        _print_report(report)


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
def show_dataset(name: NAME, as_json: JSON = False) -> None:
    """Show tables, dates, models that can run. Example: `foresell data show complete-journey`."""
    from foresell import status as overview

    found = overview.describe_dataset(settings(), name)
    if as_json:
        show(found)
        return
    console.print(
        f"[bold]{name}[/] snapshot {found['snapshot']}, {found['first']} to {found['last']}"
    )
    personal = found["personal"]
    if personal["pseudonymised"]:
        console.print("customers stand under pseudonyms; foresell data pseudonym ID finds one")
    if personal["customers_asked"] is not None:
        agreed, asked = personal["customers_consenting"], personal["customers_asked"]
        console.print(f"{agreed:,} of {asked:,} customers consent; the others are anonymous here")
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
    if found["grains"]:
        grid = Grid("demand's grain", "series", "of it noise", "")
        for one in found["grains"]:
            default = "by default" if one["default"] else ""
            grid.add_row(one["grain"], f"{one['series']:,}", f"{one['noise_floor']:.0%}", default)
        console.print(grid)


@data.command("identity")
@verb
def identity(
    name: NAME,
    undo: Annotated[
        str | None,
        typer.Option(help="links to take out of force: source=F, id=X, or a kind=VALUE"),
    ] = None,
    restore: Annotated[str | None, typer.Option(help="links to bring back, as for --undo")] = None,
    as_json: JSON = False,
) -> None:
    """Show which ids are one. Example: `foresell data identity my-shop --undo source=web.csv`."""
    from foresell import identities

    for what, undone in ((undo, True), (restore, False)):
        if what is not None:
            identities.change(settings(), name, what, undone=undone)
    found = identities.describe(settings(), name)
    if as_json:
        show(found)
        return
    for one in found:
        grid = Grid(one["column"], "stands for", "joined by", show_lines=True)
        groups = one["groups"]
        for group in groups[:_GROUPS_SHOWN]:
            grid.add_row(group["canonical_id"], ", ".join(group["ids"]), "; ".join(group["by"]))
        count = f"{one['links']:,} links, {len(groups):,} with several ids"
        console.print(f"[bold]{one['column']}[/]: {count}")
        if groups:
            console.print(grid)
        for odd in one["suspicious"]:
            what = f"{odd['kind']} = {odd['value']}" if odd["kind"] else "a chain of values"
            such = ", ".join(odd["examples"])
            console.print(
                escape(f"suspicious: {what} is shared by {odd['ids']:,} ids, such as {such}")
            )
        for said in one["undone"]:
            console.print(escape(f"undone: {', '.join(f'{k} = {v}' for k, v in said.items())}"))


@data.command("sketch")
@verb
def sketch_(
    files: Annotated[list[Path], typer.Argument(help="csv, parquet or xlsx files")],
    out: Annotated[Path | None, typer.Option(help="the mapping file to write")] = None,
) -> None:
    """Draft a mapping of files. Example: `foresell data sketch lines.csv --out shop.toml`."""
    from foresell import importing as imports

    text = imports.sketch_mapping(files, out)
    if out is None:
        sys.stdout.write(text)
    else:
        console.print(f"{out}: read it, mend it, then run `foresell data import {out}`")


@data.command("quarantine")
@verb
def quarantine(
    name: NAME,
    replay: Annotated[
        bool, typer.Option("--replay", help="read its rows again by the mapping as it stands now")
    ] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="rows that made the last import stop, instead")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Show what was kept out, and why. Example: `foresell data quarantine my-shop --replay`."""
    from features.ingest.quarantine import summary
    from foresell import importing as imports

    home = settings().home
    if replay:
        report = imports.replay_quarantine(settings(), name)
        if as_json:
            show(report.to_json())
        else:
            _print_report(report)
        return
    groups = summary(home, name, stopped=stopped)
    if as_json:
        rows = sum(group["rows"] for group in groups)
        show({"dataset": name, "rows": rows, "groups": groups})
        return
    grid = Grid("table", "rows", "reason", "column", "mapping", "such as", show_lines=True)
    for group in groups:
        line = f"line {group['mapping_line']}" if group["mapping_line"] else ""
        examples = [
            f"{one['file'] or ''} row {one['row']}: {one['value']!r}" for one in group["examples"]
        ]
        reason = f"{group['reason']} (dropped)" if group["dropped"] else group["reason"]
        cells = (group["table"], f"{group['rows']:,}", reason, group["column"], line)
        grid.add_row(*map(escape, (*cells, "\n".join(examples))))
    console.print(grid if groups else f"Nothing of {name} is in quarantine.")


@data.command("pseudonym")
@verb
def pseudonym(
    customer_id: Annotated[str, typer.Argument(help="as the source has it")],
    dataset: DATASET = None,
) -> None:
    """Print the id that a dataset knows a customer by. Example: `foresell data pseudonym 4711`."""
    from foresell import importing as imports

    sys.stdout.write(f"{imports.pseudonym(settings(dataset), customer_id)}\n")


def _print_report(report: ImportReport) -> None:
    """Show what became of each table's rows."""
    counts = ("read", "accepted", "replaced", "quarantined", "dropped", "duplicates")
    grid = Grid("table", *counts, "touched by a rule, or noted")
    for name, table in report.tables.items():
        remarks = {**table.touched, **table.noted}
        told = "; ".join(f"{rule}: {rows:,}" for rule, rows in remarks.items())
        grid.add_row(name, *(f"{getattr(table, count):,}" for count in counts), escape(told))
    console.print(grid)
    if any(table.quarantined for table in report.tables.values()):
        console.print(f"foresell data quarantine {report.dataset} shows what was kept out and why")
