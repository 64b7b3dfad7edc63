"""The command line: one function a verb, each calling one function of one package.

Results go to standard output, progress and errors to standard error. Exit code 0 only when
what is said to be done is done; 2 for a user's mistake, in one sentence.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from features.errors import ForesellError
from foresell.progress import console
from foresell.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data = typer.Typer(no_args_is_help=True, help="Datasets: import them, look at them.")
app.add_typer(data, name="data")

MODEL = Annotated[str, typer.Argument(help="demand, churn, next-purchase, recommender or all")]
DATASET = Annotated[str | None, typer.Option(help="the dataset; FORESELL_DATASET by default")]
AS_OF = Annotated[str | None, typer.Option(help="ISO instant; everything before it is known")]
FOLDS = Annotated[int | None, typer.Option(min=1, help="rolling origins of the backtest")]
GRAIN = Annotated[str | None, typer.Option(help="demand's grain, such as product:week")]
JSON = Annotated[bool, typer.Option("--json", help="print results as JSON")]


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a user's mistake into one sentence and exit code 2, an interrupt into 130."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ForesellError as error:
            console.print(f"[red]{error.message}[/]", markup=True, soft_wrap=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            console.print("Interrupted; what was finished is kept.")
            raise typer.Exit(130) from None

    return wrapped


@app.callback()
def edge() -> None:
    """Forecasts, churn, next purchases and recommendations from a retailer's own records."""
    threads = str(Settings().threads)
    for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(variable, threads)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads that wait must not spin: on a machine with other work, two spinning threads
    # take many times as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def settings(dataset: str | None = None) -> Settings:
    """Read the options, with the dataset that was asked for."""
    found = Settings()
    return found if dataset is None else found.model_copy(update={"dataset": dataset})


def show(value: Any) -> None:
    """Print a result as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


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
    grid = Grid("model", "can run", "lacks", "would gain from")
    for model in found["models"]:
        grid.add_row(model["model"], model["can_run"], model["lacks"], model["would_gain"])
    console.print(grid)


@app.command()
@verb
def train(
    model: MODEL,
    dataset: DATASET = None,
    as_of: AS_OF = None,
    folds: FOLDS = None,
    grain: GRAIN = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="only what has no champion on today's data yet")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Fit, judge, log, register, promote and publish. Example: `foresell train all`."""
    from foresell import jobs

    rows = jobs.train(
        settings(dataset), model, as_of=as_of, folds=folds, grain=grain, if_missing=if_missing
    )
    if as_json:
        show(rows)
        return
    grid = Grid("version", "metric", "foresell", "best baseline", "", "ratio", "cpu s")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row.values()))
    if rows:
        console.print(grid)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@app.command()
@verb
def evaluate(
    model: MODEL,
    dataset: DATASET = None,
    folds: FOLDS = None,
    as_of: AS_OF = None,
    grain: GRAIN = None,
    as_json: JSON = False,
) -> None:
    """Backtest against all baselines. Example: `foresell evaluate churn --folds 3 --json`."""
    from foresell import jobs

    reports = jobs.evaluate(settings(dataset), model, folds=folds, as_of=as_of, grain=grain)
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
            row["model"], str(row["trials"]), _cell(row["default"]), _cell(row["best"]), options
        )
    console.print(grid)


@app.command()
@verb
def score(
    model: Annotated[str, typer.Argument(help="demand, churn, next-purchase or recommender")],
    out: Annotated[Path, typer.Option(help="the Parquet file to write")],
    as_of: AS_OF = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="days ahead")] = None,
    dataset: DATASET = None,
    grain: GRAIN = None,
) -> None:
    """Write batch predictions. Example: `foresell score churn --as-of 2017-12-01 --out F`."""
    from foresell import jobs

    rows = jobs.score(settings(dataset), model, out, as_of=as_of, horizon=horizon, grain=grain)
    console.print(f"{rows:,} rows in {out}")


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
    port: Annotated[int | None, typer.Option(help="port to listen on")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="serving processes")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    dataset: DATASET = None,
    try_it: Annotated[
        bool, typer.Option("--try", help="once ready, ask each endpoint and print the answers")
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
def status(dataset: DATASET = None, as_json: JSON = False) -> None:
    """Show champions, what is served, how old it is, and checks. Example: `foresell status`."""
    from foresell import overview

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
        mark = "[green]ok[/]" if check["ok"] else "[red]no[/]"
        console.print(f"{mark} {check['check']}: {check['detail']}")


if __name__ == "__main__":
    app()
