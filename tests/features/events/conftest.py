"""Event logs on SQLite and on PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from features.events.log import EventLog
from features.events.schema import Event

# A database that tests may write to, each in a schema of its own.
SERVER = os.environ.get("FORESELL_TEST_DATABASE", "postgresql://postgres@127.0.0.1:5432/test")


@pytest.fixture(params=["sqlite", "postgresql"])
def events_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of an empty database; None for a file in the home."""
    if request.param == "sqlite":
        yield None
        return
    engine = sa.create_engine(sa.make_url(SERVER).set(drivername="postgresql+psycopg"))
    schema = f"events_{uuid4().hex}"
    try:
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
    except sa.exc.OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL answers; set FORESELL_TEST_DATABASE to its URL")
    yield f"{SERVER}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


@pytest.fixture
def open_log(tmp_path: Path, events_url: str | None) -> Iterator[Callable[[], EventLog]]:
    """Open the log of a shop, as each process does."""
    logs = []

    def opened() -> EventLog:
        logs.append(EventLog(tmp_path, "shop", events_url))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    """Build an event; by default a purchase of customer `a`."""

    def build(event_id: str, **fields: Any) -> Event:
        defaults = {"type": "purchase", "product_id": "milk", "ts": "2018-01-01T09:30:00"}
        who = {} if "session_id" in fields else {"customer_id": "a"}
        return Event(event_id=event_id, **defaults | who | fields)

    return build
