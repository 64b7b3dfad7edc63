"""Lines of the event log give way to those of the records: an order that both have counts once."""

from collections.abc import Sequence

import polars as pl

from features.columns import ORDER_ID
from features.ingest.staging import StagedSource
from features.storage.snapshots import SOURCE


def is_superseded(
    staged: Sequence[StagedSource], stored: pl.DataFrame, part: int, parts: int
) -> pl.Expr | None:
    """Return which lines of a part are of the event log, and of an order that the records have.

    The parts of a table divide it by order, so that a part has all lines of its orders.

    Returns
    -------
    A condition on stored and arriving lines; None if the log is none of the sources.
    """
    log = next((source.source.source for source in staged if source.source.gives_way), None)
    if log is None:
        return None
    is_logged = (pl.col(SOURCE) == log).fill_null(value=False)
    of_records = [stored.filter(~is_logged).get_column(ORDER_ID)]
    of_records += [
        source.read_part(part, parts).get_column(ORDER_ID)
        for source in staged
        if not source.source.gives_way
    ]
    return is_logged & pl.col(ORDER_ID).is_in(pl.concat(of_records).unique().implode())
