"""The verbs on models: train, evaluate and tune them, write what they predict."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid

from foresell.cli.edge import (
    AS_OF,
    DATASET,
    FOLDS,
    GRAIN,
    HORIZON,
    JSON,
    MODEL,
    MODELS,
    app,
    cell,
    settings,
    show,
    verb,
)
from foresell.progress import console


@app.command()
@verb
def train(
    model: MODEL,
    dataset: DATASET = None,
    as_of: AS_OF = None,
    folds: Annotated[
        int | None,
        typer.Option(min=1, help="rolling origins to judge on; FORESELL_TRAIN_FOLDS by default"),
    ] = None,
    grain: GRAIN = None,
    horizon: HORIZON = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="only what no champion on today's data answers yet")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Fit, judge, log, register, promote and publish. Example: `foresell train all`."""
    from foresell import jobs

    rows = jobs.train(
        settings(dataset),
        model,
        as_of=as_of,
        folds=folds,
        grain=grain,
        horizon=horizon,
        if_missing=if_missing,
    )
    if as_json:
        show(rows)
        return
    grid = Grid("version", "metric", "foresell", "best baseline", "", "ratio", "cpu s")
    for row in rows:
        grid.add_row(*(cell(value) for value in row.values()))
    if rows:
        console.print(grid)


@app.command()
@verb
def evaluate(
    model: MODEL,
    dataset: DATASET = None,
    folds: FOLDS = None,
    as_of: AS_OF = None,
    grain: GRAIN = None,
    horizon: HORIZON = None,
    as_json: JSON = False,
) -> None:
    """Backtest against all baselines. Example: `foresell evaluate churn --folds 3 --json`."""
    from foresell import jobs

    reports = jobs.evaluate(
        settings(dataset), model, folds=folds, as_of=as_of, grain=grain, horizon=horizon
    )
    if as_json:
        show([row for report in reports for row in report.rows.to_dicts()])
        return
    for report in reports:
        grid = Grid("method", report.task.primary, "folds", "foresell / it", "cpu s")
        for row in report.summary().to_dicts():
            folds_ = " ".join(f"{value:.4f}" for value in row["folds"])
            seconds = f"{report.seconds[row['method']]:.1f}"
            ratio = f"{row['foresell_ratio']:.3f}"
            grid.add_row(row["method"], f"{row['value']:.4f}", folds_, ratio, seconds)
        console.print(f"[bold]{report.task.name}[/], slice {report.task.primary_slice}")
        console.print(grid)
        floor = report.mean("wape_noise_floor")
        if floor is not None:
            console.print(f"[dim]noise alone, were every rate known: {floor:.4f}[/]")
        if report.task.note:
            console.print(f"[dim]{report.task.note}[/]")


@app.command()
@verb
def tune(
    model: MODEL,
    trials: Annotated[int, typer.Option(min=1, help="trials to add to the study")] = 20,
    dataset: DATASET = None,
    as_json: JSON = False,
) -> None:
    """Look for better options; resumable. Example: `foresell tune churn --trials 20`."""
    from foresell import jobs

    found = jobs.tune(settings(dataset), model, trials=trials)
    if as_json:
        show(found)
        return
    grid = Grid("model", "trials", "default", "best", "best options")
    for row in found:
        options = ", ".join(f"{name}={value:.4g}" for name, value in row["params"].items())
        grid.add_row(
            row["model"], str(row["trials"]), cell(row["default"]), cell(row["best"]), options
        )
    console.print(grid)


@app.command()
@verb
def score(
    model: Annotated[str, typer.Argument(help=MODELS)],
    out: Annotated[Path, typer.Option(help="the file to write, .parquet or .csv")],
    as_of: AS_OF = None,
    horizon: HORIZON = None,
    dataset: DATASET = None,
    grain: GRAIN = None,
    by: Annotated[
        str | None, typer.Option(help="`category`: next-purchase a customer and category")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="demand under another plan: a CSV of product_id, kind, from_date, ..."),
    ] = None,
    totals: Annotated[
        str | None, typer.Option(help="demand of departments, ...: department,location,all")
    ] = None,
    quantiles: Annotated[
        str | None, typer.Option(help="levels of demand, such as 0.1,0.5,0.975")
    ] = None,
    series: Annotated[
        Path | None,
        typer.Option(help="demand of these series, sold yet or not: a CSV of the grain's columns"),
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="what forecasts of steady sellers are made of")
    ] = False,
    anomalies: Annotated[
        bool, typer.Option("--anomalies", help="recent periods that sold not as expected")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            help="recommender's list: for_you, this_month, buy_again, new_to_you or popular; "
            "of products: similar, together or customers_for_product"
        ),
    ] = None,
) -> None:
    """Write batch predictions. Example: `foresell score churn --as-of 2017-12-01 --out F.parquet`.

    Of demand also: `foresell score demand --plan plan.csv --out F.csv`, `--totals department,all`,
    `--series wanted.csv`, `--why`, `--anomalies`. Of the recommender:
    `foresell score recommender --kind buy_again`.
    """
    from foresell import forecast_options as demand
    from foresell import scoring

    if by is not None:
        model = scoring.by(model, by)
    question = demand.asked(
        model,
        plan=plan,
        totals=totals,
        why=why,
        anomalies=anomalies,
        quantiles=quantiles,
        series=series,
    )
    lists = scoring.listed(model, kind)
    rows = scoring.score(
        settings(dataset),
        model,
        out,
        as_of=as_of,
        horizon=horizon,
        grain=grain,
        answer=question or lists,
    )
    console.print(f"{rows:,} rows in {out}")
