"""Lists of customers with logged events: events and a query in, a query in their context out.

Purchases since the version's instant are no longer new to the customer, and not due again until
they are used up; products that were viewed or put into the cart raise those associated with them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from features.calendar import day_start
from serving.events.live import CustomerEvents, UnseenEvents
from serving.recommender.query import Filters, ListQuery
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.inputs.promotions import MAX_AHEAD_DAYS

# Lists that leave out or lower what was just bought. Others rank it by the state after the
# purchase: on the bundled data an NDCG@10 of .222, not .199, because it is often bought again.
LOWERED = ("buy_again", "new_to_you")
# The most recent products of a session that a list relates to.
MOST_VIEWED = 20


def in_context(
    query: ListQuery,
    index: RecommenderIndex,
    customer: CustomerEvents | None,
    session: CustomerEvents | None,
) -> ListQuery:
    """Return a query in the context of the events of a customer and of a session.

    The list is that of the last purchase's day if the query names none; events after the time that
    it names are left out.
    """
    until = query.at or datetime.max
    purchases = _purchases(customer, until)
    viewed = _viewed([events for events in (session, customer) if events is not None], until)
    if not purchases and not viewed:
        return query
    latest = day_start(index.day + MAX_AHEAD_DAYS) - timedelta(microseconds=1)
    at = query.at
    if at is None and purchases:
        at = min(max(*purchases.values(), index.candidates.as_of), latest)
    purchases = {product: min(time, at or latest) for product, time in purchases.items()}
    return replace(
        query,
        at=at,
        recent_purchases=purchases | dict(query.recent_purchases),
        lower_recent=bool(query.recent_purchases) or query.list_name in LOWERED,
        viewed_product_ids=[*query.viewed_product_ids, *viewed],
    )


def excluding(filters: Filters, events: UnseenEvents | None, at: datetime | None) -> Filters:
    """Return filters that also exclude what is not available at an instant, by default now."""
    unavailable = () if events is None else events.unavailable(at)
    if not unavailable:
        return filters
    products = [*filters.exclude_product_ids, *unavailable]
    return replace(filters, exclude_product_ids=products)


def _purchases(events: CustomerEvents | None, until: datetime) -> dict[str, datetime]:
    """Return the last purchase of each product that was not returned since."""
    purchases: dict[str, datetime] = {}
    for order in () if events is None else events.orders:
        product = order.get("product_id")
        if product is None or order["ts"] >= until:
            continue
        if order["kind"] == "return":
            purchases.pop(product, None)
        else:
            purchases[product] = order["ts"]
    return purchases


def _viewed(entities: Sequence[CustomerEvents], until: datetime) -> list[str]:
    """Return the most recent products that were viewed or put into a cart."""
    seen = [pair for events in entities for pair in (*events.viewed, *events.carted)]
    recent = sorted((pair for pair in seen if pair[1] < until), key=lambda pair: pair[1])
    return list(dict.fromkeys(product for product, _ in reversed(recent)))[:MOST_VIEWED]
