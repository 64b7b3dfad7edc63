"""Customers by posted orders, as requests bring them."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, Tag
from pydantic.fields import FieldInfo

from features.tables import TABLES, Column
from serving.http.schemas import MOST_IDS, Id, Instant

Text = Annotated[str, Field(min_length=1, max_length=200)]
# The limit of units in the import, and ten times its limit of money a unit. Sums over as many lines
# as fit into a request body are still exact.
MAX_UNITS, MAX_MONEY = 1e6, 1e10


_ORDERS, _TOUCHPOINTS = TABLES["orders"].columns, TABLES["touchpoints"].columns


def _pattern(column: Column) -> str:
    """Return the regular expression of a column's controlled vocabulary."""
    return f"^({'|'.join(column.words)})$"


class PostedOrder(BaseModel):
    """One order line of a posted history; a missing field is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    revenue: float | None = Field(
        None,
        ge=-MAX_MONEY,
        le=MAX_MONEY,
        allow_inf_nan=False,
        description="paid for the line; required if the records have revenue",
    )
    order_id: Text | None = None
    product_id: Text | None = None
    category: Text | None = Field(None, description="used if the product is unknown")
    location_id: Text | None = None
    channel: Text | None = None
    quantity: float | None = Field(
        None,
        ge=-MAX_UNITS,
        le=MAX_UNITS,
        allow_inf_nan=False,
        description="units, by default one; below 0 the line is a return",
    )
    discount: float | None = Field(
        None, ge=_ORDERS["discount"].minimum, le=MAX_MONEY, allow_inf_nan=False
    )
    kind: Annotated[str, Field(pattern=_pattern(_ORDERS["kind"]))] = "sale"


class PostedTouchpoint(BaseModel):
    """Something sent to, or done by, a customer of a posted history."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ts: Instant
    kind: Annotated[str, Field(pattern=_pattern(_TOUCHPOINTS["kind"]))]
    campaign_id: Text = "unnamed"


class History(BaseModel):
    """A customer by posted orders, whether the records know the customer or not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    customer_id: Id | None = Field(None, description="repeated in the answer")
    orders: Annotated[list[PostedOrder], FailFast()]
    touchpoints: Annotated[list[PostedTouchpoint], FailFast()] = []
    attributes: dict[Text, Text | float | bool] = Field(
        {}, max_length=100, description="known columns of the records' table `customers`"
    )


def histories_until(as_of_field: str) -> FieldInfo:
    """Describe posted histories of a request whose field `as_of_field` sets their end."""
    field: FieldInfo = Field(
        min_length=1,
        max_length=MOST_IDS,
        description="instead of ids: orders of customers, scored as the model scores known ones; "
        f"`{as_of_field}` may then be any later instant",
    )
    return field


# Fail fast: see `CustomerIds`.
AnyHistories = Annotated[list[History], FailFast()]
PostedHistories = Annotated[AnyHistories, histories_until("as_of")]

Known = TypeVar("Known", bound=BaseModel)
Posted = TypeVar("Posted", bound=BaseModel)


def _tag(body: object) -> str:
    names = body if isinstance(body, dict) else getattr(body, "model_fields_set", ())
    return "histories" if "histories" in names else "customer_ids"


# In OpenAPI a `oneOf` of two requests, each with its own required field.
IdsOrHistories = Annotated[
    Annotated[Known, Tag("customer_ids")] | Annotated[Posted, Tag("histories")],
    Discriminator(_tag),
]
