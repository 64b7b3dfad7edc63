"""What readers of an event log get: events, the availability of products, counts, the end."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class LoggedEvent(NamedTuple):
    """An event as readers of the log get it; fields as in `Event`."""

    position: int
    type: str
    customer_id: str | None
    session_id: str | None
    product_id: str | None
    ts: datetime
    quantity: float | None
    revenue: float | None
    order_id: str | None
    location_id: str | None
    channel: str | None
    recommendation_id: str | None


class Availability(NamedTuple):
    """When a product is available, by its last statement; `start` and `end` are of `available`.

    A product is in the state `available` from `start` until `end`, and in the other one outside.
    """

    product_id: str
    available: bool
    start: datetime | None = None
    end: datetime | None = None

    def is_available(self, at: datetime) -> bool:
        """Whether the product is available at an instant."""
        begun = self.start is None or at >= self.start
        over = self.end is not None and at >= self.end
        return (begun and not over) == self.available


@dataclass(frozen=True)
class Head:
    """The end of a log.

    Attributes
    ----------
    position
        The last position; 0 of an empty log.
    erased
        Position of the last erasure; 0 without any. Readers then read the log anew.
    """

    position: int = 0
    erased: int = 0


class Feedback(NamedTuple):
    """Events of lists by what was shown, and the revenue of purchases."""

    version: str
    list: str
    reason: str
    type: str
    events: int
    revenue: float
