"""Which products to show."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.schemas.base import MOST_IDS, CustomerIds, Id, Request, Result


class RecommendRequest(Request):
    """Which products to show."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["1", "2"], "k": 10}]}
    )

    customer_ids: CustomerIds
    k: int = Field(10, ge=1, le=100, description="products a customer")
    exclude_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(max_length=MOST_IDS, description="products not to show, such as the basket's"),
    ] = []


class Item(BaseModel):
    """One recommended product."""

    rank: int = Field(ge=1)
    product_id: str
    score: float = Field(description="higher is better; comparable within one customer")
    reason: str = Field(description="`repeat`, `similar`, `popular`, ...")


class Recommendation(Result):
    """Products for one customer, best first."""

    customer_id: str
    items: list[Item]
