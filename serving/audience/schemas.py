"""For whom a condition holds: the list, what stands to be lost, and how surely."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.http.schemas import MOST_IDS, Id, ModelsAsOf, Probability, Request, Result


class AudienceRequest(Request):
    """The condition, and what of the audience to list."""

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
            "constants, joined by and, or, not and parentheses; an unknown field is answered with "
            "those that there are",
        ),
    ]
    value: Id | None = Field(
        None, description="the field that says what a customer is worth, by default `value_90`"
    )
    limit: int = Field(MOST_IDS, ge=0, le=MOST_IDS, description="customers to list")
    offset: int = Field(0, ge=0, description="customers to leave out before the first listed")


class Member(Result):
    """One customer of an audience, with the fields that its condition reads."""

    model_config = ConfigDict(extra="allow")

    customer_id: str
    churn_probability: Probability
    expected_loss: float | None = Field(description="churn_probability times the value")
    unsure: bool = Field(
        description="whether the chance of churn lies between 1/3 and 2/3, or rests on fewer than "
        "three visits"
    )
    explanations: list[str] = Field(description="for the chance of churn, the heaviest first")


class AudienceAnswer(BaseModel):
    """The customers for whom a condition holds, those first with whom most stands to be lost."""

    model_version: str = Field(description="the published version that answered")
    as_of: dt.datetime = Field(description="the instant up to which the answer knows the records")
    models_as_of: ModelsAsOf = {}
    size: int = Field(description="for how many the condition holds, listed or not")
    expected_loss: float | None = Field(description="of all of them; none without a value model")
    value: str | None = Field(description="the field that said what a customer is worth")
    unsure: int = Field(description="for how many of them the model is unsure")
    results: list[Member]
