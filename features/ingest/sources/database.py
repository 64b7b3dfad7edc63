"""Rows of a database: a SQLAlchemy URL and a query in, a lazy frame of the rows out.

Used for tables of a mapping file that have a `url`. The answer is fetched batch by batch into
a scratch folder, so that it need not fit into memory and the connection is not held for longer
than that takes. Passwords never reach a message.
"""

from pathlib import Path

import polars as pl
import sqlalchemy as sa

from features.errors import InvalidInput
from features.ingest.mapping.file import expand
from features.ingest.sources.files import require_columns
from features.ingest.validation import FAULT, FILE, ROW

BATCH_ROWS = 100_000


def read_query(url: str, query: str, columns: list[str], scratch: Path) -> pl.LazyFrame:
    """Ask a database and return the named columns, with where each row came from.

    Parameters
    ----------
    scratch
        A folder for the answer; it must outlive the frame.

    Raises
    ------
    InvalidInput
        If the database cannot be reached, refuses the query, or does not answer with the
        columns.
    """
    try:
        place = sa.make_url(expand(url))
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidInput(
            "The url of the mapping is not a SQLAlchemy URL such as "
            "postgresql://user:${PASSWORD}@host:5432/database.",
            field="url",
        ) from None
    if place.drivername in ("postgresql", "postgres"):
        place = place.set(drivername="postgresql+psycopg")
    # What follows the ? may hold a password as well.
    shown = place.set(query={}).render_as_string(hide_password=True)
    try:
        batches = _fetch(place, query, scratch)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        if place.password:
            cause = cause.replace(str(place.password), "***")
        raise InvalidInput(
            f"{shown} does not answer the query of the mapping: {cause}", field="query"
        ) from None
    # A batch whose values are all null has no type of its own.
    frame = pl.concat(map(pl.scan_parquet, batches), how="vertical_relaxed")
    require_columns(shown, frame.collect_schema().names(), columns)
    return (
        frame.select(columns)
        .with_row_index(ROW, offset=1)
        .with_columns(
            pl.col(ROW).cast(pl.Int64),
            pl.lit(shown).alias(FILE),
            pl.lit(None, dtype=pl.String).alias(FAULT),
        )
    )


def _fetch(place: sa.URL, query: str, scratch: Path) -> list[Path]:
    """Write the answer's batches to files; the server keeps what was not fetched yet."""
    engine = sa.create_engine(place, poolclass=sa.pool.NullPool, hide_parameters=True)
    start = len(list(scratch.iterdir()))
    files = []
    with engine.connect().execution_options(stream_results=True) as connection:
        batches = pl.read_database(
            sa.text(query),
            connection,
            iter_batches=True,
            batch_size=BATCH_ROWS,
            infer_schema_length=None,
        )
        for number, batch in enumerate(batches, start):
            files.append(scratch / f"{number}.parquet")
            batch.write_parquet(files[-1], compression="lz4")
        if not files:
            # Of no rows there is no batch; the columns are asked for once more.
            files.append(scratch / f"{start}.parquet")
            pl.read_database(sa.text(query), connection).write_parquet(files[-1])
    return files
