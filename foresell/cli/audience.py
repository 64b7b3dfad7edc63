"""The verbs of campaigns: whom to reach, and what kinds of customers there are."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from foresell.cli.edge import AS_OF, DATASET, JSON, app, cell, settings, show, verb
from foresell.progress import console

SHOWN = 10


@app.command()
@verb
def audience(
    where: Annotated[
        str, typer.Argument(help="a condition; an unknown field is answered with those there are")
    ],
    out: Annotated[
        Path | None, typer.Option(help="the file to write, .parquet or .csv; else ten are shown")
    ] = None,
    value: Annotated[
        str | None, typer.Option(help="what a customer is worth; value_90 by default")
    ] = None,
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Choose whom a campaign reaches, from what is published.

    Example: `foresell audience "churn_probability > 0.4 and value_90 > 200" --out F.csv`.
    """
    from foresell import audience as audiences
    from foresell import output as rows_out

    found, instants = audiences.find(settings(dataset), where, value)
    others = {name: instant for name, instant in instants.items() if name != "churn"}
    summary: dict[str, Any] = {
        "where": where,
        "as_of": instants["churn"].isoformat(),
        "models_as_of": {name: instant.isoformat() for name, instant in others.items()},
        "size": found.customers.height,
        "expected_loss": found.expected_loss,
        "value": found.worth,
        "unsure": found.unsure,
    }
    if out is not None:
        rows_out.write(found.customers, out)
        summary["out"] = str(out)
    if as_json:
        show(summary if out else summary | {"customers": found.customers.to_dicts()})
        return
    lost = "no value is published"
    if found.expected_loss is not None:
        lost = f"expected loss {found.expected_loss:,.0f} of {found.worth}"
    console.print(f"{found.customers.height:,} customers, {lost}, unsure of {found.unsure:,}")
    for name, instant in others.items():
        console.print(
            f"{name} answers as of {instant:%Y-%m-%d}, churn as of {instants['churn']:%Y-%m-%d}"
        )
    if out is not None:
        console.print(f"written to {out}", soft_wrap=True)
        return
    columns = [name for name in found.customers.columns if name != "explanations"]
    grid = Grid(*columns)
    for row in found.customers.head(SHOWN).select(columns).iter_rows():
        grid.add_row(*(cell(one) for one in row))
    console.print(grid)


@app.command()
@verb
def segments(dataset: DATASET = None, as_of: AS_OF = None, as_json: JSON = False) -> None:
    """Count customers by stage, RFM segment and cluster. Example: `foresell segments`."""
    from foresell import audience as audiences

    found = audiences.segments(settings(dataset), as_of)
    if as_json:
        show(found)
        return
    for name in ("stage", "rfm_segment", "cluster"):
        grid = Grid(name, "customers", "share")
        for row in found[name]:
            share = row["customers"] / max(found["customers"], 1)
            grid.add_row(row[name], f"{row['customers']:,}", f"{share:.1%}")
        console.print(grid)
    grid = Grid("clusters compared with", "customers", "adjusted Rand", "stayed")
    for row in found["stability"]:
        rand, stayed = f"{row['adjusted_rand']:.2f}", f"{row['stayed']:.1%}"
        grid.add_row(row["as_of"][:10], f"{row['customers']:,}", rand, stayed)
    console.print(grid)
