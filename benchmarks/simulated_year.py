"""A year of weekly jobs with planted faults: what monitoring reports, and when.

Bundled households are imported week by week as they were known then; the job imports, trains churn,
publishes and monitors. Some weeks arrive with a fault, which the next week's import corrects.

    python benchmarks/simulated_year.py [--households N] [--first DATE]
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from results import record

from features.calendar import to_day
from features.dataset import open_dataset
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.ingest.sources import complete_journey
from training.monitoring import checks
from training.registry import TASKS
from training.retraining.job import Job
from training.tracking import Tracker

WEEK = timedelta(days=7)
DATES = {"orders": "day", "touchpoints": "day", "promotions": "from_day"}
NAME = complete_journey.NAME


@dataclass(frozen=True)
class Fault:
    """A fault of the records of one week.

    Attributes
    ----------
    name, check
        What happens, and the check that should notice it.
    change
        (table, its rows, first day of the week) -> the rows with the fault.
    """

    name: str
    check: str
    change: Callable[[str, pl.DataFrame, int], pl.DataFrame]


def of_orders(**columns: pl.Expr) -> Callable[[str, pl.DataFrame, int], pl.DataFrame]:
    """Return a fault that changes columns of the week's orders."""

    def change(table: str, rows: pl.DataFrame, first: int) -> pl.DataFrame:
        if table != "orders":
            return rows
        newest = pl.col("day") >= first
        return rows.with_columns(
            pl.when(newest).then(value).otherwise(pl.col(name)).alias(name)
            for name, value in columns.items()
        )

    return change


def closed(table: str, rows: pl.DataFrame, first: int) -> pl.DataFrame:
    """Remove the week's orders of the location with most orders."""
    if table != "orders":
        return rows
    largest = rows.get_column("location_id").value_counts(sort=True)[0, 0]
    return rows.filter((pl.col("day") < first) | (pl.col("location_id") != largest))


def ended(table: str, rows: pl.DataFrame, first: int) -> pl.DataFrame:
    """Remove promotions from two weeks before on."""
    return rows.filter(pl.col("from_day") < first - 14) if table == "promotions" else rows


def halved(table: str, rows: pl.DataFrame, first: int) -> pl.DataFrame:
    """Remove half of the week's orders."""
    if table != "orders":
        return rows
    return rows.filter((pl.col("day") < first) | (pl.col("order_id").hash(0) % 2 == 0))


FAULTS = (
    Fault("a store closes", "vanished locations", closed),
    Fault("prices double", "prices", of_orders(revenue=2 * pl.col("revenue"))),
    Fault("half a feed stops", "records", halved),
    Fault("ids change format", "known products", of_orders(product_id="P" + pl.col("product_id"))),
    Fault("the promotion calendar ends", "promotions go on", ended),
)
# Undisturbed weeks before the first fault, and from one fault to the next.
WEEKS_BETWEEN = 3


def week(
    home: Path, frames: dict[str, pl.DataFrame], tracker: Tracker, end: date, fault: Fault | None
) -> set[str]:
    """Run the job of one week; returns the names of the checks that are not as usual."""
    tables = []
    for name, rows in frames.items():
        known = rows.filter(pl.col(DATES[name]) < to_day(str(end))) if name in DATES else rows
        if fault is not None:
            known = fault.change(name, known, to_day(str(end - WEEK)))
        tables.append(SourceTable(name, known))

    def import_week() -> object:
        return import_tables(home, NAME, tables, max_bad_share=0.05)

    report = Job(home, tracker, NAME, import_week, tasks=(TASKS["churn"],), folds=2).run()
    (outcome,) = report.outcomes
    monitoring = checks.read(home, NAME)
    if monitoring is None:
        raise RuntimeError(f"the job of {end} left no checks: {report}")
    failing = {check.name for check in monitoring.failing}
    realised = next((check for check in monitoring.checks if check.kind == "quality"), None)
    words = "" if realised is None else f"; {realised.detail}"
    print(f"{end}: {outcome.version}{' promoted' if outcome.promoted else ''}{words}", flush=True)
    return failing


def main() -> None:
    """Replay the weeks from `--first` to the end of the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--households", type=int, default=600)
    parser.add_argument("--first", type=date.fromisoformat, default=date(2017, 7, 3))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, home = Path(folder) / "source", Path(folder) / "home"
        tables = complete_journey.read(households=options.households, products=2_000)
        import_tables(source, NAME, tables, max_bad_share=0.05)
        dataset = open_dataset(source, NAME)
        frames = {name: table.collect().to_polars() for name, table in dataset.tables.items()}
        tracker, faults = Tracker(Path(folder) / "mlruns"), iter(FAULTS)
        rows: list[tuple[str, str, bool | None, str]] = []
        end = options.first
        while end <= dataset.end.date():
            disturbed = len(rows) % (WEEKS_BETWEEN + 1) == WEEKS_BETWEEN
            fault = next(faults, None) if disturbed else None
            failing = week(home, frames, tracker, end, fault)
            noticed = None if fault is None else fault.check in failing
            planted = "" if fault is None else fault.name
            rows.append((str(end), planted, noticed, ", ".join(sorted(failing))))
            end += WEEK
    arguments = f"--households {options.households} --first {options.first}"
    columns = ["week before", "planted fault", "noticed", "not as usual"]
    record(
        "monitoring, weekly jobs",
        pl.DataFrame(rows, schema=columns, orient="row"),
        command=f"python benchmarks/simulated_year.py {arguments}",
        note=f"{options.households} bundled households; locations that close are in the data.",
    )


if __name__ == "__main__":
    main()
