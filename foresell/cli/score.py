"""Command that writes batch predictions. Flags of one task alone are options of that task."""

from pathlib import Path
from typing import Annotated

import typer

from foresell.cli.edge import AS_OF, DATASET, GRAIN, HORIZON, MODELS, app, exit_codes, settings
from foresell.progress import console

MODEL = Annotated[str, typer.Argument(help=MODELS)]
OUT = Annotated[
    Path, typer.Option(help="a file, .parquet or .csv, or a folder for parts of Parquet")
]
BY = Annotated[str | None, typer.Option(help="next-purchase by customer and this key: `category`")]
PLAN = Annotated[
    Path | None,
    typer.Option(help="demand under another plan: a CSV of product_id, kind, from_date, ..."),
]
PLAN_KNOWN_UNTIL = Annotated[
    str | None, typer.Option(help="ISO date of the last day for which --plan is complete")
]
TOTALS = Annotated[
    str | None, typer.Option(help="totals of demand by level: department,location,all")
]
RUNNING = Annotated[
    bool, typer.Option("--running", help="totals of all periods from the first up to each")
]
QUANTILES = Annotated[str | None, typer.Option(help="levels of demand, such as 0.1,0.5,0.975")]
SERIES = Annotated[
    Path | None,
    typer.Option(help="demand of these series, sold yet or not: a CSV of the grain's columns"),
]
EXPLAIN = Annotated[
    bool, typer.Option("--explain", help="contributions to demand of steady sellers")
]
ANOMALIES = Annotated[bool, typer.Option("--anomalies", help="recent periods of unexpected demand")]
FORMAT = Annotated[
    str | None,
    typer.Option("--format", help="demand as nixtla: unique_id, ds, Foresell, Foresell-lo-80, ..."),
]
LIST = Annotated[
    str | None,
    typer.Option(
        "--list",
        help="recommender's list: for_you, this_month, buy_again, new_to_you or popular; "
        "of products: similar, together or customers_for_product",
    ),
]


@app.command()
@exit_codes
def score(
    model: MODEL,
    out: OUT,
    as_of: AS_OF = None,
    horizon: HORIZON = None,
    dataset: DATASET = None,
    grain: GRAIN = None,
    by: BY = None,
    plan: PLAN = None,
    plan_known_until: PLAN_KNOWN_UNTIL = None,
    totals: TOTALS = None,
    running: RUNNING = False,
    quantiles: QUANTILES = None,
    series: SERIES = None,
    explain: EXPLAIN = False,
    anomalies: ANOMALIES = False,
    format_name: FORMAT = None,
    list_name: LIST = None,
    model_version: Annotated[
        int | None, typer.Option(min=1, help="number in the registry; else trained as of --as-of")
    ] = None,
    part_size: Annotated[
        int, typer.Option(min=1, help="customers or series in a part of a folder")
    ] = 50_000,
) -> None:
    """Write batch predictions. Example: `foresell score churn --as-of 2017-12-01 --out F.parquet`.

    Of demand also: `foresell score demand --plan plan.csv --out F.csv`, `--totals department,all`,
    `--series wanted.csv`, `--format nixtla`, `--explain`, `--anomalies`. Of the recommender:
    `foresell score recommender --list buy_again`. A folder, `--out predictions`, gets parts below
    `as_of=.../version=...`; run again after an interruption, it gets the missing ones.
    """
    from foresell import scoring

    flags = {
        "grain": grain,
        "by": by,
        "plan": plan,
        "plan_known_until": plan_known_until,
        "totals": totals,
        "running": running,
        "quantiles": quantiles,
        "series": series,
        "explain": explain,
        "anomalies": anomalies,
        "format_name": format_name,
        "list_name": list_name,
    }
    options = scoring.score_options(model, flags)
    written, rows = scoring.score(
        settings(dataset),
        model,
        out,
        as_of=as_of,
        horizon=horizon,
        options=options,
        model_version=model_version,
        part_size=part_size,
    )
    console.print(f"{rows:,} rows in {written}")
