"""Requests and answers of `/v1/events` and `/v1/products`."""

from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WrapValidator,
    model_validator,
)

from features.events.schema import Event, LocalTime, Text
from serving.http.fields import invalid_input

MOST_EVENTS = 10_000
MOST_PRODUCTS = 10_000

Dataset = Annotated[
    str | None,
    Field(max_length=200, description="by default the one that the service was started for"),
]


class RejectedEvent(BaseModel):
    """An event that is not stored."""

    index: int = Field(description="position in the request")
    reason: str = Field(description="field, value, cause and remedy in one or two sentences")
    field: str | None = Field(description="field with the error")


class Invalid(BaseModel):
    """An invalid entry of a batch, in the place of its event."""

    reason: str
    field: str | None


def _each_for_itself(value: Any, validate: Callable[[Any], Event]) -> Event | Invalid:
    try:
        return validate(value)
    except ValidationError as error:
        invalid = invalid_input(error)
        return Invalid(reason=invalid.message, field=invalid.field)


class PostedEvent(Event):
    """One event."""

    dataset: Dataset = None


class EventBatch(BaseModel):
    """Several events; an invalid one is rejected, and the others are stored."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "web-81-1",
                            "type": "view",
                            "session_id": "81",
                            "product_id": "1029743",
                            "ts": "2018-01-01T09:28:10",
                        },
                        {
                            "event_id": "web-81-2",
                            "type": "click",
                            "session_id": "81",
                            "product_id": "995242",
                            "ts": "2018-01-01T09:29:02",
                            "recommendation_id": "r1",
                        },
                    ]
                }
            ]
        },
    )

    dataset: Dataset = None
    events: Annotated[
        list[Annotated[Event, WrapValidator(_each_for_itself)]],
        Field(min_length=1, max_length=MOST_EVENTS, description="in any order of time"),
    ]


def _tag(body: object) -> str:
    names = body if isinstance(body, dict) else getattr(body, "model_fields_set", ())
    return "events" if "events" in names else "event"


# In OpenAPI a `oneOf` of two requests, each with its own required fields.
AnyEvents = Annotated[
    Annotated[PostedEvent, Tag("event")] | Annotated[EventBatch, Tag("events")],
    Discriminator(_tag),
]


class EventsAnswer(BaseModel):
    """What became of the events; accepted ones are stored durably."""

    accepted: int = Field(description="events that are stored")
    duplicates: int = Field(description="events whose `event_id` was stored before")
    rejected: list[RejectedEvent] = Field(description="invalid events; correct and send them again")


class ProductState(BaseModel):
    """When a product is available."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True)

    product_id: Text
    available: bool = Field(
        description="its state from `from` until `until`; outside it is in the other state"
    )
    start: LocalTime | None = Field(None, alias="from", description="by default always")
    end: LocalTime | None = Field(None, alias="until", description="by default for good")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("until is not after from: exchange them, or leave one out.")
        return self


class ProductsRequest(BaseModel):
    """Statements on products; each replaces the former one on its product."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "products": [
                        {"product_id": "1029743", "available": False},
                        {
                            "product_id": "995242",
                            "available": True,
                            "from": "2018-01-02T08:00:00",
                        },
                    ]
                }
            ]
        },
    )

    dataset: Dataset = None
    products: list[ProductState] = Field(min_length=1, max_length=MOST_PRODUCTS)


class ProductsAnswer(BaseModel):
    """What became of the statements; they are stored durably, and apply within a second."""

    accepted: int
