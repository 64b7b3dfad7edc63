"""Commands of campaigns: choose an audience, count segments."""

from pathlib import Path
from typing import Annotated, Any

import typer

from foresell.cli.edge import AS_OF, DATASET, JSON, app, cell, exit_codes, make_grid, settings, show
from foresell.progress import console

ROWS_SHOWN = 10


@app.command()
@exit_codes
def audience(
    where: Annotated[
        str, typer.Argument(help="a condition; an unknown field lists the known ones")
    ],
    out: Annotated[
        Path | None, typer.Option(help="the file to write, .parquet or .csv; else ten are shown")
    ] = None,
    value: Annotated[
        str | None, typer.Option(help="field with a customer's value; value_90 by default")
    ] = None,
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Choose the customers of a campaign, from what is published.

    Example: `foresell audience "churn_probability > 0.4 and value_90 > 200" --out F.csv`.
    """
    from foresell import audience as audiences
    from foresell import output as rows_out

    chosen, instants = audiences.find(settings(dataset), where, value)
    others = {name: instant for name, instant in instants.items() if name != "churn"}
    summary: dict[str, Any] = {
        "where": where,
        "as_of": instants["churn"].isoformat(),
        "models_as_of": {name: instant.isoformat() for name, instant in others.items()},
        "size": chosen.customers.height,
        "expected_loss": chosen.expected_loss,
        "value": chosen.value_field,
        "unsure": chosen.unsure,
    }
    if out is not None:
        rows_out.write(chosen.customers, out)
        summary["out"] = str(out)
    if as_json:
        show(summary if out else summary | {"customers": chosen.customers.to_dicts()})
        return
    loss = "no value is published"
    if chosen.expected_loss is not None:
        loss = f"expected loss {chosen.expected_loss:,.0f} of {chosen.value_field}"
    console.print(f"{chosen.customers.height:,} customers, {loss}, unsure of {chosen.unsure:,}")
    for name, instant in others.items():
        console.print(
            f"{name} predicts as of {instant:%Y-%m-%d}, churn as of {instants['churn']:%Y-%m-%d}"
        )
    if out is not None:
        console.print(f"written to {out}", soft_wrap=True)
        return
    columns = [name for name in chosen.customers.columns if name != "explanations"]
    grid = make_grid(*columns)
    for row in chosen.customers.head(ROWS_SHOWN).select(columns).iter_rows():
        grid.add_row(*(cell(value) for value in row))
    console.print(grid)


@app.command()
@exit_codes
def segments(dataset: DATASET = None, as_of: AS_OF = None, as_json: JSON = False) -> None:
    """Count customers by stage, RFM segment and cluster. Example: `foresell segments`.

    Stages come from a churn model, which is trained unless one of the instant is registered.
    """
    from foresell import audience as audiences

    counts = audiences.segments(settings(dataset), as_of)
    if as_json:
        show(counts)
        return
    for name in ("stage", "rfm_segment", "cluster"):
        grid = make_grid(name, "customers", "share")
        for row in counts[name]:
            share = row["customers"] / max(counts["customers"], 1)
            grid.add_row(row[name], f"{row['customers']:,}", f"{share:.1%}")
        console.print(grid)
    grid = make_grid("clusters compared with", "customers", "adjusted Rand", "stayed")
    for row in counts["stability"]:
        rand, stayed = f"{row['adjusted_rand']:.2f}", f"{row['stayed']:.1%}"
        grid.add_row(row["as_of"][:10], f"{row['customers']:,}", rand, stayed)
    console.print(grid)
