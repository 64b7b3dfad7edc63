"""Customers who come with their own orders: posted histories in, the model's features out.

Churn, next purchase, value and the profile ask here when a request brings histories instead of
ids. The features are those of `training.customers.population`, so that a known customer's
own orders, posted, are answered as their id is.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import polars as pl

from features.calendar import parse_as_of, to_day
from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.errors import InvalidInput
from features.tables import TABLES
from training.customers.population import Population

History = Mapping[str, Any]
Attribute = str | float | bool

ORDERS = {name: column.dtype for name, column in TABLES["orders"].columns.items()}
ORDERS["category"] = pl.String
# A line that brings so many times what a visit typically brings is a slip, not a purchase.
MOST_VISITS = 100_000
TOUCHPOINTS = {name: column.dtype for name, column in TABLES["touchpoints"].columns.items()}


@dataclass(frozen=True)
class PostedCustomers:
    """Posted customers as canonical tables.

    Attributes
    ----------
    names
        What each is called in the answer: their id, or their place in the request.
    orders, touchpoints
        The canonical tables (`orders` with `category` besides), by `key_of` each.
    attributes
        What is said of each besides.
    as_of
        The instant that they are answered at.
    """

    names: tuple[str, ...]
    orders: pl.DataFrame
    touchpoints: pl.DataFrame
    attributes: tuple[Mapping[str, Attribute], ...]
    as_of: datetime

    @classmethod
    def read(cls, histories: Sequence[History], as_of: datetime, given: str = "as_of") -> Self:
        """Read histories as a request has them.

        Parameters
        ----------
        given
            The field of the request that may put `as_of` later.

        Raises
        ------
        InvalidInput
            Naming the order whose time is none, has a zone, or is not before `as_of`, or whose
            amounts contradict each other.
        """
        orders, touchpoints = [], []
        for number, history in enumerate(histories):
            key, where = key_of(number), f"histories[{number}]"
            for line, order in enumerate(history.get("orders", ())):
                place = f"{where}.orders[{line}]"
                ts = _instant(order["ts"], as_of, f"{place}.ts", given)
                row = {
                    **{name: value for name, value in order.items() if value is not None},
                    **_amounts(order, place),
                    "customer_id": key,
                    "line": line,
                    "ts": ts,
                    "day": to_day(ts),
                }
                orders.append(row | {"order_id": order.get("order_id") or f"day {row['day']}"})
            for nth, touch in enumerate(history.get("touchpoints", ())):
                ts = _instant(touch["ts"], as_of, f"{where}.touchpoints[{nth}].ts", given)
                touchpoints.append({**touch, "customer_id": key, "ts": ts, "day": to_day(ts)})
        names = (
            history.get("customer_id") or f"histories[{k}]" for k, history in enumerate(histories)
        )
        return cls(
            tuple(names),
            pl.DataFrame(orders, schema=ORDERS, orient="row"),
            pl.DataFrame(touchpoints, schema=TOUCHPOINTS, orient="row"),
            tuple(history.get("attributes", {}) for history in histories),
            as_of,
        )

    def dataset(self, population: Population) -> Dataset:
        """Lay them out beside a population.

        Raises
        ------
        InvalidInput
            If an order lacks the money that the population's orders have or has absurdly much of
            it, or an attribute is none of the population's.
        """
        if "revenue" in population.order_columns:
            self._check_revenue((population.statistics.typical_spend or 0.0) / MONEY_UNIT)
        described = {
            key_of(number): {
                name: _attribute(value, population, f"histories[{number}].attributes.{name}")
                for name, value in known.items()
            }
            for number, known in enumerate(self.attributes)
        }
        return population.dataset_of(self.orders, self.touchpoints, described)

    def _check_revenue(self, typical: float) -> None:
        """Refuse a line without revenue, or with one that is out of all proportion."""
        most = MOST_VISITS * typical if typical > 0 else math.inf
        wrong = self.orders.filter(pl.col("revenue").is_null() | (pl.col("revenue").abs() > most))
        if wrong.is_empty():
            return
        row = wrong.row(0, named=True)
        where = f"histories[{int(row['customer_id'])}].orders[{row['line']}].revenue"
        if row["revenue"] is None:
            raise InvalidInput(
                f"{where} is missing: these models know what customers spend; say what was "
                "paid for the line, net of discounts.",
                field=where,
            )
        raise InvalidInput(
            f"{where} = {row['revenue']:g} is more than {MOST_VISITS:,} times what a visit "
            f"typically brings ({typical:.2f}); is the unit of money right?",
            field=where,
        )

    def named(
        self, answers: Iterable[dict[str, Any]], unknown: Callable[[str], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the answers in the order posted, under the names; `unknown` has no purchase."""
        said = {row["customer_id"]: row for row in answers}
        found = []
        for number, name in enumerate(self.names):
            row = said.get(key_of(number))
            found.append(unknown(name) if row is None else row | {"customer_id": name})
        return found


def key_of(number: int) -> str:
    """Return the id under which the history at that place is scored; ids sort by place."""
    return f"{number:06d}"


def _amounts(order: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return quantity, revenue and kind of a line as the import has them: returns negative in both.

    Without a quantity it is the revenue that tells a return, as in a source that has no units.
    """
    units, money = order.get("quantity"), order.get("revenue")
    if units == 0:
        raise InvalidInput(
            f"{place}.quantity = 0 is no purchase: leave the line out.", field=f"{place}.quantity"
        )
    tells = money if units is None else units
    kind = "return" if tells is not None and tells < 0 else order.get("kind") or "sale"
    if kind == "return":
        units = -abs(1.0 if units is None else units)
        return {"kind": kind, "quantity": units, "revenue": None if money is None else -abs(money)}
    if money is not None and money < 0:
        raise InvalidInput(
            f"{place}.revenue = {money:g} is negative on a sale; give a return a negative "
            "quantity, or the kind return.",
            field=f"{place}.revenue",
        )
    return {"kind": kind, "quantity": 1.0 if units is None else units, "revenue": money}


def _attribute(value: Attribute, population: Population, field: str) -> str | float:
    """Return an attribute as the population has it: text or a number."""
    name = field.rpartition(".attributes.")[2]
    text = population.attributes.get(name)
    if text is None:
        has = ", ".join(population.attributes) or "none"
        raise InvalidInput(
            f"{field} is not known to these models: the attributes that they read are {has}.",
            field=field,
        )
    if text and isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{field} = {value!r} is no number.", field=field)
    if not text:
        return number
    # As files have it where the column holds words besides: true, 2 and not 2.0.
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(number)) if number.is_integer() else str(value)


def _instant(value: str, as_of: datetime, field: str, given: str) -> datetime:
    ts = parse_as_of(value, field=field)
    if ts >= as_of:
        raise InvalidInput(
            f"{field} = {value!r} is not before {as_of.isoformat()}, the instant that is "
            f"answered at: leave the order out, or ask for a later {given}.",
            field=field,
        )
    return ts
