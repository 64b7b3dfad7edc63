"""Fields and shapes shared by all requests and answers."""

import datetime as dt
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
)

MOST_IDS = 10_000

Id = Annotated[str, Field(min_length=1, max_length=200)]
# Fail fast: only the first invalid entry is reported, so many cost no more than one.
CustomerIds = Annotated[
    list[Id],
    FailFast(),
    Field(
        min_length=1,
        max_length=MOST_IDS,
        description="customers, one or many; results come in this order",
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(ge=0, description="days from `as_of`")]
# Answers have four decimals: a level beyond these would be answered as 0 or 1.
Level = Annotated[float, Field(ge=0.0001, le=0.9999, description="level of a quantile")]

# Not `date-time`, which RFC 3339 defines with an offset: typed clients would refuse local times.
LocalDateTime = Annotated[
    dt.datetime,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?$",
            "examples": ["2018-01-01T00:00:00"],
        }
    ),
]
# A date or datetime as requests give it; `features.calendar.parse_as_of` reads it.
Instant = Annotated[
    str,
    Field(
        max_length=40,
        description="ISO date or datetime, the retailer's local time without an offset",
        examples=["2018-01-01", "2018-01-01T09:30:00"],
    ),
]

Code = Literal[
    "bad_request",
    "unknown_host",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "timeout",
    "too_large",
    "invalid_input",
    "missing_data",
    "rate_limited",
    "internal",
    "overloaded",
    "unavailable",
]


class Request(BaseModel):
    """Base of all requests; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    dataset: str | None = Field(
        None,
        max_length=200,
        description="the dataset, if the service answers for several; by default the one that it "
        "was started for",
    )
    as_of: Instant | None = Field(
        None, description="required instant of the answer; refused if it is not the published one"
    )


AnyRequest = TypeVar("AnyRequest", bound=Request)


class ReadQuery(Request):
    """Base of the queries of reads: one entity and options, as a request for many has them."""

    def expanded(self, model: type[AnyRequest], **entity: Any) -> AnyRequest:
        """Return the request for many that asks the same."""
        shared = model.model_fields.keys() & type(self).model_fields.keys()
        values = {name: getattr(self, name) for name in shared} | entity
        return model.model_validate(values, by_name=True)


AnyResult = TypeVar("AnyResult", bound=BaseModel)


class Heading(BaseModel):
    """What every answer says about the models that gave it."""

    model_version: str = Field(description="registered model", examples=["churn/3"])
    as_of: LocalDateTime = Field(
        description="instant up to which records are used, the retailer's local time; a request "
        "may repeat it in its own `as_of`"
    )
    judged: bool = Field(
        description="whether the models in the answer were compared with their baselines on this "
        "dataset; false before that, and where the records are too short for it"
    )
    behind: list[str] = Field(
        default=[],
        description="models in the answer that a baseline beats beyond noise, in words; absent "
        "without any",
    )
    models_as_of: dict[str, LocalDateTime] = Field(
        default={},
        description="instants of further models in the answer, by name, where they differ from "
        "`as_of` because a former champion stayed; absent without any",
    )


class EntryError(BaseModel):
    """Why an entry of a request has no result."""

    position: int = Field(ge=0, description="of the entry in the request, from 0")
    code: Literal["not_found"]
    message: str = Field(description="field, value, cause and remedy in one or two sentences")
    field: str | None = Field(description="field of the entry, such as `customer_ids[3]`")


class Answer(Heading, Generic[AnyResult]):
    """The shape of every answer; subclasses give it the name that generated clients show."""

    results: list[AnyResult] = Field(description="in the order of the request")
    errors: list[EntryError] = Field(
        default=[], description="entries without a result; absent without any"
    )


class Error(BaseModel):
    """The shape of every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "invalid_input",
                    "message": "k = 0: input should be greater than or equal to 1.",
                    "field": "k",
                    "request_id": "5f1c6e0a9b7d4c3e8f2a1b0c9d8e7f6a",
                }
            ]
        }
    )

    code: Code
    message: str = Field(description="field, value, cause and remedy in one or two sentences")
    field: str | None = Field(description="field with the error, such as `series[0].product_id`")
    request_id: str = Field(description="as in the header `X-Request-ID`")
