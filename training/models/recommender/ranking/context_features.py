"""Context features: what time, location and promotions change about a candidate.

The stored state of a candidate, a date and the promotion plan in; one row per candidate out.
Training, batch predictions and serving share it, so it loads no library that only training
needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from features.typing import Float32s, Floats, Ints

# State of a customer and a product; NaN for products that the customer never bought. `type` is
# the product's group at the finest level of the catalogue, `kind` at the next level.
INTERACTION_STATE = (
    "baskets",
    "decay_basket",
    "decay_14d",
    "baskets_7d",
    "baskets_last_1",
    "baskets_last_2",
    "recency_days",
    "recency_baskets",
    "gap_mean",
    "gap_sd",
    "gap_last",
    "type_recency_days",
    "type_recency_baskets",
    "type_decay_60d",
    "kind_recency_days",
)
CUSTOMER_STATE = (
    "customer_baskets",
    "customer_recency_days",
    "customer_cadence",
    "customer_size",
    "customer_size_last",
)
PRODUCT_STATE = (
    "product_gap",
    "product_28d",
    "product_repeat_rate",
    "product_on_promotion",
    "product_recent_discount",
)
# State that grows by one with each day without a purchase.
ELAPSED_DAYS = ("recency_days", "type_recency_days", "kind_recency_days", "customer_recency_days")
# Smallest factor of a product that was just bought: the purchase may have been a gift.
MIN_REMAINING_NEED = 0.1
# Upper ends, in days, of the intervals in which repurchase hazards are constant.
INTERVAL_ENDS = (3, 7, 14, 28, 56)
# Pseudo-observations with the hazard of all products, added to each product's gaps.
PRIOR_GAPS = 20.0


@dataclass(frozen=True)
class RepurchaseHazards:
    """Discrete-time hazards of a repurchase by product, over all its buyers.

    Attributes
    ----------
    hazard
        Probability of a purchase between two of `INTERVAL_ENDS`, given none before, shape
        (products, intervals).
    """

    hazard: Float32s

    @classmethod
    def fit(cls, cols: Ints, ended: Sequence[Float32s], open_days: Float32s, size: int) -> Self:
        """Divide the gaps that ended in each interval by the gaps that reached it.

        Parameters
        ----------
        cols
            Product code of each pair of a customer and a product.
        ended
            For each of `INTERVAL_ENDS`, the pair's number of gaps of at most so many days; then
            the number of all its gaps.
        open_days
            Days since the pair's last purchase, a censored gap.
        size
            Number of products.
        """
        counts: Floats = np.stack(
            [np.bincount(cols, weights=gaps, minlength=size) for gaps in ended], axis=1
        )
        events = np.diff(counts, axis=1, prepend=0.0)
        interval = np.searchsorted(np.asarray(INTERVAL_ENDS), open_days, side="left")
        censored = np.zeros(events.shape)
        np.add.at(censored, (cols, interval), 1.0)
        # A gap that is censored within an interval counts as exposed for half of it.
        exposed = np.cumsum((events + censored)[:, ::-1], axis=1)[:, ::-1] - 0.5 * censored
        overall = events.sum(axis=0) / np.maximum(exposed.sum(axis=0), 1.0)
        hazard = (events + PRIOR_GAPS * overall) / (exposed + PRIOR_GAPS)
        return cls(hazard.astype(np.float32))

    def lookup(self, cols: Ints, elapsed: Float32s) -> Float32s:
        """Return the hazard of each product after `elapsed` days; NaN where they are NaN."""
        interval = np.searchsorted(np.asarray(INTERVAL_ENDS, np.float32), elapsed, side="left")
        return np.where(np.isnan(elapsed), np.float32(np.nan), self.hazard[cols, interval])


def context_features(
    state: Mapping[str, Float32s],
    hazards: RepurchaseHazards,
    cols: Ints,
    promotions: Mapping[str, Float32s],
) -> dict[str, Float32s]:
    """Compute the context features of candidates.

    Parameters
    ----------
    state
        The columns of `INTERACTION_STATE`, `CUSTOMER_STATE` and `PRODUCT_STATE`, one value per
        candidate, and `pair_on_<kind>`, `customer_on_<kind>` and `product_on_<kind>` by kind of
        promotion.
    hazards, cols
        Hazards of all products, and the product code of each candidate.
    promotions
        `PromotionPlan.exposure` of the candidates.

    Returns
    -------
    dict
        By feature.
    """
    features = dict(state)
    gap = state["gap_mean"]
    with np.errstate(invalid="ignore", divide="ignore"):
        features["recency_over_gap"] = state["recency_days"] / (gap + 1.0)
        features["recency_over_product_gap"] = state["recency_days"] / (state["product_gap"] + 1.0)
        features["recency_less_gap"] = (state["recency_days"] - gap) / (state["gap_sd"] + 1.0)
        features["type_share"] = state["decay_basket"] / (state["type_decay_60d"] + 1.0)
        features["since_type"] = state["recency_days"] - state["type_recency_days"]
        features["customer_overdue"] = state["customer_recency_days"] / (
            state["customer_cadence"] + 1.0
        )
        features["basket_share"] = state["baskets"] / state["customer_baskets"]
    features["hazard"] = hazards.lookup(cols, state["recency_days"])
    features |= promotions
    return {name: np.asarray(values, np.float32) for name, values in features.items()}


def feature_matrix(features: Mapping[str, Float32s], columns: Sequence[str], rows: int) -> Float32s:
    """Arrange features as a matrix, one row per candidate.

    A feature that is missing is zero: it is a kind of promotion that is not planned.
    """
    values = np.zeros((rows, len(columns)), np.float32)
    for position, name in enumerate(columns):
        if name in features:
            values[:, position] = features[name]
    return values


def advance_days(state: Mapping[str, Float32s], days: int) -> dict[str, Float32s]:
    """Return the state after `days` more days without a purchase."""
    advanced = dict(state)
    if days == 0:
        return advanced
    for name in ELAPSED_DAYS:
        advanced[name] = state[name] + np.float32(days)
    advanced["decay_14d"] = state["decay_14d"] * np.float32(0.5 ** (days / 14))
    # The state has no dates of single purchases: the count holds until the last one is older
    # than a week.
    advanced["baskets_7d"] = np.where(
        advanced["recency_days"] > 7, 0.0, state["baskets_7d"]
    ).astype(np.float32)
    advanced["baskets_7d"][np.isnan(state["baskets_7d"])] = np.nan
    return advanced


def add_purchases(state: Mapping[str, Float32s], elapsed: Float32s) -> dict[str, Float32s]:
    """Return the state after further purchases of one customer, in one basket.

    Parameters
    ----------
    elapsed
        Days since each candidate was bought; NaN for candidates that were not.
    """
    added = dict(state)
    bought = ~np.isnan(elapsed)
    if not bought.any():
        return added
    counts: dict[str, Float32s] = {
        "baskets": np.ones(len(elapsed), np.float32),
        "decay_basket": np.ones(len(elapsed), np.float32),
        "decay_14d": np.exp2(-elapsed / np.float32(14)),
        "baskets_7d": (elapsed <= 7).astype(np.float32),
    }
    for name, count in counts.items():
        added[name] = np.where(bought, np.nan_to_num(state[name]) + count, state[name])
    added["recency_days"] = np.where(bought, elapsed, state["recency_days"]).astype(np.float32)
    later = state["recency_baskets"] + np.float32(1)
    added["recency_baskets"] = np.where(bought, 0.0, later).astype(np.float32)
    added["customer_baskets"] = state["customer_baskets"] + np.float32(1)
    latest = np.float32(np.nanmin(elapsed))
    added["customer_recency_days"] = np.minimum(state["customer_recency_days"], latest)
    return added


def remaining_need(state: Mapping[str, Float32s], elapsed: Float32s) -> Float32s:
    """Return factors that reduce scores of products bought after the state was computed.

    A product with a mean gap of g days that was bought e days ago is needed (e + c) / g as much
    at the customer's next basket, c days from now, and fully after g days. g is the mean of the
    customer's gaps, or of all buyers' gaps if the customer has none. A gap of zero does not
    count: two purchases in one day do not measure how long a product lasts. A product that no
    customer bought twice has the smallest factor.

    Parameters
    ----------
    elapsed
        Days since each candidate was bought; NaN for candidates that were not.

    Returns
    -------
    numpy.ndarray
        From `MIN_REMAINING_NEED` to 1; 1 where `elapsed` is NaN.
    """
    customer_gap, product_gap = state["gap_mean"], state["product_gap"]
    gap = np.where(customer_gap > 0, customer_gap, np.where(product_gap > 0, product_gap, np.inf))
    until_next_basket = elapsed + state["customer_cadence"]
    share = np.clip(until_next_basket / np.maximum(gap, 1.0), MIN_REMAINING_NEED, 1.0)
    return np.where(np.isnan(elapsed), 1.0, share).astype(np.float32)
