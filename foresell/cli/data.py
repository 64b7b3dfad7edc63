"""Commands on datasets: import and inspect them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from foresell.cli.edge import (
    DATASET,
    JSON,
    NAME,
    YES,
    confirm,
    data,
    exit_codes,
    make_grid,
    settings,
    show,
)
from foresell.progress import console

if TYPE_CHECKING:
    from features.ingest.report import ImportReport
    from features.ingest.source_plan import Mode

# The rest is in the output of --json.
_GROUPS_SHOWN = 50


@data.command("import")
@exit_codes
def import_(
    source: Annotated[str, typer.Argument(help="a mapping file, or the bundled complete-journey")],
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="do nothing if the dataset exists")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="remove all stored rows, and read the sources again")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="keep rows that a former version of the mapping read")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Bring records into a dataset. Example: `foresell data import my-shop.toml`."""
    from features.errors import InvalidInput
    from foresell import importing as imports

    if rebuild and keep:
        raise InvalidInput("--rebuild removes the rows that --keep keeps; give one.", field="keep")
    mode: Mode = "rebuild" if rebuild else "keep" if keep else "replace"
    report = imports.import_source(settings(), source, if_missing=if_missing, mode=mode)
    if as_json:
        show(report.to_json() if report else {"dataset": source, "tables": {}})
    elif report is not None:
        _print_report(report)


@data.command("list")
@exit_codes
def list_(as_json: JSON = False) -> None:
    """List the datasets with their dates and rows. Example: `foresell data list`.

    The table goes to standard error; the names alone go to a file or pipe.
    """
    from foresell import status as overview

    rows = overview.list_datasets(settings())
    if as_json:
        show(rows)
        return
    grid = make_grid("dataset", "first", "last", "records", "rows", "snapshot")
    for row in rows:
        dates = (row["first"], row["last"], row["records"])
        grid.add_row(row["dataset"], *dates, f"{row['rows']:,}", row["snapshot"])
    console.print(grid if rows else "There is no dataset yet; run `foresell data import`.")
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{row['dataset']}\n" for row in rows)


@data.command("remove")
@exit_codes
def remove(
    name: NAME,
    yes: YES = False,
    unpublish: Annotated[
        bool, typer.Option("--unpublish", help="withdraw its published versions too")
    ] = False,
) -> None:
    """Remove a dataset for good. Example: `foresell data remove my-shop`.

    Exit code 1 if the question is not answered with yes, 2 if the dataset is published.
    """
    from foresell import removal

    chosen = settings()
    removal.check(chosen, name, unpublish=unpublish)
    confirm(f"Remove dataset {name}: records, quarantine and stored mapping?", yes=yes)
    removal.remove(chosen, name, unpublish=unpublish)
    console.print(f"{name} is removed")


@data.command("show")
@exit_codes
def show_dataset(name: NAME, as_json: JSON = False) -> None:
    """Show tables, dates, models that can run. Example: `foresell data show complete-journey`."""
    from foresell import status as overview

    description = overview.describe_dataset(settings(), name)
    if as_json:
        show(description)
        return
    console.print(
        f"[bold]{name}[/] snapshot {description['snapshot']}, "
        f"{description['first']} to {description['last']}"
    )
    personal = description["personal"]
    if personal["pseudonymised"]:
        console.print("customers have pseudonyms; foresell data pseudonym ID prints one")
    if personal["customers_asked"] is not None:
        consenting, total = personal["customers_consenting"], personal["customers_asked"]
        console.print(f"{consenting:,} of {total:,} customers consent; the others are anonymous")
    grid = make_grid("table", "rows", "columns")
    for table in description["tables"]:
        grid.add_row(table["name"], f"{table['rows']:,}", ", ".join(table["columns"]))
    console.print(grid)
    if description["prices"] == "paid":
        console.print(
            "no table of prices: for plans of prices, the median paid per product, location and "
            "day stands in for it"
        )
    shown = (_holidays_in_words(**row) for row in description["holidays"])
    console.print(f"public holidays of {', '.join(shown)}")
    _print_abilities(description["models"])
    if description["grains"]:
        grid = make_grid("grain of demand", "series", "noise", "")
        for row in description["grains"]:
            default = "default" if row["default"] else ""
            grid.add_row(row["grain"], f"{row['series']:,}", f"{row['noise_floor']:.0%}", default)
        console.print(grid)


def _holidays_in_words(calendar: str, locations: int, *, of_settings: bool) -> str:
    """Name a calendar of public holidays, and at how many locations it holds."""
    source = " (FORESELL_COUNTRY)" if of_settings else ""
    number = f" at {locations:,} location{'' if locations == 1 else 's'}" if locations else ""
    return f"{calendar}{source}{number}"


def _print_abilities(models: list[dict[str, Any]]) -> None:
    """Print which models can run, with their options, or what they lack."""
    grid = make_grid(
        "model", "can run", "options", "reason / lacks", "would gain from", show_lines=True
    )
    for model in models:
        options = f"{model['horizon_days']} days ahead" if model["horizon_days"] else ""
        if model["grain"]:
            options = f"{model['grain']}, {options}"
        reason = model["lacks"] or model["reason"]
        grid.add_row(model["model"], model["can_run"], options, reason, model["would_gain"])
    console.print(grid)


