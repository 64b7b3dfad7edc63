"""Requests and answers of recommendations."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.customers.schemas import AnyHistories, histories_until
from serving.customers.unknown import Unknown
from serving.http.schemas import MOST_IDS, CustomerIds, Id, Request, Result

ListName = Literal["for_you", "this_month", "buy_again", "new_to_you", "popular"]
Level = Literal["subcategory", "category", "department"]
Groups = dict[Level, Annotated[list[Id], Field(min_length=1, max_length=1000)]]
Diversity = Annotated[float, Field(ge=0, le=1)]
Boost = Annotated[float, Field(gt=0, le=1000)]


class FilteredRequest(Request):
    """Constraints on the products of an answer."""

    exclude_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(max_length=MOST_IDS, description="products to leave out"),
    ] = []
    only: Groups = Field(
        default={}, description='only these groups, such as {"category": ["CHEESE"]}'
    )
    exclude: Groups = Field(default={}, description="no products of these groups")
    max_price: float | None = Field(
        None, gt=0, description="highest price; products without a known price are left out"
    )
    location_id: Id | None = Field(
        None,
        description="location whose stock, promotions and popular products count; by default the "
        "customer's usual locations",
    )


class Pin(BaseModel):
    """A product at a fixed rank, whatever its score."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rank: int = Field(ge=1, le=100)
    product_id: Id


class ListContext(FilteredRequest):
    """Context in which a list is shown."""

    basket_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(
            max_length=1000,
            description="products in the basket: left out of the list, and products associated "
            "with them rank higher; without a history the list rests on the basket",
        ),
    ] = []
    recent_purchases: dict[Id, str] = Field(
        default={},
        max_length=1000,
        description="products bought since `as_of`, with the date: they rank lower until they are "
        "used up, and are no longer new; without effect on `popular`, and not allowed with "
        "`histories`",
    )
    at: str | None = Field(
        None, max_length=40, description="date of the list, ISO; by default `as_of`"
    )


class RecommendRequest(ListContext):
    """Request for a list of each customer."""

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
    unknown: Unknown = "newcomer"
    list_name: ListName = Field(
        "for_you",
        alias="list",
        description="`for_you`: likely in the next basket; `this_month`: likely within the "
        "model's horizon; `buy_again`: bought before, with the date of replenishment; "
        "`new_to_you`: never bought before; `popular`: most popular at the location and season",
    )
    k: int = Field(10, ge=1, le=100, description="products per customer")
    diversity: Diversity = Field(
        0.0, description="from 0, highest scores, to 1, products as different as possible"
    )
    allow_adjacent_category: bool = Field(
        default=False, description="whether two products of the same category may be adjacent"
    )
    pinned: Annotated[list[Pin], Field(max_length=100)] = []
    boosts: dict[Id, Boost] = Field(
        default={}, max_length=1000, description="factors on scores, by product"
    )


class RerankRequest(ListContext):
    """Request to order given products for each customer."""

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
            description="products in any order; at most 100,000 pairs of customer and product",
        ),
    ]
    list_name: Literal["for_you", "this_month", "new_to_you"] = Field("for_you", alias="list")


class SimilarRequest(FilteredRequest):
    """Request for substitutes of products."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185"], "k": 5}]}
    )

    product_ids: Annotated[list[Id], FailFast(), Field(min_length=1, max_length=1000)]
    k: int = Field(10, ge=1, le=100, description="substitutes per product")


class BasketRequest(FilteredRequest):
    """Request for products bought together with others."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185", "995242"], "k": 5}]}
    )

    product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(min_length=1, max_length=1000, description="the basket: one or more products"),
    ]
    k: int = Field(10, ge=1, le=100)


class CustomersForProductRequest(Request):
    """Request for likely buyers of products."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185"], "k": 100}]}
    )

    product_ids: Annotated[list[Id], FailFast(), Field(min_length=1, max_length=100)]
    k: int = Field(100, ge=1, le=1000, description="customers per product")


class Item(BaseModel):
    """One recommended product."""

    rank: int = Field(ge=1)
    product_id: str
    name: str | None = None
    score: float = Field(
        description="higher ranks first, except where `ordered_by` names another rule; comparable "
        "within one list"
    )
    reason: str = Field(description="`repeat`, `similar`, `popular`, `basket`, ...")
    explanations: list[str] = Field(default=[], description="sentences, the most important first")
    due: Literal["due", "soon", "not_yet", "lapsed"] | None = Field(
        None,
        description="only for `buy_again`, by the repurchase gaps of customer and product: `due`, "
        "likely within a quarter of the horizon; `soon`, less likely; `not_yet`; `lapsed`, "
        "unlikely to be bought again",
    )
    expected_on: str | None = Field(
        None, description="only for `buy_again`: date when the usual gap has passed; none if lapsed"
    )


class Recommendation(Result):
    """Products for one customer, in the order of `ordered_by`.

    `basis` is `history`; `few_purchases`, fewer than three baskets; `session`, only the basket;
    `population`, no data, so popular products.
    """

    customer_id: str
    ordered_by: list[Literal["score", "boosts", "diversity", "category", "pinned"]] = Field(
        description="`score` alone: in descending order of the score. Otherwise also the rules "
        "that move products: `boosts`, `diversity`, `category` (no two adjacent products of one "
        "category) and `pinned`",
    )
    items: list[Item]


class SimilarProduct(BaseModel):
    """A substitute."""

    rank: int
    product_id: str
    name: str | None = None
    score: float = Field(ge=0, le=1, description="similarity; 1 for identical products")


class SimilarProducts(Result):
    """Substitutes of one product, in descending order of the score.

    `basis` is `attributes` for products without purchases.
    """

    product_id: str
    items: list[SimilarProduct]


class Partner(BaseModel):
    """A product that is bought together with the basket."""

    rank: int
    product_id: str
    name: str | None = None
    score: float = Field(description="estimated probability to be in the basket too")
    with_product_id: str = Field(description="product of the basket with the strongest association")
    lift: float = Field(description="observed over expected frequency of both together")
    support: float = Field(description="share of all baskets that hold both")
    confidence: float = Field(
        description="share of the baskets of `with_product_id` that also hold it"
    )


class Partners(Result):
    """Significantly associated products, in descending order of the score; may be empty."""

    product_ids: list[str]
    items: list[Partner]


class Buyer(BaseModel):
    """A customer who may buy a product."""

    rank: int
    customer_id: str
    score: float = Field(ge=0, le=1, description="probability of a purchase within the horizon")
    bought_before: bool


class Buyers(Result):
    """Likely buyers of one product, in descending order of the score.

    `basis` is `history`; `none`, no likely buyer; `discontinued`, no longer sold.
    """

    product_id: str
    customers: list[Buyer]
