"""Features of a candidate that a request changes: the clock, the place and its promotions.

What is kept of a customer and a product in, with the time and the plan; one row a candidate
out. Training, batch predictions and serving all come here. Light imports only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.typing import Float32s, Ints

# Kept of each candidate; NaN for what the customer never bought.
OF_PAIR = (
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
# Kept of each customer.
OF_CUSTOMER = (
    "customer_baskets",
    "customer_recency_days",
    "customer_cadence",
    "customer_size",
    "customer_size_last",
)
# Kept of each product.
OF_PRODUCT = (
    "product_gap",
    "product_28d",
    "product_repeat_rate",
    "product_on_promotion",
    "product_recent_discount",
)
# What grows with each day that passes without a purchase.
CLOCKS = ("recency_days", "type_recency_days", "kind_recency_days", "customer_recency_days")
# Of what was bought this instant and lasts for ever, so much is wanted: it may be a gift.
LEAST_WANTED = 0.1
# Upper edges, in days, of the stretches of a product's own clock.
EDGES = (3, 7, 14, 28, 56)


@dataclass(frozen=True)
class Clocks:
    """How soon products are bought again, learned from all who bought them.

    Attributes
    ----------
    hazard
        Chance that a purchase comes in a stretch of days between two of `EDGES`, given that
        none came before it; shape (products, stretches).
    """

    hazard: Float32s

    @classmethod
    def learn(
        cls, cols: Ints, ended: Sequence[Float32s], open_days: Float32s, size: int
    ) -> "Clocks":
        """Count the gaps that ended in each stretch over those that reached it.

        Parameters
        ----------
        cols
            The product of each pair of a customer and a product.
        ended
            For each of `EDGES`, the pair's gaps of at most so many days; then all of them.
        open_days
            Days since the pair's last purchase: a gap that has not ended.
        """
        upto = np.stack([np.bincount(cols, weights=one, minlength=size) for one in ended], axis=1)
        events = np.diff(upto, axis=1, prepend=0.0)
        stretch = np.searchsorted(np.asarray(EDGES), open_days, side="left")
        open_ = np.zeros(events.shape)
        np.add.at(open_, (cols, stretch), 1.0)
        # A gap that is still open within a stretch has been through half of it.
        reached = np.cumsum((events + open_)[:, ::-1], axis=1)[:, ::-1] - 0.5 * open_
        prior = 20.0
        everywhere = events.sum(axis=0) / np.maximum(reached.sum(axis=0), 1.0)
        return cls(((events + prior * everywhere) / (reached + prior)).astype(np.float32))

    def at(self, cols: Ints, elapsed: Float32s) -> Float32s:
        """Hazard of each product after so many days; NaN where there are none."""
        stretch = np.searchsorted(np.asarray(EDGES, np.float32), elapsed, side="left")
        return np.where(np.isnan(elapsed), np.float32(np.nan), self.hazard[cols, stretch])


def moment_features(
    state: Mapping[str, Float32s],
    hazard: Clocks,
    cols: Ints,
    promotions: Mapping[str, Float32s],
) -> dict[str, Float32s]:
    """Describe candidates at a moment.

    Parameters
    ----------
    state
        The columns of `OF_PAIR`, `OF_CUSTOMER` and `OF_PRODUCT`, one value a candidate, and
        `pair_on_<kind>`, `customer_on_<kind>` and `product_on_<kind>` by kind of promotion.
    hazard, cols
        The products' clocks, and the candidates' products.
    promotions
        By kind and week, as `Plan.shares` says them for these candidates.

    Returns
    -------
    dict
        By feature; what the ranker learns the moment from.
    """
    found = dict(state)
    gap = state["gap_mean"]
    with np.errstate(invalid="ignore", divide="ignore"):
        found["recency_over_gap"] = state["recency_days"] / (gap + 1.0)
        found["recency_over_product_gap"] = state["recency_days"] / (state["product_gap"] + 1.0)
        found["recency_less_gap"] = (state["recency_days"] - gap) / (state["gap_sd"] + 1.0)
        found["type_share"] = state["decay_basket"] / (state["type_decay_60d"] + 1.0)
        found["since_type"] = state["recency_days"] - state["type_recency_days"]
        found["customer_overdue"] = state["customer_recency_days"] / (
            state["customer_cadence"] + 1.0
        )
        found["basket_share"] = state["baskets"] / state["customer_baskets"]
    found["hazard"] = hazard.at(cols, state["recency_days"])
    found |= promotions
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def laid_out(features: Mapping[str, Float32s], columns: Sequence[str], rows: int) -> Float32s:
    """Lay features side by side, one row a candidate; what nobody planned to promote is zero."""
    found = np.zeros((rows, len(columns)), np.float32)
    for at, name in enumerate(columns):
        if name in features:
            found[:, at] = features[name]
    return found


def days_on(state: Mapping[str, Float32s], days: int) -> dict[str, Float32s]:
    """Let `days` pass without a purchase."""
    found = dict(state)
    if days == 0:
        return found
    for name in CLOCKS:
        found[name] = state[name] + np.float32(days)
    found["decay_14d"] = state["decay_14d"] * np.float32(0.5 ** (days / 14))
    # Which of the last week's purchases are still of it is not kept; after its end none is.
    found["baskets_7d"] = np.where(found["recency_days"] > 7, 0.0, state["baskets_7d"]).astype(
        np.float32
    )
    found["baskets_7d"][np.isnan(state["baskets_7d"])] = np.nan
    return found


def still_there(state: Mapping[str, Float32s], elapsed: Float32s) -> Float32s:
    """Say how much is wanted again of what was bought after the state was taken.

    What lasts g days and was bought e days ago will, at the customer's next basket c days from
    now, be wanted (e + c) / g as much, until it is used up; g is the mean of the customer's
    own gaps, or of all buyers' where there is none. A gap of zero is none: what was bought twice
    in one day says nothing of how long it lasts. What nobody bought again lasts for ever.

    Parameters
    ----------
    elapsed
        Days since each candidate was bought; NaN for what was not.

    Returns
    -------
    numpy.ndarray
        1 for what was not bought or will be used up; at least `LEAST_WANTED`.
    """
    own, of_all = state["gap_mean"], state["product_gap"]
    lasts = np.where(own > 0, own, np.where(of_all > 0, of_all, np.inf))
    coming = elapsed + state["customer_cadence"]
    share = np.clip(coming / np.maximum(lasts, 1.0), LEAST_WANTED, 1.0)
    return np.where(np.isnan(elapsed), 1.0, share).astype(np.float32)
