"""Requests and answers of `/v1/audience`: a condition in, customers and expected loss out."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.http.schemas import (
    MOST_IDS,
    Behind,
    Id,
    Judged,
    ModelsAsOf,
    Probability,
    Request,
    Result,
)


class AudienceRequest(Request):
    """A condition, and the part of the audience to list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"where": "churn_probability > 0.4 and value_90 > 200", "limit": 100},
                {"where": "stage in ('slipping', 'lapsed') and top_categories contains 'COFFEE'"},
            ]
        }
    )

    where: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2_000,
            description="comparisons (=, !=, <, <=, >, >=, in, is null, contains) of fields with "
            "constants, joined by and, or, not and parentheses; the error for an unknown field "
            "lists the fields",
        ),
    ]
    value: Id | None = Field(
        None, description="the field of a customer's value, by default `value_90`"
    )
    limit: int = Field(MOST_IDS, ge=0, le=MOST_IDS, description="customers to list")
    offset: int = Field(0, ge=0, description="customers to skip before the first listed")


class Member(Result):
    """One customer of an audience, with the fields of its condition."""

    model_config = ConfigDict(extra="allow")

    customer_id: str
    churn_probability: Probability
    expected_loss: float | None = Field(description="churn_probability times the value")
    unsure: bool = Field(
        description="whether the churn probability lies between 1/3 and 2/3, or is based on fewer "
        "than three visits"
    )
    explanations: list[str] = Field(description="of the churn probability; strongest first")


class AudienceAnswer(BaseModel):
    """The customers that satisfy a condition, the largest `ordered_by` first."""

    model_version: str = Field(description="the published version that answered")
    as_of: dt.datetime = Field(description="the instant up to which the answer knows the records")
    judged: Judged
    behind: Behind = []
    models_as_of: ModelsAsOf = {}
    size: int = Field(description="number of customers that satisfy the condition, listed or not")
    expected_loss: float | None = Field(description="of all of them; null without a value model")
    value: str | None = Field(description="the field of a customer's value")
    unsure: int = Field(description="number of them that are `unsure`")
    ordered_by: Literal["expected_loss", "churn_probability"] = Field(
        description="field that orders the customers, in descending order"
    )
    results: list[Member]
