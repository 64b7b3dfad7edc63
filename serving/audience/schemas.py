"""Requests and answers of `/v1/audience`: a condition in, customers and expected loss out."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.customers.schemas import Basis, Stage
from serving.http.schemas import MOST_IDS, Days, Heading, Id, Probability, Request


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


class Member(BaseModel):
    """One customer of an audience."""

    customer_id: str
    basis: Basis
    churn_probability: Probability
    stage: Stage
    rfm_segment: str | None
    cluster: str | None
    next_category: str | None = Field(
        default=None, description="most likely within two weeks; absent without a model of it"
    )
    expected_days: Days | None
    value: float | None = Field(description="the field that `value` names; null without any")
    expected_loss: float | None = Field(description="churn_probability times the value")
    unsure: bool = Field(
        description="whether the churn probability lies between 1/3 and 2/3, or is based on fewer "
        "than three visits"
    )
    fields: dict[str, str | float | bool | dt.date | list[str] | None] = Field(
        description="further fields that the condition names, by name"
    )
    explanations: list[str] = Field(description="of the churn probability; strongest first")


class AudienceAnswer(Heading):
    """The customers that satisfy a condition, the largest `ordered_by` first."""

    size: int = Field(description="number of customers that satisfy the condition, listed or not")
    expected_loss: float | None = Field(description="of all of them; null without a value model")
    value: str | None = Field(description="the field of a customer's value")
    unsure: int = Field(description="number of them that are `unsure`")
    ordered_by: Literal["expected_loss", "churn_probability"] = Field(
        description="field that orders the customers, in descending order"
    )
    results: list[Member]
