"""Database source: a SQLAlchemy URL and a query in, a lazy frame of the result's rows out.

The result is fetched in batches into a scratch folder, so that it need not fit into memory and
the connection is closed early. Error messages never contain a password.
"""

from pathlib import Path

import polars as pl
import sqlalchemy as sa

from features.errors import InvalidInput
from features.ingest.mapping.file import expand_environment
from features.ingest.source_columns import FAULT, SOURCE_FILE, SOURCE_ROW
from features.ingest.sources.files import require_columns

BATCH_ROWS = 100_000


def read_query(url: str, query: str, columns: list[str], scratch: Path) -> pl.LazyFrame:
    """Run a query and return the named columns, with the origin of each row.

    Parameters
    ----------
    scratch
        Folder for the result; it must outlive the frame.

    Raises
    ------
    InvalidInput
        If the database cannot be reached, the query fails, or its result lacks a column.
    """
    try:
        database = sa.make_url(expand_environment(url))
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidInput(
            "The url of the mapping is not a SQLAlchemy URL such as "
            "postgresql://user:${PASSWORD}@host:5432/database.",
            field="url",
        ) from None
    if database.drivername in ("postgresql", "postgres"):
        database = database.set(drivername="postgresql+psycopg")
    # Query parameters of the URL may hold a password, too.
    display = database.set(query={}).render_as_string(hide_password=True)
    try:
        batches = _fetch(database, query, scratch)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        if database.password:
            cause = cause.replace(str(database.password), "***")
        raise InvalidInput(
            f"{display} does not answer the query of the mapping: {cause}", field="query"
        ) from None
    # A batch whose values are all null has the type Null.
    frame = pl.concat(map(pl.scan_parquet, batches), how="vertical_relaxed")
    require_columns(display, frame.collect_schema().names(), columns)
    return (
        frame.select(columns)
        .with_row_index(SOURCE_ROW, offset=1)
        .with_columns(
            pl.col(SOURCE_ROW).cast(pl.Int64),
            pl.lit(display).alias(SOURCE_FILE),
            pl.lit(None, dtype=pl.String).alias(FAULT),
        )
    )


def _fetch(database: sa.URL, query: str, scratch: Path) -> list[Path]:
    """Write the result's batches to files; the server keeps the rows not fetched yet."""
    engine = sa.create_engine(database, poolclass=sa.pool.NullPool, hide_parameters=True)
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
            # An empty result yields no batch; a second query returns its columns.
            files.append(scratch / f"{start}.parquet")
            pl.read_database(sa.text(query), connection).write_parquet(files[-1])
    return files
