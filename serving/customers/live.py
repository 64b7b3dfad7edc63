"""Customers with logged purchases: published histories and events in, posted customers out.

The models answer for them as for posted histories, so that all answers of a customer agree.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from serving.customers.posted_history import (
    TOUCHPOINTS,
    PostedCustomers,
    key_of,
    read_orders,
)
from serving.customers.reader import Customers, Row
from serving.events.live import CustomerEvents, UnseenEvents
from training.customers.histories import Histories

# The published folder of histories.
HISTORIES = "histories"
LIVE = "live"


def live_customers(
    histories: Histories | None, events: UnseenEvents, customer_ids: Sequence[str], as_of: datetime
) -> dict[str, PostedCustomers]:
    """Return those of some customers who have purchases that the models have not seen.

    Parameters
    ----------
    histories
        What the customers bought before `as_of`; None in a version without them, whose answers
        stay as published.
    as_of
        The instant of the version.
    """
    if histories is None:
        return {}
    logged = {name: events.customer(name) for name in dict.fromkeys(customer_ids)}
    return {
        name: _customer(histories, one, name, as_of)
        for name, one in logged.items()
        if one is not None and one.orders
    }


def _customer(
    histories: Histories, events: CustomerEvents, customer_id: str, as_of: datetime
) -> PostedCustomers:
    """Return a customer just after the last logged order, never before `as_of`."""
    last = max(order["ts"] for order in events.orders)
    instant = max(as_of, last + timedelta(microseconds=1))
    key = key_of(0)
    known = histories.table("orders", customer_id, key)
    orders = read_orders(events.orders, key, instant, customer_id, "as_of")
    if known is not None and known.height:
        known = known.with_columns(pl.lit(None, pl.String).alias("category"))
        orders = pl.concat([known, orders.with_columns(pl.col("line") + known.height)])
    touchpoints = histories.table("touchpoints", customer_id, key)
    return PostedCustomers(
        (customer_id,),
        orders,
        pl.DataFrame(schema=TOUCHPOINTS) if touchpoints is None else touchpoints,
        (histories.attributes(customer_id),),
        instant,
        trusted=True,
    )


def with_live(
    answers: Callable[[Mapping[str, Any], Customers], list[Row]],
    models: Mapping[str, Any],
    customer_ids: Sequence[str],
    live: Mapping[str, PostedCustomers],
) -> list[Row]:
    """Answer for known customers by look-up, and for live ones from their histories.

    Rows of live customers have the basis `live` and their own `as_of`.
    """
    if not live:
        return answers(models, customer_ids)
    known = [name for name in customer_ids if name not in live]
    rows = iter(answers(models, known) if known else ())
    scored = {
        name: answers(models, customers)[0] | {"basis": LIVE, "as_of": customers.as_of.isoformat()}
        for name, customers in live.items()
    }
    return [scored[name] if name in scored else next(rows) for name in customer_ids]
