"""Events: what a customer or an anonymous session did, with the rules of each type."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from features.calendar import parse_as_of, to_date, to_day
from features.errors import InvalidInput
from features.tables import FIRST_DAY

EventType = Literal["view", "cart", "purchase", "return", "rating", "impression", "click", "custom"]
# Lines of orders, in the log as in an import.
LINE_TYPES = ("purchase", "return")
_WITHOUT_PRODUCT = ("impression", "custom")
# The limits of posted histories.
MAX_QUANTITY, MAX_REVENUE = 1e6, 1e10

# PostgreSQL cannot store the character NUL.
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


def _local_time(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        return value
    try:
        ts = parse_as_of(value, field="ts")
    except InvalidInput as error:
        raise ValueError(error.message) from None
    if to_day(ts) < FIRST_DAY:
        raise ValueError(f"ts = {value!r} is before {to_date(FIRST_DAY)}, where records begin.")
    return ts


LocalTime = Annotated[
    datetime,
    BeforeValidator(_local_time),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 40,
            "examples": ["2018-01-01T09:30:00"],
            "description": "ISO datetime, the retailer's local time without an offset",
        }
    ),
]


class Event(BaseModel):
    """One event."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "event_id": "till-4-000017",
                    "type": "purchase",
                    "customer_id": "1111",
                    "product_id": "1029743",
                    "ts": "2018-01-01T09:30:00",
                    "quantity": 2,
                    "revenue": 5.98,
                }
            ]
        },
    )

    event_id: Text = Field(description="unique; an event that is sent again is stored once")
    type: EventType
    customer_id: Text | None = Field(None, description="the customer, as answers name them")
    session_id: Text | None = Field(
        None, description="the session of a visitor; required without a customer"
    )
    product_id: Text | None = Field(
        None, description="required, except in an impression of a whole list and in custom events"
    )
    ts: LocalTime
    quantity: float | None = Field(
        None,
        ge=0,
        le=MAX_QUANTITY,
        description="units, by default one, positive in returns too; of a rating its value",
    )
    revenue: float | None = Field(
        None, ge=0, le=MAX_REVENUE, description="paid for the line, or paid back"
    )
    order_id: Text | None = Field(
        None, description="the order as the records name it; by default a customer's day"
    )
    location_id: Text | None = None
    channel: Text | None = Field(None, description="such as shop, web, app")
    recommendation_id: Annotated[str, Field(min_length=1, max_length=400)] | None = Field(
        None,
        pattern=r"^[^\x00]*$",
        description="of a list: in impressions and clicks of its products, and in purchases that "
        "follow",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.customer_id is None and self.session_id is None:
            raise ValueError("customer_id is required, or session_id in its place.")
        if self.product_id is None and self.type not in _WITHOUT_PRODUCT:
            raise ValueError(f"product_id is required in an event of type {self.type}.")
        if self.type in LINE_TYPES and self.quantity == 0:
            raise ValueError(f"quantity = 0 is no {self.type}: leave the event out.")
        if self.type == "rating" and self.quantity is None:
            raise ValueError("quantity is required in a rating: its value.")
        return self


def derived_order_id(customer: str | None, location_id: str | None, ts: datetime) -> str:
    """Return the order of a line without one: a customer's or session's day at a location."""
    parts = (customer, location_id, ts.date().isoformat())
    return "/".join(part for part in parts if part is not None)
