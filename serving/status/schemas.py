"""Query and answer of `/v1/status`."""

import datetime as dt

from pydantic import BaseModel, ConfigDict, Field

from serving.events.feedback import ListFeedback
from serving.http.schemas import Level, LocalDateTime
from serving.recommender.schemas import ListName


class StatusQuery(BaseModel):
    """The dataset to describe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str | None = Field(
        None, max_length=200, description="by default the one that the service was started for"
    )


class ModelStatus(BaseModel):
    """One served model."""

    model: str = Field(examples=["churn"])
    version: str = Field(examples=["churn/3"])
    as_of: LocalDateTime
    judged: bool = Field(description="whether it was compared with its baselines")
    behind: list[str] = Field(description="baselines that beat it beyond noise, in words")


class DemandStatus(BaseModel):
    """What forecasts can be asked for."""

    grain: str = Field(examples=["product:week"])
    keys: list[str] = Field(description="the keys that name a series")
    horizon_days: int
    quantiles: list[Level] = Field(description="published levels; others are interpolated")
    plan_known_until: dt.date | None = Field(
        description="the last day on which the promotions of every series are known; null if none "
        "were ever recorded"
    )


class Limits(BaseModel):
    """The most that one request may hold."""

    body_bytes: int
    customer_ids: int
    product_ids: int
    series: int
    plan_rows: int
    explained_series: int
    list_length: int
    pairs: int = Field(description="customers times products of a request to /v1/rerank")


class Status(BaseModel):
    """What the service answers from."""

    dataset: str
    version: str = Field(description="published version")
    published_at: dt.datetime
    as_of: LocalDateTime = Field(description="the newest instant of its models")
    refused: str | None = Field(
        description="why a newer version is not served; null where there is none"
    )
    models: list[ModelStatus]
    demand: DemandStatus | None = Field(description="null without a demand model")
    lists: list[ListName] = Field(description="empty without a recommender")
    categories: list[str] = Field(description="categories that /v1/next_purchase predicts")
    feedback: list[ListFeedback] = Field(description="what became of lists, by what they showed")
    limits: Limits
