"""Which products to show to whom, and which products belong to each other."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.customers.schemas import AnyHistories, histories_until
from serving.http.schemas import MOST_IDS, CustomerIds, Id, Request, Result

ListName = Literal["for_you", "this_month", "buy_again", "new_to_you", "popular"]
Level = Literal["subcategory", "category", "department"]
Groups = dict[Level, Annotated[list[Id], Field(min_length=1, max_length=1000)]]
Diversity = Annotated[float, Field(ge=0, le=1)]
Boost = Annotated[float, Field(gt=0, le=1000)]


class Choosing(Request):
    """What may be shown, whatever the question."""

    exclude_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(max_length=MOST_IDS, description="products not to show"),
    ] = []
    only: Groups = Field(
        default={}, description='nothing but these groups, such as {"category": ["CHEESE"]}'
    )
    exclude: Groups = Field(default={}, description="none of these groups")
    max_price: float | None = Field(
        None, gt=0, description="no products that are dearer, or of which no price is known"
    )
    location_id: Id | None = Field(
        None,
        description="where the list is shown: its stock, promotions and favourites count; by "
        "default where the customer usually is",
    )


class Pin(BaseModel):
    """A product that gets a place whatever its score."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rank: int = Field(ge=1, le=100)
    product_id: Id


class ListContext(Choosing):
    """What is known of the moment in which a list is shown."""

    basket_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(
            max_length=1000,
            description="what is in the basket now: not shown again, and what goes with it "
            "comes forward; for a customer without a history the list rests on it",
        ),
    ] = []
    recent_purchases: dict[Id, str] = Field(
        default={},
        max_length=1000,
        description="what was bought since `as_of`, with the date: wanted less until used up, and "
        "new no more; it does not change what is `popular`, nor goes beside `histories`, which "
        "tell it themselves",
    )
    at: str | None = Field(
        None, max_length=40, description="when the list is shown, an ISO date; by default `as_of`"
    )


class RecommendRequest(ListContext):
    """Which products to show."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"customer_ids": ["1", "2"], "k": 10},
                {"customer_ids": ["1"], "list": "new_to_you", "k": 5, "diversity": 0.2},
                {"histories": [{"orders": [{"ts": "2017-11-20", "product_id": "1082185"}]}]},
            ]
        }
    )

    customer_ids: CustomerIds = []
    histories: Annotated[AnyHistories, histories_until("at")] = []
    list_name: ListName = Field(
        "for_you",
        alias="list",
        description="`for_you`: for the next basket; `this_month`: within the model's horizon; "
        "`buy_again`: bought before, by each product's clock; `new_to_you`: never bought before; "
        "`popular`: what most buy, here and now",
    )
    k: int = Field(10, ge=1, le=100, description="products a customer")
    diversity: Diversity = Field(
        0.0, description="0 for the best scores, 1 for products as unlike each other as can be"
    )
    allow_adjacent_category: bool = Field(
        default=False, description="whether two products of one kind may follow each other"
    )
    pinned: Annotated[list[Pin], Field(max_length=100)] = []
    boosts: dict[Id, Boost] = Field(
        default={}, max_length=1000, description="factors on products' scores"
    )


class RerankRequest(ListContext):
    """In which order to show products that the caller chose."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"customer_ids": ["1"], "product_ids": ["1082185", "995242"]}]
        }
    )

    customer_ids: CustomerIds
    product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(
            min_length=1,
            max_length=1000,
            description="the products, in any order; times the customers 100,000 at most",
        ),
    ]
    list_name: Literal["for_you", "this_month", "new_to_you"] = Field("for_you", alias="list")


class SimilarRequest(Choosing):
    """What can stand for a product."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185"], "k": 5}]}
    )

    product_ids: Annotated[list[Id], FailFast(), Field(min_length=1, max_length=1000)]
    k: int = Field(10, ge=1, le=100, description="products for each")


class BasketRequest(Choosing):
    """What is bought together with some products."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185", "995242"], "k": 5}]}
    )

    product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(min_length=1, max_length=1000, description="the basket, one product or more"),
    ]
    k: int = Field(10, ge=1, le=100)


class CustomersForProductRequest(Request):
    """Who will buy a product."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185"], "k": 100}]}
    )

    product_ids: Annotated[list[Id], FailFast(), Field(min_length=1, max_length=100)]
    k: int = Field(100, ge=1, le=1000, description="customers for each product")


class Item(BaseModel):
    """One recommended product."""

    rank: int = Field(ge=1)
    product_id: str
    name: str | None = None
    score: float = Field(description="higher is better; comparable within one list")
    reason: str = Field(description="`repeat`, `similar`, `popular`, `basket`, ...")
    explanations: list[str] = Field(default=[], description="why, in words; the weightiest first")
    due: Literal["due", "soon", "not_yet", "lapsed"] | None = Field(
        None,
        description="`buy_again` alone, by the customer's and the product's rhythm: `due`, likely "
        "within a quarter of the horizon; `soon`, not unlikely, or just bought; `lapsed`, given up",
    )
    expected_on: str | None = Field(
        None, description="`buy_again` alone: when its usual gap has passed; none where it lapsed"
    )


class Recommendation(Result):
    """Products for one customer, best first.

    `basis`, of a customer by id as of one by posted orders: `history`; `few_purchases`, below
    three baskets; `session`, the basket in hand alone; `population`, nothing known, what is
    popular.
    """

    customer_id: str
    items: list[Item]


class LookAlike(BaseModel):
    """A product that can stand for another."""

    rank: int
    product_id: str
    name: str | None = None
    score: float = Field(ge=0, le=1, description="likeness: 1 is the same")


class LookAlikes(Result):
    """`basis`: `history`, or `attributes` for a product that nobody bought yet."""

    product_id: str
    items: list[LookAlike]


class Companion(BaseModel):
    """A product that is bought with the basket's."""

    rank: int
    product_id: str
    name: str | None = None
    score: float = Field(description="estimated chance to be wanted beside the basket")
    with_product_id: str = Field(description="the basket's product that speaks loudest for it")
    lift: float = Field(description="times as often together as chance has it")
    support: float = Field(description="share of all baskets that hold both")
    confidence: float = Field(description="share of that product's baskets that hold it too")


class Companions(Result):
    """Significant companions; empty where there are none."""

    product_ids: list[str]
    items: list[Companion]


class Buyer(BaseModel):
    """A customer who may buy a product."""

    rank: int
    customer_id: str
    score: float = Field(ge=0, le=1, description="chance to buy it within the horizon")
    bought_before: bool


class Buyers(Result):
    """Customers for one product, the likeliest first."""

    product_id: str
    customers: list[Buyer]
