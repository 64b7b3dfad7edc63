"""The event log of a dataset: events in, durably and once each; events by position out.

SQLite by default, `<home>/datasets/<dataset>/events.sqlite`, or any PostgreSQL database. Products
that are switched off, and erasures, take positions of the same order, so that a reader that
follows positions sees each change.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from features.errors import Unavailable
from features.events.anonymise import anonymised
from features.events.database import (
    EVENTS,
    FEEDBACK,
    LABELS,
    LOGS,
    METADATA,
    PRODUCTS,
    create_tables,
    postgresql_engine,
    sqlite_engine,
)
from features.events.records import Availability, Feedback, Head, LoggedEvent
from features.events.schema import LINE_TYPES, Event
from features.ingest.forgotten import ForgottenCustomers
from features.storage.snapshots import dataset_folder

_FILE = "events.sqlite"
# Values of one `IN`; SQLite takes 32,766.
_MOST_VALUES = 10_000
_POLL_SECONDS = 0.001

# One statement that creates the row of a dataset or locks it until the transaction ends. Positions
# are taken under this lock, so they become visible in their order: a sequence of PostgreSQL would
# let a reader pass a position whose transaction commits later.
_LOCK = sa.text(
    "INSERT INTO foresell_logs (dataset, position, erased) VALUES (:dataset, 0, 0) "
    "ON CONFLICT (dataset) DO UPDATE SET position = foresell_logs.position RETURNING position"
)


# Returns version, list and reason of each product that an event is about.
Attribute = Callable[[Event], Iterable[tuple[str, str, str]]]


class EventLog:
    """The events of one dataset; safe for any number of processes and threads.

    Parameters
    ----------
    home, dataset
        Where the dataset is stored, and its name.
    url
        SQLAlchemy URL of a PostgreSQL database; by default a SQLite file in the dataset's folder,
        which the first event creates.

    Raises
    ------
    InvalidInput
        If the URL is not one of PostgreSQL.
    Unavailable
        By every method, if the database does not answer.
    """

    def __init__(self, home: Path, dataset: str, url: str | None = None) -> None:
        self.dataset = dataset
        self._folder = dataset_folder(home, dataset)
        self._file = self._folder / _FILE if url is None else None
        self.engine = (
            sqlite_engine(self._file) if self._file is not None else postgresql_engine(url or "")
        )
        self._created = False

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def append(self, events: Sequence[Event], attribute: Attribute = lambda _: ()) -> list[bool]:
        """Store events durably, in one transaction; those of erased customers without the customer.

        Parameters
        ----------
        events
            The events.
        attribute
            Tells what new events of lists are counted by.

        Returns
        -------
        list of bool
            Whether each event is new; others have an `event_id` that is stored.
        """
        with self._locked() as (connection, position):
            # Under the lock, which an erasure takes after it has recorded the customers.
            events = self._without_erased(events)
            known = self._stored_ids(connection, {event.event_id for event in events})
            rows: list[dict[str, Any]] = []
            is_new: list[bool] = []
            feedback: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0.0])
            for event in events:
                is_new.append(event.event_id not in known)
                if is_new[-1]:
                    known.add(event.event_id)
                    number = position + 1 + len(rows)
                    rows.append(self._row(event, number))
                    for labels in attribute(event):
                        count = feedback[*labels, event.type]
                        count[0] += 1
                        count[1] += event.revenue or 0.0
            if rows:
                connection.execute(sa.insert(EVENTS), rows)
                self._count(connection, feedback)
                self._move(connection, position + len(rows))
        return is_new

    def set_availability(self, products: Sequence[Availability]) -> int:
        """Replace the statements on some products; of several on one, the last counts.

        Returns
        -------
        int
            The position of the change.
        """
        last = {product.product_id: product for product in products}
        with self._locked() as (connection, position):
            of_dataset = PRODUCTS.c.dataset == self.dataset
            for ids in _chunks(list(last)):
                these = PRODUCTS.c.product_id.in_(ids)
                connection.execute(sa.delete(PRODUCTS).where(of_dataset, these))
            values = [
                {
                    "dataset": self.dataset,
                    "position": position + 1,
                    "product_id": product.product_id,
                    "available": product.available,
                    "from": product.start,
                    "until": product.end,
                }
                for product in last.values()
            ]
            if values:
                connection.execute(sa.insert(PRODUCTS), values)
                self._move(connection, position + 1)
        return position + 1

    def erase(self, customer_ids: Collection[str]) -> int:
        """Erase customers: lines become anonymous, other events are deleted; returns their number.

        Of the sessions in which a customer was known, the anonymous events are deleted too.
        """
        if not self.exists():
            return 0
        erased = 0
        with self._locked() as (connection, position):
            for ids in _chunks(list(customer_ids)):
                erased += self._erase(connection, ids)
            if erased:
                self._move(connection, position + 1, erased=position + 1)
        if self._file is not None:
            # The journal still has the rows; deleted rows of the file itself are overwritten.
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def _erase(self, connection: sa.Connection, ids: list[str]) -> int:
        of_dataset, of_customers = EVENTS.c.dataset == self.dataset, EVENTS.c.customer_id.in_(ids)
        is_line = EVENTS.c.type.in_(LINE_TYPES)
        known = EVENTS.c.session_id.is_not(None)
        sessions = sa.select(EVENTS.c.session_id).where(of_dataset, of_customers, known)
        anonymous = EVENTS.c.customer_id.is_(None)
        of_sessions = anonymous & ~is_line & EVENTS.c.session_id.in_(sessions.scalar_subquery())
        lines = connection.execute(sa.select(EVENTS).where(of_dataset, of_customers, is_line))
        forgotten = ForgottenCustomers.load(self._folder)
        changed = [
            self._row(anonymised(Event.model_construct(**row._mapping), forgotten), row.position)
            for row in lines
        ]
        deleted = sum(
            connection.execute(sa.delete(EVENTS).where(of_dataset, these)).rowcount
            for these in (of_sessions, of_customers)
        )
        if changed:
            connection.execute(sa.insert(EVENTS), changed)
        return deleted

    def knows(self, customer_ids: Collection[str]) -> bool:
        """Whether there are events of one of these customers."""
        return any(
            self._rows(
                sa.select(EVENTS.c.position)
                .where(EVENTS.c.dataset == self.dataset, EVENTS.c.customer_id.in_(ids))
                .limit(1)
            )
            for ids in _chunks(list(customer_ids))
        )

    def remove(self) -> None:
        """Delete everything of the dataset."""
        if self.exists():
            with self._locked() as (connection, _):
                for table in METADATA.sorted_tables:
                    connection.execute(sa.delete(table).where(table.c.dataset == self.dataset))

    def exists(self) -> bool:
        """Whether anything was ever logged, as far as can be seen without connecting."""
        return self._file is None or self._file.exists()

    def head(self) -> Head:
        """Return the end of the log."""
        query = sa.select(LOGS.c.position, LOGS.c.erased).where(LOGS.c.dataset == self.dataset)
        rows = self._rows(query)
        return Head(rows[0].position, rows[0].erased) if rows else Head()

    def position_before(self, instant: datetime) -> int:
        """Return the last position before the first event from an instant on."""
        query = sa.select(sa.func.min(EVENTS.c.position)).where(
            EVENTS.c.dataset == self.dataset, EVENTS.c.ts >= instant
        )
        last = self.head().position
        rows = self._rows(query)
        return last if not rows or rows[0][0] is None else int(rows[0][0]) - 1

    def since(
        self,
        position: int,
        types: Collection[str] = (),
        *,
        until: int | None = None,
        limit: int | None = None,
    ) -> list[LoggedEvent]:
        """Return the events after a position, in order.

        Parameters
        ----------
        types
            The types of events; all by default.
        until
            The last position to return.
        limit
            The most events to return.
        """
        query = self._select(types).where(EVENTS.c.position > position)
        if until is not None:
            query = query.where(EVENTS.c.position <= until)
        rows = self._rows(query.order_by(EVENTS.c.position).limit(limit))
        return [LoggedEvent._make(row) for row in rows]

    def newest(
        self, position: int, as_of: datetime, types: Collection[str], limit: int, head: Head
    ) -> list[LoggedEvent]:
        """Return the newest events after a position or from an instant on, up to `head`, in order.

        There are at most `limit`.
        """
        later = (EVENTS.c.position > position) | (EVENTS.c.ts >= as_of)
        query = self._select(types).where(later, EVENTS.c.position <= head.position)
        query = query.order_by(EVENTS.c.position.desc()).limit(limit)
        return [LoggedEvent._make(row) for row in reversed(self._rows(query))]

    def availability(self, position: int = 0) -> list[Availability]:
        """Return the statements on products after a position."""
        columns = (PRODUCTS.c[name] for name in ("product_id", "available", "from", "until"))
        query = sa.select(*columns).where(
            PRODUCTS.c.dataset == self.dataset, PRODUCTS.c.position > position
        )
        return [Availability._make(row) for row in self._rows(query)]

    def feedback(self) -> list[Feedback]:
        """Return the counts of events of lists."""
        columns = [FEEDBACK.c[name] for name in Feedback._fields]
        query = sa.select(*columns).where(FEEDBACK.c.dataset == self.dataset)
        return [Feedback._make(row) for row in self._rows(query.order_by(*columns[:4]))]

    def _count(
        self, connection: sa.Connection, feedback: Mapping[tuple[str, ...], Sequence[float]]
    ) -> None:
        """Add counts of events and their revenue, under the lock."""
        for labels, (events, revenue) in feedback.items():
            key = {"dataset": self.dataset, **dict(zip(LABELS, labels, strict=True))}
            same = [FEEDBACK.c[name] == value for name, value in key.items()]
            more = {
                "events": FEEDBACK.c.events + int(events),
                "revenue": FEEDBACK.c.revenue + revenue,
            }
            if not connection.execute(sa.update(FEEDBACK).where(*same).values(more)).rowcount:
                connection.execute(
                    sa.insert(FEEDBACK).values(**key, events=int(events), revenue=revenue)
                )

    def _select(self, types: Collection[str]) -> sa.Select[Any]:
        columns = [EVENTS.c[name] for name in LoggedEvent._fields]
        query = sa.select(*columns).where(EVENTS.c.dataset == self.dataset)
        return query.where(EVENTS.c.type.in_(types)) if types else query

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        if not self.exists():
            return []
        with _answering():
            self._create()
            with self.engine.connect() as connection:
                return connection.execute(query).all()

    @contextmanager
    def _locked(self) -> Iterator[tuple[sa.Connection, int]]:
        """Begin a transaction that excludes other writers; yields the last position too."""
        with _answering():
            self._create()
        with _answering(), self._turn(), self.engine.begin() as connection:
            yield connection, connection.execute(_LOCK, {"dataset": self.dataset}).scalar_one()

    def _row(self, event: Event, position: int) -> dict[str, Any]:
        values = {name: getattr(event, name) for name in Event.model_fields}
        return {"dataset": self.dataset, "position": position, **values}

    def _without_erased(self, events: Sequence[Event]) -> Sequence[Event]:
        forgotten = ForgottenCustomers.load(self._folder)
        if not forgotten.hashes:
            return events
        return [
            anonymised(event, forgotten)
            if event.customer_id is not None
            and forgotten.pseudonyms.pseudonym(event.customer_id) in forgotten.hashes
            else event
            for event in events
        ]

    def _turn(self) -> AbstractContextManager[object]:
        """Wait for other writers of a SQLite file, which itself would wait up to .1 s in vain."""
        if self._file is None:
            return nullcontext()
        return FileLock(self._file.with_suffix(".lock")).acquire(poll_interval=_POLL_SECONDS)

    def _move(self, connection: sa.Connection, position: int, **values: int) -> None:
        of_dataset = LOGS.c.dataset == self.dataset
        connection.execute(sa.update(LOGS).where(of_dataset).values(position=position, **values))

    def _stored_ids(self, connection: sa.Connection, event_ids: set[str]) -> set[str]:
        stored: set[str] = set()
        for ids in _chunks(list(event_ids)):
            query = sa.select(EVENTS.c.event_id).where(
                EVENTS.c.dataset == self.dataset, EVENTS.c.event_id.in_(ids)
            )
            stored |= set(connection.execute(query).scalars())
        return stored

    def _create(self) -> None:
        if self._created:
            return
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        create_tables(self.engine)
        self._created = True


@contextmanager
def _answering() -> Iterator[None]:
    """Report a database that fails; its own messages may quote events."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise Unavailable(
            f"The event log does not answer ({type(error).__name__}): is its database running, and "
            "is there space on its disk?",
            field="FORESELL_EVENTS_URL",
        ) from None


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _MOST_VALUES):
        yield values[start : start + _MOST_VALUES]
