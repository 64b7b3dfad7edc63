"""Rows of a user's plan of promotions and prices.

Rows as dictionaries or a frame go in, checked `PlanRow`s come out. Errors name row and field.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from features.calendar import AsOf, to_date, to_day
from features.columns import LOCATION_ID, PRODUCT_ID
from features.dataset import Dataset
from features.errors import ForesellError, InvalidInput, NotFound
from features.memo import memo
from features.tables import TABLES, Column

# A row of this kind cancels the promotions of its product on its days.
NONE = "none"
# A promotion of this kind has no history: the effect of promotions of any kind applies.
OTHER = "other"
# Names the last day for which a plan is complete.
KNOWN_UNTIL = "plan_known_until"
FIELDS = ("product_id", "location_id", "kind", "depth", "from_date", "to_date", "price")


@dataclass(frozen=True)
class PlanRow:
    """One row of a plan: a promotion, a price, or both, from day `start` to before day `end`.

    Attributes
    ----------
    label
        Name of the row in messages, such as `plan[0]`.
    product_id, location_id
        The product and the location; None means every location.
    kind, depth
        Kind of the promotion, and the share of the price taken off. `none` cancels promotions;
        `other` is a kind without history.
    price
        Unit price.
    start, end
        First day, and the day after the last. None has no end, which only a price may have.
    """

    label: str
    product_id: str
    location_id: str | None
    kind: str | None
    depth: float | None
    price: float | None
    start: int
    end: int | None

    @classmethod
    def parse(cls, label: str, row: Mapping[str, Any], today: int) -> Self:
        """Check one row; days before `today` are dropped.

        Raises
        ------
        InvalidInput
            If a field is missing, unknown or invalid; names row and field.
        """
        given = {name: value for name, value in row.items() if value is not None}
        for name in given:
            if name not in FIELDS:
                raise _fault(label, name, row, f"is not a field of a plan; use {', '.join(FIELDS)}")
        for name in ("product_id", "from_date"):
            if name not in given:
                raise InvalidInput(
                    f"{label} lacks {name}; every row has one.", field=f"{label}.{name}"
                )
        if "kind" not in given and "price" not in given:
            raise InvalidInput(
                f"{label} plans nothing: give the kind of a promotion, a price, or both.",
                field=f"{label}.kind",
            )
        if "kind" in given and "to_date" not in given:
            raise InvalidInput(
                f"{label} lacks to_date, the day after the promotion's last.",
                field=f"{label}.to_date",
            )
        start = to_day(_date(label, "from_date", row))
        end = to_day(_date(label, "to_date", row)) if "to_date" in given else None
        if end is not None and end <= start:
            raise _fault(
                label, "to_date", row, "is not after from_date; it is the day after the last"
            )
        if end is not None and end <= today:
            cause = f"is in the past: the forecast and its plan begin on {to_date(today)}"
            raise _fault(label, "to_date", row, cause)
        return cls(
            label,
            str(given["product_id"]),
            str(given["location_id"]) if "location_id" in given else None,
            str(given["kind"]) if "kind" in given else None,
            _number(label, "depth", row, TABLES["promotions"].columns["depth"]),
            _number(label, "price", row, TABLES["prices"].columns["price"]),
            max(start, today),
            end,
        )


def read_plan(plan: pl.DataFrame | Iterable[Mapping[str, Any]], as_of: AsOf) -> list[PlanRow]:
    """Check the rows of a plan; `FIELDS` lists the columns.

    Raises
    ------
    InvalidInput
        If a row is invalid; names the first such row and its field.
    """
    rows = plan.iter_rows(named=True) if isinstance(plan, pl.DataFrame) else plan
    today = to_day(as_of)
    return [PlanRow.parse(f"plan[{i}]", row, today) for i, row in enumerate(rows)]


def complete_before(
    plan: list[PlanRow], known_until: str | None, today: int, horizon_days: int
) -> int | None:
    """Return the day before which a plan is complete; None if nothing states that it is.

    Parameters
    ----------
    plan
        The rows. Without any, nothing is planned over the horizon.
    known_until
        The last day for which the plan is complete, ISO.
    today, horizon_days
        Day and horizon of the forecast.

    Raises
    ------
    InvalidInput
        If `known_until` is no date, or in the past.
    """
    if known_until is None:
        return None if plan else today + horizon_days
    given = {KNOWN_UNTIL: known_until}
    until = to_day(_date("", KNOWN_UNTIL, given)) + 1
    if until <= today:
        cause = f"is in the past: the forecast and its plan begin on {to_date(today)}"
        raise _fault("", KNOWN_UNTIL, given, cause)
    return until


@memo("promotions")
def planned_rows(_: Dataset) -> tuple[PlanRow, ...]:
    """Return the promotions that `scenario.apply_plan` added to a dataset: none before."""
    return ()


def check_known(plan: list[PlanRow], products: Iterable[str], locations: Iterable[str]) -> None:
    """Check that the products and locations of a plan have sales.

    Raises
    ------
    NotFound
        If one of them has none; names row and field.
    """
    known = {"product_id": set(products), "location_id": set(locations)}
    for row in plan:
        for name, values in known.items():
            value = getattr(row, name)
            if value is not None and value not in values:
                raise NotFound(
                    f"{row.label}.{name} = {value!r} is unknown: nothing with it was sold; "
                    "leave the row out.",
                    field=f"{row.label}.{name}",
                )


@memo("orders", "sales")
def sold_ids(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the ids of products and of locations that have sales."""
    return _sold(dataset, PRODUCT_ID), _sold(dataset, LOCATION_ID)


def _sold(dataset: Dataset, column: str) -> set[str]:
    if not dataset.has(dataset.records, column):
        return set()
    ids = dataset.table(dataset.records).select(column).unique().collect().get_column(column)
    return set(ids.to_list()) - {None}


def _date(label: str, name: str, row: Mapping[str, Any]) -> Any:
    try:
        to_day(row[name])
    except (ForesellError, TypeError, AttributeError) as error:
        raise _fault(label, name, row, "is not an ISO date such as 2017-12-01") from error
    return row[name]


def _number(label: str, name: str, row: Mapping[str, Any], column: Column) -> float | None:
    """Return a field as a number within the limits of its column in the dataset."""
    value = row.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise _fault(label, name, row, f"is not a number {column.limits}") from error
    least = -math.inf if column.minimum is None else column.minimum
    greatest = math.inf if column.maximum is None else column.maximum
    if not least <= number <= greatest or math.isinf(number):
        raise _fault(label, name, row, f"is not a number {column.limits}")
    return number


def _fault(label: str, name: str, row: Mapping[str, Any], cause: str) -> InvalidInput:
    shown = repr(row[name])[:60]
    field = f"{label}.{name}" if label else name
    return InvalidInput(f"{field} = {shown} {cause}.", field=field)
