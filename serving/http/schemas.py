"""Fields and shapes shared by all requests and answers."""

import datetime as dt
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

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

ModelsAsOf = Annotated[
    dict[str, dt.datetime],
    Field(
        description="instants of further models in the answer, by name, where they differ from "
        "`as_of` because a former champion stayed; absent without any"
    ),
]
Judged = Annotated[
    bool,
    Field(
        description="whether the models in the answer were compared with their baselines on this "
        "dataset; false before that, and where the records are too short for it"
    ),
]
Behind = Annotated[
    list[str],
    Field(
        description="models in the answer that a baseline beats beyond noise, in words; absent "
        "without any"
    ),
]


class Request(BaseModel):
    """Base of all requests; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dataset: str | None = Field(
        None,
        max_length=200,
        description="the dataset, if the service answers for several; by default the one that it "
        "was started for",
    )
    as_of: str | None = Field(
        None,
        max_length=40,
        description="required instant of the answer, an ISO date or datetime; refused if it is not "
        "the published one",
    )


class Result(BaseModel):
    """Base of all results."""

    basis: str = Field(
        description="data that the result rests on: `history`, `few_purchases`, `population`; "
        "for series `own_history`, `look_alikes`, `total`"
    )


AnyResult = TypeVar("AnyResult", bound=Result)


class Answer(BaseModel, Generic[AnyResult]):
    """The shape of every answer."""

    model_version: str = Field(description="registered model")
    as_of: dt.datetime = Field(description="instant up to which records are used")
    judged: Judged
    behind: Behind = []
    models_as_of: ModelsAsOf = {}
    results: list[AnyResult] = Field(description="in the order of the request")


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
    field: str | None = Field(description="field with the error, such as `series[0].product_id`")
    request_id: str = Field(description="as in the header `X-Request-ID`")
