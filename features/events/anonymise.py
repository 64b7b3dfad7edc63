"""Events of erased customers without any id of the customer, as an import stores their lines."""

from features.events.schema import LINE_TYPES, Event, derived_order_id
from features.ingest.forgotten import ForgottenCustomers


def anonymised(event: Event, forgotten: ForgottenCustomers) -> Event:
    """Return an event of an erased customer without customer and session.

    Lines keep their order, under a hash if its id contains the customer's, so that they are
    stored as an import would store them. Ids of events are hashed likewise.
    """
    customer = event.customer_id or ""
    ids: dict[str, str | None] = {"event_id": event.event_id}
    if event.type in LINE_TYPES:
        ids["order_id"] = event.order_id or derived_order_id(customer, event.location_id, event.ts)
    hashed = {
        name: forgotten.pseudonyms.pseudonym(value) if value and customer in value else value
        for name, value in ids.items()
    }
    none = dict.fromkeys(("customer_id", "session_id", "recommendation_id"))
    return event.model_copy(update={**none, **hashed})
