"""A plan of promotions and prices as somebody gives it in, its rows checked out.

Read in batch and by serving before `what_if` lays the plan over the books; what is wrong is named
by row and field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from features.calendar import AsOf, to_date, to_day
from features.dataset import Dataset
from features.errors import ForesellError, InvalidInput, NotFound
from features.memo import memo

# A row of this kind takes off what is booked.
NONE = "none"
# A promotion of this kind is of none in the books: it does what promotions of any kind did.
OTHER = "other"
FIELDS = ("product_id", "location_id", "kind", "depth", "from_date", "to_date", "price")


@dataclass(frozen=True)
class Planned:
    """One row of a plan: a promotion, a price, or both, on days from `start` to before `end`.

    Attributes
    ----------
    place
        The row's name in messages, such as `plan[0]`.
    product_id, location_id
        What and where; None is every location.
    kind, depth
        Of the promotion; `none` takes booked promotions off, `other` is a kind that never was
        in the books.
    price
        The unit price.
    start, end
        First day, and the day after the last; None is open (a price may stay).
    """

    place: str
    product_id: str
    location_id: str | None
    kind: str | None
    depth: float | None
    price: float | None
    start: int
    end: int | None

    @classmethod
    def read(cls, place: str, row: Mapping[str, Any], today: int) -> Self:
        """Check one row; what lies before `today` is cut off.

        Raises
        ------
        InvalidInput
            Naming the row and the field.
        """
        given = {name: value for name, value in row.items() if value is not None}
        for name in given:
            if name not in FIELDS:
                raise _fault(place, name, row, f"is not a field of a plan; use {', '.join(FIELDS)}")
        for name in ("product_id", "from_date"):
            if name not in given:
                raise InvalidInput(
                    f"{place} lacks {name}; every row has one.", field=f"{place}.{name}"
                )
        if "kind" not in given and "price" not in given:
            raise InvalidInput(
                f"{place} plans nothing: give the kind of a promotion, a price, or both.",
                field=f"{place}.kind",
            )
        if "kind" in given and "to_date" not in given:
            raise InvalidInput(
                f"{place} lacks to_date, the day after the promotion's last.",
                field=f"{place}.to_date",
            )
        start = to_day(_date(place, "from_date", row))
        end = to_day(_date(place, "to_date", row)) if "to_date" in given else None
        if end is not None and end <= start:
            raise _fault(
                place, "to_date", row, "is not after from_date; it is the day after the last"
            )
        if end is not None and end <= today:
            why = f"is past: the plan begins on {to_date(today)}, the day that is forecast from"
            raise _fault(place, "to_date", row, why)
        return cls(
            place,
            str(given["product_id"]),
            str(given["location_id"]) if "location_id" in given else None,
            str(given["kind"]) if "kind" in given else None,
            _number(place, "depth", row, 1.0),
            _number(place, "price", row, None),
            max(start, today),
            end,
        )


def read_plan(plan: pl.DataFrame | Iterable[Mapping[str, Any]], as_of: AsOf) -> list[Planned]:
    """Check a plan, row by row; see `FIELDS` for its columns.

    Raises
    ------
    InvalidInput
        Naming the first row and field at fault.
    """
    rows = plan.iter_rows(named=True) if isinstance(plan, pl.DataFrame) else plan
    today = to_day(as_of)
    return [Planned.read(f"plan[{i}]", row, today) for i, row in enumerate(rows)]


def check_known(plan: list[Planned], products: Iterable[str], locations: Iterable[str]) -> None:
    """Refuse a plan for what never sold.

    Raises
    ------
    NotFound
        Naming the row and the field.
    """
    known = {"product_id": set(products), "location_id": set(locations)}
    for row in plan:
        for name, values in known.items():
            value = getattr(row, name)
            if value is not None and value not in values:
                raise NotFound(
                    f"{row.place}.{name} = {value!r} is unknown: nothing with it was sold; "
                    "leave the row out.",
                    field=f"{row.place}.{name}",
                )


@memo("orders", "sales")
def sold_ids(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the products and the locations that have sales; for `check_known`."""
    table, found = dataset.table(dataset.records), []
    for name in ("product_id", "location_id"):
        ids: set[str] = set()
        if dataset.has(dataset.records, name):
            ids = set(table.select(name).unique().collect().get_column(name).to_list())
        found.append(ids - {None})
    return found[0], found[1]


def _date(place: str, name: str, row: Mapping[str, Any]) -> Any:
    try:
        to_day(row[name])
    except (ForesellError, TypeError, AttributeError) as error:
        raise _fault(place, name, row, "is not an ISO date such as 2017-12-01") from error
    return row[name]


def _number(place: str, name: str, row: Mapping[str, Any], most: float | None) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    allowed = "from 0 on" if most is None else f"from 0 to {most:g}"
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise _fault(place, name, row, f"is not a number {allowed}") from error
    if not 0 <= number <= (most if most is not None else float("inf")) or number == float("inf"):
        raise _fault(place, name, row, f"is not a number {allowed}")
    return number


def _fault(place: str, name: str, row: Mapping[str, Any], why: str) -> InvalidInput:
    shown = repr(row[name])[:60]
    return InvalidInput(f"{place}.{name} = {shown} {why}.", field=f"{place}.{name}")
