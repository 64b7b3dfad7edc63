"""Tables and connections of event logs, in SQLite and in PostgreSQL."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.errors import InvalidInput

_BUSY_SECONDS = 30
_CONNECT_SECONDS = 5
# Excludes two processes that create the tables at once; any number that is used for this alone.
_CREATION_LOCK = 4_711_019

METADATA = sa.MetaData()
# By which events of lists are counted.
LABELS = ("version", "list", "reason", "type")
LOGS = sa.Table(
    "foresell_logs",
    METADATA,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("erased", sa.BigInteger, nullable=False),
)
EVENTS = sa.Table(
    "foresell_events",
    METADATA,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("customer_id", sa.String),
    sa.Column("session_id", sa.String),
    sa.Column("product_id", sa.String),
    sa.Column("ts", sa.DateTime, nullable=False),
    sa.Column("quantity", sa.Double),
    sa.Column("revenue", sa.Double),
    sa.Column("order_id", sa.String),
    sa.Column("location_id", sa.String),
    sa.Column("channel", sa.String),
    sa.Column("recommendation_id", sa.String),
    sa.UniqueConstraint("dataset", "event_id"),
    sa.Index("foresell_events_customer", "dataset", "customer_id"),
    sqlite_with_rowid=False,
)
PRODUCTS = sa.Table(
    "foresell_availability",
    METADATA,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("product_id", sa.String, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("available", sa.Boolean, nullable=False),
    sa.Column("from", sa.DateTime),
    sa.Column("until", sa.DateTime),
    sqlite_with_rowid=False,
)
FEEDBACK = sa.Table(
    "foresell_feedback",
    METADATA,
    sa.Column("dataset", sa.String, primary_key=True),
    *(sa.Column(name, sa.String, primary_key=True) for name in LABELS),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("revenue", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)


def create_tables(engine: sa.Engine) -> None:
    """Create the tables unless they exist."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
        for table in METADATA.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def sqlite_engine(file: Path) -> sa.Engine:
    """Connect to a file, which need not exist."""
    url = sa.URL.create("sqlite", database=str(file))
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # In WAL mode readers do not wait for writers; FULL flushes each commit to the disk.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def postgresql_engine(url: str) -> sa.Engine:
    """Connect to a PostgreSQL database.

    Raises
    ------
    InvalidInput
        If the URL is not one of PostgreSQL.
    """
    try:
        database = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        database = None
    if database is None or database.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidInput(
            "FORESELL_EVENTS_URL is not a URL of PostgreSQL such as "
            "postgresql://user:password@host:5432/database.",
            field="FORESELL_EVENTS_URL",
        )
    return sa.create_engine(
        database.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": _CONNECT_SECONDS},
        pool_pre_ping=True,
        hide_parameters=True,
    )