@data.command("identity")
@exit_codes
def identity(
    name: NAME,
    undo: Annotated[
        str | None,
        typer.Option(help="links to undo: source=F, id=X, or a kind=VALUE"),
    ] = None,
    restore: Annotated[
        str | None, typer.Option(help="undone links to restore, as for --undo")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Show linked ids. Example: `foresell data identity my-shop --undo source=web.csv`."""
    from foresell import identities

    for selector, undone in ((undo, True), (restore, False)):
        if selector is not None:
            identities.change(settings(), name, selector, undone=undone)
    rows = identities.describe(settings(), name)
    if as_json:
        show(rows)
        return
    for row in rows:
        _print_identity(row)


def _print_identity(row: dict[str, Any]) -> None:
    """Print the linked ids of one column, what is suspicious and what is undone."""
    grid = make_grid(row["column"], "linked ids", "linked by", show_lines=True)
    groups = row["groups"]
    for group in groups[:_GROUPS_SHOWN]:
        grid.add_row(group["canonical_id"], ", ".join(group["ids"]), "; ".join(group["by"]))
    count = f"{row['links']:,} links, {len(groups):,} with several ids"
    console.print(f"[bold]{row['column']}[/]: {count}")
    if groups:
        console.print(grid)
    for odd in row["suspicious"]:
        value = f"{odd['kind']} = {odd['value']}" if odd["kind"] else "a chain of values"
        examples = ", ".join(odd["examples"])
        console.print(
            escape(f"suspicious: {value} is shared by {odd['ids']:,} ids, such as {examples}")
        )
    for rule in row["undone"]:
        console.print(escape(f"undone: {', '.join(f'{k} = {v}' for k, v in rule.items())}"))


@data.command("sketch")
@exit_codes
def sketch_(
    files: Annotated[list[Path], typer.Argument(help="csv, parquet or xlsx files")],
    out: Annotated[Path | None, typer.Option(help="the mapping file to write")] = None,
) -> None:
    """Draft a mapping of files. Example: `foresell data sketch lines.csv --out shop.toml`."""
    from foresell import importing as imports

    text = imports.draft_mapping(files, out)
    if out is None:
        sys.stdout.write(text)
    else:
        console.print(f"{out}: read and correct it, then run `foresell data import {out}`")


@data.command("quarantine")
@exit_codes
def quarantine(
    name: NAME,
    replay: Annotated[
        bool, typer.Option("--replay", help="read its rows again with the current mapping")
    ] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="show the rows that made the last import stop")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Show rejected rows and reasons. Example: `foresell data quarantine my-shop --replay`."""
    from features.ingest.quarantine import summarise_quarantine
    from foresell import importing as imports

    home = settings().home
    if replay:
        report = imports.replay_quarantine(settings(), name)
        if as_json:
            show(report.to_json())
        else:
            _print_report(report)
        return
    groups = summarise_quarantine(home, name, stopped=stopped)
    if as_json:
        rows = sum(group["rows"] for group in groups)
        show({"dataset": name, "rows": rows, "groups": groups})
        return
    grid = make_grid("table", "rows", "reason", "column", "mapping", "such as", show_lines=True)
    for group in groups:
        line = f"line {group['mapping_line']}" if group["mapping_line"] else ""
        examples = [
            f"{example['file'] or ''} row {example['row']}: {example['value']!r}"
            for example in group["examples"]
        ]
        reason = f"{group['reason']} (dropped)" if group["dropped"] else group["reason"]
        cells = (group["table"], f"{group['rows']:,}", reason, group["column"], line)
        grid.add_row(*map(escape, (*cells, "\n".join(examples))))
    console.print(grid if groups else f"Nothing of {name} is in quarantine.")


@data.command("pseudonym")
@exit_codes
def pseudonym(
    customer_id: Annotated[str, typer.Argument(help="id as in the source")],
    dataset: DATASET = None,
) -> None:
    """Print the pseudonym of a customer id. Example: `foresell data pseudonym 4711`."""
    from foresell import importing as imports

    sys.stdout.write(f"{imports.pseudonym(settings(dataset), customer_id)}\n")


def _print_report(report: "ImportReport") -> None:
    """Print how many rows of each table were read, accepted, quarantined and so on."""
    counts = ("read", "accepted", "replaced", "quarantined", "dropped", "duplicates")
    grid = make_grid("table", *counts, "touched by a rule, or noted")
    for name, table in report.tables.items():
        remarks = {**table.touched, **table.noted}
        text = "; ".join(f"{rule}: {rows:,}" for rule, rows in remarks.items())
        grid.add_row(name, *(f"{getattr(table, count):,}" for count in counts), escape(text))
    console.print(grid)
    for name, table in report.tables.items():
        if table.superseded:
            console.print(f"{name}: {table.superseded:,} stored rows were replaced as a whole")
    if any(table.quarantined for table in report.tables.values()):
        console.print(f"foresell data quarantine {report.dataset} shows rejected rows and reasons")
