"""Rows of a database: a SQLAlchemy URL and a query in, a frame of the rows out.

Used for tables of a mapping file that have a `url`. Passwords never reach a message.
"""

import polars as pl
import sqlalchemy as sa

from features.errors import InvalidInput
from features.mapping import expand
from features.sources.files import FAULT, FILE, ROW, require_columns

BATCH_ROWS = 100_000


def read_query(url: str, query: str, columns: list[str]) -> pl.LazyFrame:
    """Ask a database and return the named columns, with where each row came from.

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
        batches = _batches(place, query)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        if place.password:
            cause = cause.replace(str(place.password), "***")
        raise InvalidInput(
            f"{shown} does not answer the query of the mapping: {cause}", field="query"
        ) from None
    # A batch whose values are all null has no type of its own.
    frame = pl.concat(batches, how="vertical_relaxed")
    require_columns(shown, frame.columns, columns)
    return (
        frame.lazy()
        .select(columns)
        .with_row_index(ROW, offset=1)
        .with_columns(
            pl.col(ROW).cast(pl.Int64),
            pl.lit(shown).alias(FILE),
            pl.lit(None, dtype=pl.String).alias(FAULT),
        )
    )


def _batches(place: sa.URL, query: str) -> list[pl.DataFrame]:
    engine = sa.create_engine(place, poolclass=sa.pool.NullPool, hide_parameters=True)
    with engine.connect().execution_options(stream_results=True) as connection:
        return list(
            pl.read_database(
                sa.text(query),
                connection,
                iter_batches=True,
                batch_size=BATCH_ROWS,
                infer_schema_length=None,
            )
        )
