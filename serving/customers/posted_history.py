"""Customers with posted orders: the histories of a request in, a dataset of canonical tables out.

Features are computed as for the population (`training.customers.population`), so the posted orders
of a known customer get the answer of its id.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Self, TypeVar, cast

import numpy as np
import polars as pl

from features.array_expressions import microseconds
from features.calendar import EPOCH, parse_as_of, to_date, to_day
from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.errors import InvalidInput
from features.tables import FIRST_DAY, TABLES
from training.customers.population import Population

History = Mapping[str, Any]
Attribute = str | float | bool
Result = TypeVar("Result")
FIRST_ORDINAL = EPOCH.toordinal()

ORDERS = {name: column.dtype for name, column in TABLES["orders"].columns.items()}
ORDERS["category"] = pl.String
# A line of so many times the typical spend of a visit is taken for a typing error.
MAX_TYPICAL_VISITS = 100_000
_NO_ORDERS = pl.DataFrame(schema=ORDERS)
TOUCHPOINTS = {name: column.dtype for name, column in TABLES["touchpoints"].columns.items()}


@dataclass(frozen=True)
class PostedCustomers:
    """Posted customers as canonical tables.

    Attributes
    ----------
    names
        The `customer_id` of each answer: the posted id, or the position in the request.
    orders, touchpoints
        The canonical tables, and `category` in `orders`; customers have their keys (`key_of`).
    attributes
        Attributes of each customer.
    as_of
        The instant of the prediction.
    trusted
        Whether the orders are records, which need not be checked and may lack a revenue.
    """

    names: tuple[str, ...]
    orders: pl.DataFrame
    touchpoints: pl.DataFrame
    attributes: tuple[Mapping[str, Attribute], ...]
    as_of: datetime
    trusted: bool = False
    _computed: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def keys(self) -> list[str]:
        """The key of each customer in the tables, in request order."""
        return [key_of(number) for number in range(len(self.names))]

    @classmethod
    def read(cls, histories: Sequence[History], as_of: datetime, field: str = "as_of") -> Self:
        """Read the histories of a request.

        Parameters
        ----------
        histories
            Orders, touchpoints and attributes of each customer.
        as_of
            The instant of the prediction.
        field
            The field of the request that sets `as_of`, for error messages.

        Raises
        ------
        InvalidInput
            If the time of an order is no time, has a zone or is not before `as_of`, or if its
            amounts contradict each other. The error names the order.
        """
        orders, touchpoints = [_NO_ORDERS], []
        for number, history in enumerate(histories):
            key, parent = key_of(number), f"histories[{number}]"
            if lines := history.get("orders"):
                orders.append(read_orders(lines, key, as_of, parent, field))
            for nth, touchpoint in enumerate(history.get("touchpoints", ())):
                path = partial("{}.touchpoints[{}].ts".format, parent, nth)
                ts = _instant(touchpoint["ts"], as_of, path, field)
                touchpoints.append({**touchpoint, "customer_id": key, "ts": ts, "day": to_day(ts)})
        names = (
            history.get("customer_id") or f"histories[{k}]" for k, history in enumerate(histories)
        )
        return cls(
            tuple(names),
            orders[1] if len(orders) == 2 else pl.concat(orders),
            pl.DataFrame(touchpoints, schema=TOUCHPOINTS, orient="row"),
            tuple(history.get("attributes", {}) for history in histories),
            as_of,
        )

    def dataset(self, population: Population) -> Dataset:
        """Build a dataset whose features are comparable with those of a population.

        Of the same population it is built once, so that features are computed once.

        Raises
        ------
        InvalidInput
            If an order lacks revenue that the population's orders have, or its revenue is
            implausibly high, or if the population has no such attribute.
        """
        return self.once(id(population), lambda: self._dataset(population))

    def once(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """Return what is computed on the first call with a key, which names what it is.

        It is kept with these customers, of which a request has one.
        """
        if key not in self._computed:
            self._computed[key] = compute()
        return cast(Result, self._computed[key])

    def _dataset(self, population: Population) -> Dataset:
        if "revenue" in population.order_columns and not self.trusted:
            self._check_revenue((population.statistics.typical_spend or 0.0) / MONEY_UNIT)
        described = {
            key_of(number): {
                name: _attribute(value, population, f"histories[{number}].attributes.{name}")
                for name, value in attributes.items()
                if not self.trusted or name in population.attributes
            }
            for number, attributes in enumerate(self.attributes)
        }
        return population.dataset_of(self.orders, self.touchpoints, described)

    def _check_revenue(self, typical: float) -> None:
        """Check that every line has a plausible revenue."""
        limit = MAX_TYPICAL_VISITS * typical if typical > 0 else math.inf
        revenue = self.orders.get_column("revenue").to_numpy()
        if (np.abs(revenue) <= limit).all():
            return
        wrong = self.orders.filter(pl.col("revenue").is_null() | (pl.col("revenue").abs() > limit))
        row = wrong.row(0, named=True)
        path = f"histories[{int(row['customer_id'])}].orders[{row['line']}].revenue"
        if row["revenue"] is None:
            raise InvalidInput(
                f"{path} is missing: these models read what customers spend; give what was paid "
                "for the line, net of discounts.",
                field=path,
            )
        raise InvalidInput(
            f"{path} = {row['revenue']:g} is more than {MAX_TYPICAL_VISITS:,} times what a visit "
            f"typically brings ({typical:.2f}); is the unit of money right?",
            field=path,
        )


def key_of(number: int) -> str:
    """Return the key of the history at a position of the request; keys sort by position."""
    return f"{number:06d}"


def read_orders(
    orders: Sequence[Mapping[str, Any]], key: str, as_of: datetime, parent: str, field: str
) -> pl.DataFrame:
    """Return the order lines of a history as the columns `ORDERS`."""
    path = f"{parent}.orders[{{}}].ts".format
    times = [
        _instant(order["ts"], as_of, partial(path, line), field)
        for line, order in enumerate(orders)
    ]
    days = [ts.toordinal() - FIRST_ORDINAL for ts in times]
    amounts = [_amounts(order, f"{parent}.orders[{line}]") for line, order in enumerate(orders)]
    quantities, revenues, kinds = zip(*amounts, strict=True) if amounts else ((), (), ())
    columns: dict[str, Any] = {
        "customer_id": [key] * len(orders),
        "order_id": [
            order.get("order_id") or f"day {day}" for order, day in zip(orders, days, strict=True)
        ],
        "line": list(range(len(orders))),
        # Whole numbers become a column in a third of the time of datetimes.
        "ts": pl.Series([microseconds(ts) for ts in times], dtype=pl.Int64),
        "day": days,
        "quantity": quantities,
        "revenue": revenues,
        "kind": kinds,
    }
    for name in ORDERS.keys() - columns.keys():
        columns[name] = [order.get(name) for order in orders]
    return pl.DataFrame(
        [pl.Series(name, columns[name], dtype, strict=True) for name, dtype in ORDERS.items()]
    )


def _amounts(order: Mapping[str, Any], path: str) -> tuple[float, float | None, str]:
    """Return quantity, revenue and kind of a line as the import does: returns are negative in both.

    Without a quantity, the sign of the revenue tells a return.
    """
    units, money = order.get("quantity"), order.get("revenue")
    if units == 0:
        raise InvalidInput(
            f"{path}.quantity = 0 is no purchase: leave the line out.", field=f"{path}.quantity"
        )
    signed = money if units is None else units
    kind = "return" if signed is not None and signed < 0 else order.get("kind") or "sale"
    if kind == "return":
        units = -abs(1.0 if units is None else units)
        return units, None if money is None else -abs(money), kind
    if money is not None and money < 0:
        raise InvalidInput(
            f"{path}.revenue = {money:g} is negative on a sale; give a return a negative "
            "quantity, or the kind return.",
            field=f"{path}.revenue",
        )
    return 1.0 if units is None else units, money, kind


def _attribute(value: Attribute, population: Population, field: str) -> str | float:
    """Return an attribute in the type of the population's: text or a number."""
    name = field.rpartition(".attributes.")[2]
    is_text = population.attributes.get(name)
    if is_text is None:
        names = ", ".join(population.attributes) or "none"
        raise InvalidInput(
            f"{field} is not known to these models: the attributes that they read are {names}.",
            field=field,
        )
    if is_text and isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{field} = {value!r} is no number.", field=field)
    if not is_text:
        return number
    # Spelled as in files whose column mixes words and numbers: true, and 2 rather than 2.0.
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(number)) if number.is_integer() else str(value)


def _instant(
    value: str | datetime, as_of: datetime, path: Callable[[], str], as_of_field: str
) -> datetime:
    try:
        ts = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        ts = parse_as_of(value, field=path())
    if ts.tzinfo is not None:
        ts = parse_as_of(value, field=path())
    if ts.toordinal() - FIRST_ORDINAL < FIRST_DAY:
        raise InvalidInput(
            f"{path()} = {value!r} is before {to_date(FIRST_DAY)}, where records begin at the "
            "earliest; correct the year, or leave the order out.",
            field=path(),
        )
    if ts >= as_of:
        raise InvalidInput(
            f"{path()} = {value!r} is not before {as_of.isoformat()}, the instant of the "
            f"prediction: leave the order out, or ask for a later {as_of_field}.",
            field=path(),
        )
    return ts
