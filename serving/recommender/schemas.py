"""Requests and answers of recommendations."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from serving.customers.history_schemas import AnyHistories, IdsOrHistories, histories_until
from serving.customers.unknown import Unknown
from serving.http.schemas import MOST_IDS, Answer, CustomerIds, Id, Instant, ReadQuery, Request

ListName = Literal["for_you", "this_month", "buy_again", "new_to_you", "popular"]
# Products, groups or factors of one request.
MAX_PRODUCTS = 1_000
GroupNames = Annotated[list[Id], Field(min_length=1, max_length=MAX_PRODUCTS)]
Reason = Annotated[
    Literal["repeat", "similar", "same_kind", "popular", "new", "basket", "pinned"],
    Field(
        description="why the product is a candidate: `repeat`, bought before; `similar`, bought by "
        "similar customers or with what was bought; `same_kind`, of a category that is bought; "
        "`popular`; `new`, on sale for a short time; `basket`, bought with what is in the basket; "
        "`pinned`"
    ),
]
Diversity = Annotated[float, Field(ge=0, le=1)]
Boost = Annotated[float, Field(gt=0, le=1000)]


class Groups(BaseModel):
    """Names of product groups, by level of the assortment."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    subcategory: GroupNames | None = None
    category: GroupNames | None = None
    department: GroupNames | None = None


class FilteredRequest(Request):
    """Constraints on the products of an answer."""

    exclude_product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(max_length=MOST_IDS, description="products to leave out"),
    ] = []
    only: Groups = Field(
        default=Groups(), description='only these groups, such as {"category": ["CHEESE"]}'
    )
    exclude: Groups = Field(default=Groups(), description="no products of these groups")
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
            max_length=MAX_PRODUCTS,
            description="products in the basket: left out of the list, and products associated "
            "with them rank higher; without a history the list rests on the basket",
        ),
    ] = []
    recent_purchases: dict[Id, str] = Field(
        default={},
        max_length=MAX_PRODUCTS,
        description="products bought since `as_of`, with the date: they rank lower until they are "
        "used up, and are no longer new; without effect on `popular`, and not allowed with "
        "`histories`",
    )
    at: Instant | None = Field(None, description="date of the list; by default `as_of`")


class ListOptions(ListContext):
    """What a request for lists chooses."""

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
        default={}, max_length=MAX_PRODUCTS, description="factors on scores, by product"
    )


class RecommendRequest(ListOptions):
    """Request for a list of each customer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"customer_ids": ["1", "2"], "k": 10},
                {"customer_ids": ["1"], "list": "new_to_you", "k": 5, "diversity": 0.2},
            ]
        }
    )

    customer_ids: CustomerIds
    unknown: Unknown = "newcomer"
    session_id: Id | None = Field(
        None, description="session whose logged views and carts the lists relate to"
    )


class RecommendOfHistories(ListOptions):
    """Request for a list of each customer with posted orders."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"histories": [{"orders": [{"ts": "2017-11-20", "product_id": "1082185"}]}]}
            ]
        }
    )

    histories: Annotated[AnyHistories, histories_until("at")]


AnyRecommendRequest = IdsOrHistories[RecommendRequest, RecommendOfHistories]


class RecommendQuery(ReadQuery):
    """Query for the list of one customer."""

    customer_id: Id
    unknown: Unknown = "newcomer"
    list_name: ListName = Field("for_you", alias="list")
    k: int = Field(10, ge=1, le=100, description="products")
    diversity: Diversity = 0.0
    at: Instant | None = Field(None, description="date of the list; by default `as_of`")
    location_id: Id | None = None
    max_price: float | None = Field(None, gt=0)
    basket_product_ids: Annotated[list[Id], Field(max_length=100)] = []
    exclude_product_ids: Annotated[list[Id], Field(max_length=100)] = []
    session_id: Id | None = Field(None, description="session whose views and carts count")

    def request(self) -> RecommendRequest:
        """Return the request for several customers that asks the same."""
        return self.expanded(RecommendRequest, customer_ids=[self.customer_id])


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
            max_length=MAX_PRODUCTS,
            description="products in any order; at most 100,000 pairs of customer and product",
        ),
    ]
    list_name: Literal["for_you", "this_month", "new_to_you"] = Field("for_you", alias="list")


