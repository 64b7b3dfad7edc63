"""Features of products, of customers, and of customers' purchases by product group.

Interactions in; arrays by product code, by customer code, or by pair of customer and group out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.interactions.builder import WINDOW_DAYS
from features.typing import Float32s, Ints
from training.models.recommender.inputs.interactions import Interactions, find_sorted, sum_by_code

# Windows, in days, of the rate of recent buyers: a rate shows promotions that no plan names.
RECENT_BUYER_DAYS = (1, 3)
# Customers added to the denominator of that rate, so that days with few customers count less.
PRIOR_CUSTOMERS = 20


@dataclass(frozen=True)
class GroupPurchases:
    """Purchases of each customer by product group, a level of the catalogue.

    Attributes
    ----------
    group_of_product
        Group code of each product.
    keys
        Customer code x groups + group code, ascending.
    features
        Aligned with `keys`.
    """

    group_of_product: Ints
    keys: Ints
    features: Mapping[str, Float32s]

    @classmethod
    def build(cls, interactions: Interactions, group_of_product: Ints) -> Self:
        """Sum the interactions of each customer by group."""
        size = int(group_of_product.max(initial=0)) + 1
        keys, inverse = np.unique(
            interactions.rows * size + group_of_product[interactions.cols], return_inverse=True
        )
        pairs = interactions.features
        sums = ("baskets", "baskets_28d", "baskets_91d", "decay_14d", "decay_60d", "decay_basket")
        values = {name: sum_by_code(inverse, pairs[name], len(keys)) for name in sums}
        values["products"] = sum_by_code(inverse, np.ones(len(inverse)), len(keys))
        for name in ("recency_days", "recency_baskets"):
            least = np.full(len(keys), np.inf)
            np.minimum.at(least, inverse, pairs[name])
            values[name] = least
        return cls(
            group_of_product,
            keys,
            {name: column.astype(np.float32) for name, column in values.items()},
        )

    def find(self, rows: Ints, cols: Ints) -> Ints:
        """Positions of candidates' groups; -1 where the customer bought nothing in the group."""
        size = int(self.group_of_product.max(initial=0)) + 1
        return find_sorted(self.keys, rows * size + self.group_of_product[cols])

    def affinity(
        self, level: str, position: Ints, features: Mapping[str, Float32s]
    ) -> dict[str, Float32s]:
        """Return features of candidates' groups.

        Parameters
        ----------
        level
            Name of the level, which starts the features' names.
        position
            As `find` returned it.
        features
            The candidates' features so far, with `decay_60d`.
        """
        affinity = {
            f"{level}_{name}": np.where(position >= 0, column[position], np.nan).astype(np.float32)
            for name, column in self.features.items()
        }
        affinity[f"share_of_{level}"] = features["decay_60d"] / affinity[f"{level}_decay_60d"]
        return affinity


def customer_features(interactions: Interactions) -> dict[str, Float32s]:
    """Return features by customer."""
    baskets = interactions.customer_features["customer_baskets"]
    product_baskets = np.maximum(interactions.sum_by_customer("baskets"), 1)
    products = np.bincount(interactions.rows, minlength=interactions.shape[0])
    features = {
        "customer_lines": interactions.sum_by_customer("lines") / baskets,
        "customer_products": products,
        "customer_repeat_share": 1 - products / product_baskets,
        "customer_cadence": interactions.customer_features["customer_tenure_days"] / baskets,
        "customer_basket_share": interactions.sum_by_customer("decay_share")
        / np.maximum(interactions.sum_by_customer("decay_basket"), 1e-3),
    }
    for name in interactions.features:
        if name.startswith("on_"):
            features[f"customer_{name}"] = interactions.sum_by_customer(name) / product_baskets
    if "spend" in interactions.features:
        spend = interactions.sum_by_customer("spend")
        features["customer_spend"] = spend / baskets
        if "discount" in interactions.features:
            discount = interactions.sum_by_customer("discount")
            features["customer_discount"] = _share(discount, spend)
    single = {name: values.astype(np.float32) for name, values in features.items()}
    return {**interactions.customer_features, **single}


