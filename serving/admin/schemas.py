"""Requests and answers of administrative endpoints."""

from pydantic import BaseModel, ConfigDict, Field


class RollbackRequest(BaseModel):
    """Which model to roll back."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={"examples": [{"model": "churn"}]},
    )

    model: str = Field(max_length=50, description="a model, or `all`")
    to: int | None = Field(
        None, ge=1, le=1_000_000, description="number in the registry; else the former champion"
    )
    dataset: str | None = Field(None, max_length=200, description="by default that of the service")


class RolledBack(BaseModel):
    """A model that was rolled back."""

    model: str
    champion: str = Field(description="version that answers now, such as `churn/2`")
    replaced: str = Field(description="version that answered before")
    published: str = Field(description="name of the published version")


class Rollback(BaseModel):
    """The models that were rolled back; workers switch within seconds."""

    results: list[RolledBack]


class EraseQuery(BaseModel):
    """The customer to erase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: str = Field(min_length=1, max_length=200)
    dataset: str | None = Field(None, max_length=200, description="by default that of the service")


class Erased(BaseModel):
    """What was erased of a customer in one dataset."""

    dataset: str
    orders: int = Field(description="order lines made anonymous")
    customers: int = Field(description="rows of the customers table deleted")
    touchpoints: int = Field(description="touchpoints deleted")
    snapshots: int = Field(description="older snapshots cleaned")
    quarantine: int = Field(description="quarantined rows blanked")
    events: int = Field(description="events deleted from the log, or made anonymous")
    published: bool = Field(description="whether answers knew the customer")
    again: bool = Field(description="whether the customer had been erased before")


class Erasure(BaseModel):
    """What was erased, by dataset."""

    results: list[Erased]
