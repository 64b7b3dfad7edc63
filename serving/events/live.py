"""The newest events of one dataset in memory: the event log in, events by customer and session out.

What a published version was trained on is left out, so that no event counts twice.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from features.events.log import EventLog
from features.events.records import Availability, Feedback, Head, LoggedEvent
from features.events.schema import LINE_TYPES, derived_order_id
from training.published.versions import PublishedVersion

TYPES = (*LINE_TYPES, "view", "cart")
# The most events of one customer or session that are kept: the newest by time.
MOST_OF_ENTITY = 500
# Fields of an order line that a posted history has as well.
_LINE_FIELDS = ("product_id", "location_id", "channel", "quantity", "revenue")


class Seen(NamedTuple):
    """What a published model was trained on.

    Attributes
    ----------
    position
        Last position of the log in its snapshot.
    as_of
        It saw nothing from this instant on.
    """

    position: int
    as_of: datetime

    @classmethod
    def by_all(cls, version: PublishedVersion) -> "Seen | None":
        """Return what all models of a version have seen; None without models."""
        models = version.models.values()
        if not models:
            return None
        return cls(min(m.events_position for m in models), min(m.as_of for m in models))

    def includes(self, event: LoggedEvent) -> bool:
        """Whether the model has seen an event."""
        return event.position <= self.position and event.ts < self.as_of


@dataclass(frozen=True)
class CustomerEvents:
    """Events of one customer or session.

    Attributes
    ----------
    events
        In order of time.
    """

    events: tuple[LoggedEvent, ...]

    @cached_property
    def orders(self) -> tuple[Mapping[str, Any], ...]:
        """Lines of purchases and returns in order of time, as a posted history has them."""
        return tuple(_line(event) for event in self.events if event.type in LINE_TYPES)

    @cached_property
    def viewed(self) -> tuple[tuple[str, datetime], ...]:
        """Viewed products with the time, the most recent first."""
        return self._products("view")

    @cached_property
    def carted(self) -> tuple[tuple[str, datetime], ...]:
        """Products put into the cart, with the time, the most recent first."""
        return self._products("cart")

    @property
    def last(self) -> datetime:
        """Time of the latest event."""
        return self.events[-1].ts

    @cached_property
    def position(self) -> int:
        """Position in the log of the event that was stored last."""
        return max(event.position for event in self.events)

    def unseen(self, seen: Seen) -> "CustomerEvents | None":
        """Return the events that a model has not seen; None if it has seen all."""
        events = tuple(event for event in self.events if not seen.includes(event))
        if len(events) == len(self.events):
            return self
        return CustomerEvents(events) if events else None

    def _products(self, kind: str) -> tuple[tuple[str, datetime], ...]:
        return tuple(
            (event.product_id, event.ts)
            for event in reversed(self.events)
            if event.type == kind and event.product_id is not None
        )


@dataclass(frozen=True)
class UnseenEvents:
    """The events that one model has not seen, and what is available.

    Attributes
    ----------
    events
        The newest events of the dataset.
    seen
        What the model was trained on.
    """

    events: "LiveEvents"
    seen: Seen

    def customer(self, customer_id: str) -> CustomerEvents | None:
        """Return the events of a customer."""
        return self._unseen(self.events.customer(customer_id))

    def has_orders(self, customer_id: str) -> bool:
        """Whether a customer has purchases or returns that the model has not seen."""
        events = self.customer(customer_id)
        return events is not None and bool(events.orders)

    def session(self, session_id: str) -> CustomerEvents | None:
        """Return the events of a session."""
        return self._unseen(self.events.session(session_id))

    def unavailable(self, at: datetime | None) -> frozenset[str]:
        """Return the products that are not available at an instant, by default now."""
        return self.events.unavailable(at or datetime.now())

    def _unseen(self, events: CustomerEvents | None) -> CustomerEvents | None:
        return None if events is None else events.unseen(self.seen)


class LiveEvents:
    """The events of one dataset that the served version has not seen.

    One thread calls `refresh`; any thread reads. At most `most_events` are kept: those of the
    customers and sessions with the latest activity, `MOST_OF_ENTITY` of each.

    Parameters
    ----------
    log
        The event log.
    most_events
        Bounds memory; an event takes about 1 kB.
    """

    def __init__(self, log: EventLog, most_events: int) -> None:
        self.log, self.most_events = log, most_events
        self.head = Head()
        self.feedback: list[Feedback] = []
        self._version: str | None = None
        self._may_name: Callable[[str], bool] = lambda _: True
        self._entities: OrderedDict[tuple[str, str], CustomerEvents] = OrderedDict()
        self._count = 0
        self._products: dict[str, Availability] = {}
        self._unavailable = _Unavailable(self._products, datetime.max, datetime.max, frozenset())

    def customer(self, customer_id: str) -> CustomerEvents | None:
        """Return the events of a customer that some served model has not seen."""
        return self._entities.get(("customer", customer_id))

    def session(self, session_id: str) -> CustomerEvents | None:
        """Return the events of a session that some served model has not seen."""
        return self._entities.get(("session", session_id))

    def unavailable(self, at: datetime) -> frozenset[str]:
        """Return the products that are not available at an instant of the retailer's local time."""
        products, known = self._products, self._unavailable
        # Computed from other statements, if another thread has changed them meanwhile.
        if known.products is not products or not known.start <= at < known.end:
            known = self._unavailable = _Unavailable.at(products, at)
        return known.product_ids

    def refresh(
        self, version: PublishedVersion | None, may_name: Callable[[str], bool] = lambda _: True
    ) -> None:
        """Take up what was logged since the last call; all anew for another version.

        Parameters
        ----------
        version
            The served version.
        may_name
            Whether answers may name a customer; events of others are left out.

        Raises
        ------
        Unavailable
            If the database does not answer; the next call goes on where this one ended.
        """
        name = None if version is None else version.version
        head = self.log.head()
        if name != self._version or head.erased != self.head.erased:
            self._reload(version, may_name, head)
            self._version = name
        elif head.position > self.head.position:
            self._add(self.log.since(self.head.position, TYPES, until=head.position))
            self._state(self.log.availability(self.head.position))
        if head != self.head:
            self.feedback = self.log.feedback()
        self.head = head

    def _reload(
        self, version: PublishedVersion | None, may_name: Callable[[str], bool], head: Head
    ) -> None:
        """Read all anew; readers see the former state until then."""
        seen = (None if version is None else Seen.by_all(version)) or Seen(0, datetime.min)
        fresh = LiveEvents(self.log, self.most_events)
        fresh._may_name = self._may_name = may_name
        fresh._add(self.log.newest(seen.position, seen.as_of, TYPES, self.most_events, head))
        fresh._state(self.log.availability())
        self._entities, self._count = fresh._entities, fresh._count
        self._products = fresh._products

    def _add(self, events: Iterable[LoggedEvent]) -> None:
        for event in events:
            if event.customer_id is not None and not self._may_name(event.customer_id):
                continue
            for kind, key in (("customer", event.customer_id), ("session", event.session_id)):
                if key is not None:
                    self._add_to((kind, key), event)
        while self._count > self.most_events:
            _, oldest = self._entities.popitem(last=False)
            self._count -= len(oldest.events)

    def _add_to(self, key: tuple[str, str], event: LoggedEvent) -> None:
        former = self._entities.get(key)
        events = (event,) if former is None else (*former.events, event)
        if len(events) > 1 and events[-2].ts > event.ts:
            # A late event; the order of equal times is that of the log.
            events = tuple(sorted(events, key=lambda one: one.ts))
        events = events[-MOST_OF_ENTITY:]
        self._count += len(events) - (0 if former is None else len(former.events))
        self._entities[key] = CustomerEvents(events)
        self._entities.move_to_end(key)

    def _state(self, products: Iterable[Availability]) -> None:
        changed = {product.product_id: product for product in products}
        if changed:
            self._products = self._products | changed


class _Unavailable(NamedTuple):
    """The unavailable products by some statements, from one instant until another."""

    products: Mapping[str, Availability]
    start: datetime
    end: datetime
    product_ids: frozenset[str]

    @classmethod
    def at(cls, products: Mapping[str, Availability], at: datetime) -> "_Unavailable":
        """Find the products that are not available at an instant, and how long that holds."""
        stated = list(products.values())
        changes = {time for one in stated for time in (one.start, one.end) if time is not None}
        return cls(
            products,
            max((time for time in changes if time <= at), default=datetime.min),
            min((time for time in changes if time > at), default=datetime.max),
            frozenset(one.product_id for one in stated if not one.is_available(at)),
        )


def _line(event: LoggedEvent) -> Mapping[str, Any]:
    """Return an order line as a posted history has it."""
    values = {name: getattr(event, name) for name in _LINE_FIELDS}
    line = {name: value for name, value in values.items() if value is not None}
    who = event.customer_id or event.session_id
    order_id = event.order_id or derived_order_id(who, event.location_id, event.ts)
    kind = "return" if event.type == "return" else "sale"
    return line | {"ts": event.ts, "order_id": order_id, "kind": kind}