def product_features(
    interactions: Interactions, groups: Mapping[str, GroupPurchases]
) -> dict[str, Float32s]:
    """Return features by product; `groups` by level."""
    size = interactions.shape[1]
    buyers = sum_by_code(interactions.cols, np.ones(len(interactions.cols)), size)
    repeated = sum_by_code(interactions.cols, interactions.features["baskets"] > 1, size)
    features: dict[str, NDArray[Any]] = {
        f"product_{days}d": interactions.sum_by_product(f"baskets_{days}d") for days in WINDOW_DAYS
    }
    features["product_trend"] = features["product_14d"] / (features["product_56d"] / 4 + 1)
    features["product_baskets"] = interactions.sum_by_product("baskets")
    features["product_buyers"] = buyers
    features["product_repeat_rate"] = repeated / (buyers + 5)
    features["product_per_buyer"] = features["product_baskets"] / (buyers + 1)
    features |= recent_buyer_rates(interactions)
    gap_days = interactions.features["gap_mean"] * (interactions.features["baskets"] - 1)
    total_gap = sum_by_code(interactions.cols, np.nan_to_num(gap_days), size)
    features["product_gap"] = total_gap / (features["product_baskets"] - buyers + 1e-3)
    features["product_basket_share"] = interactions.sum_by_product("decay_share") / np.maximum(
        interactions.sum_by_product("decay_basket"), 1e-3
    )
    promoted = np.zeros(size)
    for name in interactions.features:
        if name.startswith("on_"):
            share = interactions.sum_by_product(name) / np.maximum(features["product_baskets"], 1)
            features[f"product_{name}"] = share
            promoted = np.maximum(promoted, share)
    features["product_on_promotion"] = promoted
    features |= _sales_features(interactions.product_features)
    single = {name: values.astype(np.float32) for name, values in features.items()}
    return {**single, **_relative_prices(interactions, groups)}


def recent_buyer_rates(interactions: Interactions) -> dict[str, NDArray[Any]]:
    """Return buyers of each product per thousand customers: of recent days, of last baskets."""
    recency = interactions.features["recency_days"]
    customer_recency = interactions.customer_features["customer_recency_days"]
    # Days are counted from the last day of sales; the day of as_of may have only begun.
    newest = max(float(customer_recency.min(initial=np.inf)), 1.0)
    bought = {f"{days}d": recency < newest + days for days in RECENT_BUYER_DAYS}
    customers = {f"{days}d": (customer_recency < newest + days).sum() for days in RECENT_BUYER_DAYS}
    bought["last"] = interactions.features["recency_baskets"] == 0
    customers["last"] = len(customer_recency)
    return {
        f"product_takers_{name}": sum_by_code(interactions.cols, mask, interactions.shape[1])
        * (1000 / (customers[name] + PRIOR_CUSTOMERS))
        for name, mask in bought.items()
    }


def _sales_features(sales: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return age, pace, price and discount by product, from the columns of `product_statistics`."""
    features = {
        "product_first_days": sales["first_days"],
        "product_last_days": sales["last_days"],
        "product_pace": sales["lines_7d"] / (sales["lines_28d"] / 4 + 1),
    }
    if "spend" in sales:
        features["product_price"] = sales["spend"] / np.maximum(sales["units"], 1e-3)
        recent = sales["spend_28d"] / np.maximum(sales["units_28d"], 1e-3)
        features["product_price_change"] = recent / np.maximum(features["product_price"], 1e-3)
    if "discount" in sales and "spend" in sales:
        features["product_discount"] = _share(sales["discount"], sales["spend"])
        features["product_recent_discount"] = _share(sales["discount_7d"], sales["spend_7d"])
    return features


def _share(part: NDArray[Any], rest: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(part / np.maximum(part + rest, 1e-3))


def _relative_prices(
    interactions: Interactions, groups: Mapping[str, GroupPurchases]
) -> dict[str, Float32s]:
    """Return price and sales of each product relative to its group, by level."""
    features: dict[str, Float32s] = {}
    recent = interactions.sum_by_product("baskets_28d")
    for level, group in groups.items():
        codes = group.group_of_product
        sold = np.bincount(codes, weights=recent)[codes]
        features[f"{level}_share_28d"] = (recent / (sold + 1)).astype(np.float32)
        features[f"{level}_28d"] = sold.astype(np.float32)
        if "spend" in interactions.features:
            units = interactions.sum_by_product("units")
            spend = interactions.sum_by_product("spend")
            group_units = np.maximum(np.bincount(codes, weights=units), 1e-3)
            group_price = np.bincount(codes, weights=spend) / group_units
            price = spend / np.maximum(units, 1e-3)
            relative = price / np.maximum(group_price[codes], 1e-3)
            features[f"{level}_relative_price"] = relative.astype(np.float32)
    return features
