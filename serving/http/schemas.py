"""What all requests and answers share."""

import datetime as dt
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

MOST_IDS = 10_000

Id = Annotated[str, Field(min_length=1, max_length=200)]
# Fail fast: the first bad entry is reported, and ten thousand bad ones cost no more than one.
CustomerIds = Annotated[
    list[Id],
    FailFast(),
    Field(
        min_length=1,
        max_length=MOST_IDS,
        description="who to answer for, one or many; answers come in this order",
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[float, Field(ge=0, description="days from `as_of`")]

ModelsAsOf = Annotated[
    dict[str, dt.datetime],
    Field(
        description="the instants of other models that the answer may rest on, by name, where they "
        "are not `as_of`, since a former champion stayed; absent where there is none"
    ),
]


class Request(BaseModel):
    """What all requests share: nothing is accepted that is not named."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    as_of: str | None = Field(
        None,
        max_length=40,
        description="the instant that the answer has to be as of, an ISO date or datetime: a "
        "request for another than the published one is refused; by default the published one",
    )


class Result(BaseModel):
    """What every result says besides its answer."""

    basis: str = Field(
        description="what the answer rests on: `history`, `few_purchases`, `population`; "
        "for series `own_history`, `look_alikes`, `total`"
    )


AnyResult = TypeVar("AnyResult", bound=Result)


class Answer(BaseModel, Generic[AnyResult]):
    """The shape of every answer."""

    model_version: str = Field(description="the registered model that answered")
    as_of: dt.datetime = Field(description="the instant up to which the answer knows the records")
    models_as_of: ModelsAsOf = {}
    results: list[AnyResult] = Field(description="in the order asked")


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

    code: str
    message: str
    field: str | None = Field(description="the input at fault, such as `series[0].product_id`")
    request_id: str = Field(description="as in the header `X-Request-ID`")