class SimilarRequest(FilteredRequest):
    """Request for substitutes of products."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185"], "k": 5}]}
    )

    product_ids: Annotated[list[Id], FailFast(), Field(min_length=1, max_length=MAX_PRODUCTS)]
    k: int = Field(10, ge=1, le=100, description="substitutes per product")


class SimilarQuery(ReadQuery):
    """Query for substitutes of one product."""

    product_id: Id
    k: int = Field(10, ge=1, le=100, description="substitutes")
    location_id: Id | None = None
    max_price: float | None = Field(None, gt=0)
    exclude_product_ids: Annotated[list[Id], Field(max_length=100)] = []

    def request(self) -> SimilarRequest:
        """Return the request for several products that asks the same."""
        return self.expanded(SimilarRequest, product_ids=[self.product_id])


class BasketRequest(FilteredRequest):
    """Request for products bought together with others."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"product_ids": ["1082185", "995242"], "k": 5}]}
    )

    product_ids: Annotated[
        list[Id],
        FailFast(),
        Field(
            min_length=1, max_length=MAX_PRODUCTS, description="the basket: one or more products"
        ),
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
    reason: Reason
    explanations: list[str] = Field(default=[], description="sentences, the most important first")
    due: Literal["due", "soon", "not_yet", "lapsed"] | None = Field(
        None,
        description="only for `buy_again`, by the repurchase gaps of customer and product: `due`, "
        "likely within a quarter of the horizon; `soon`, less likely; `not_yet`; `lapsed`, "
        "unlikely to be bought again",
    )
    expected_on: dt.date | None = Field(
        None, description="only for `buy_again`: date when the usual gap has passed; none if lapsed"
    )


class Recommendation(BaseModel):
    """Products for one customer, in the order of `ordered_by`."""

    customer_id: str
    basis: Literal["history", "few_purchases", "session", "population"] = Field(
        description="data that the list rests on: `history`; `few_purchases`, fewer than three "
        "baskets; `session`, only the basket; `population`, no data, so popular products"
    )
    ordered_by: list[Literal["score", "boosts", "diversity", "category", "pinned"]] = Field(
        description="`score` alone: in descending order of the score. Otherwise also the rules "
        "that move products: `boosts`, `diversity`, `category` (no two adjacent products of one "
        "category) and `pinned`",
    )
    items: list[Item]
    recommendation_id: str = Field(
        description="the list, for `recommendation_id` of impressions, clicks and purchases in "
        "`/v1/events`"
    )


class SimilarProduct(BaseModel):
    """A substitute."""

    rank: int
    product_id: str
    name: str | None = None
    score: float = Field(ge=0, le=1, description="similarity; 1 for identical products")


class SimilarProducts(BaseModel):
    """Substitutes of one product, in descending order of the score."""

    product_id: str
    basis: Literal["history", "attributes"] = Field(
        description="`attributes` for products without purchases"
    )
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


class Partners(BaseModel):
    """Significantly associated products, in descending order of the score; may be empty."""

    product_ids: list[str]
    basis: Literal["baskets"]
    items: list[Partner]


class Buyer(BaseModel):
    """A customer who may buy a product."""

    rank: int
    customer_id: str
    score: float = Field(ge=0, le=1, description="probability of a purchase within the horizon")
    bought_before: bool


class Buyers(BaseModel):
    """Likely buyers of one product, in descending order of the score."""

    product_id: str
    basis: Literal["history", "none", "discontinued"] = Field(
        description="`none`, no likely buyer; `discontinued`, no longer sold"
    )
    customers: list[Buyer]


class RecommendationAnswer(Answer[Recommendation]):
    """The list of each customer."""


class SimilarProductsAnswer(Answer[SimilarProducts]):
    """Substitutes of each product."""


class PartnersAnswer(Answer[Partners]):
    """Products bought together with the basket."""


class BuyersAnswer(Answer[Buyers]):
    """Likely buyers of each product."""
