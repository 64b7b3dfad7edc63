"""The event log as a source of orders: logged purchases and returns in, a `SourceTable` out.

Views and carts are no touchpoints, which are contacts of a campaign; they only count live.
"""

from collections.abc import Collection
from datetime import datetime, time
from pathlib import Path

import polars as pl

from features.calendar import to_day
from features.columns import ORDER_ID
from features.events.log import EventLog
from features.events.records import LoggedEvent
from features.events.schema import LINE_TYPES
from features.ingest.source_table import Provenance, SourceTable
from features.tables import DAY, TABLES, TS

# In place of a mapping file.
EVENT_LOG = "event log"
# Beyond the positions of sources in a mapping.
_NUMBER = 10_000
_BATCH_ROWS = 100_000
_TYPES: dict[str, type[pl.DataType] | pl.DataType] = {
    "position": pl.Int64,
    "ts": TS,
    "quantity": pl.Float64,
    "revenue": pl.Float64,
}
_SCHEMA = {name: _TYPES.get(name, pl.String) for name in LoggedEvent._fields}
_OPTIONAL = ("customer_id", "product_id", "location_id", "channel", "revenue")


def read_events(
    log: EventLog, columns: Collection[str], now: datetime, scratch: Path
) -> SourceTable | None:
    """Return the lines of a log as a source of orders; None if it has none.

    The log is read up to the first event of a day that has not ended, because a part of a day
    would count as a day of few sales.

    Parameters
    ----------
    columns
        Columns of the orders that other sources have; empty if there are none.
    now
        The present time, in the retailer's local time.
    scratch
        Folder for the lines; it must outlive the table.
    """
    today = datetime.combine(now.date(), time.min)
    until = log.position_before(today)
    files: list[Path] = []
    position = 0
    while events := log.since(position, LINE_TYPES, until=until, limit=_BATCH_ROWS):
        position = events[-1].position
        files.append(scratch / f"events-{len(files)}.parquet")
        rows = pl.DataFrame(map(tuple, events), schema=_SCHEMA, orient="row")
        rows.write_parquet(files[-1], compression="lz4")
    if not files:
        return None
    frame = pl.scan_parquet(files)
    counts = frame.select(pl.col(*_OPTIONAL).count()).collect().row(0, named=True)
    used = [name for name in _OPTIONAL if (name in columns if columns else counts[name])]
    return SourceTable(
        "orders",
        frame,
        transform=lambda batch: _lines(batch, used),
        unique=True,
        gives_way=True,
        number=_NUMBER,
        provenance=Provenance(EVENT_LOG, "1", EVENT_LOG, "", to_day(now), position=until),
    )


def _lines(events: pl.DataFrame, used: list[str]) -> pl.DataFrame:
    """Return events as order lines, with some of the optional columns."""
    is_return = pl.col("type") == "return"
    sign = pl.when(is_return).then(-1.0).otherwise(1.0)
    who = pl.coalesce("customer_id", "session_id")
    day = pl.col("ts").dt.date()
    # As `derived_order_id` returns it.
    derived = pl.concat_str(
        [who, "location_id", day.cast(pl.String)], separator="/", ignore_nulls=True
    )
    lines = events.with_columns(
        pl.coalesce(ORDER_ID, derived).alias(ORDER_ID),
        pl.col("position").cast(pl.Int32).alias("line"),
        day.cast(DAY).alias("day"),
        (sign * pl.col("quantity").fill_null(1.0)).alias("quantity"),
        (sign * pl.col("revenue")).alias("revenue"),
        pl.when(is_return).then(pl.lit("return")).otherwise(pl.lit("sale")).alias("kind"),
    )
    unused = {*_OPTIONAL, "discount"} - set(used)
    return lines.select(name for name in TABLES["orders"].columns if name not in unused)
