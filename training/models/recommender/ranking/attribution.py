"""What moved a candidate's score, in a dozen motives that a person understands.

The ranker's boosters and features in; how far each motive moved the log-odds out. Publishing
explains tastes, a request explains the moment. Light imports only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.typing import Float32s
from training.estimators.boosting import Booster
from training.estimators.path_attribution import Paths

# What can be told of is told by `serving.recommender.phrases`; the last two explain no product.
MOTIVES = (
    "habit",
    "rhythm",
    "kind",
    "neighbours",
    "popular",
    "popular_here",
    "alike",
    "season",
    "new",
    "offer",
    "price",
    "customer",
)
TOLD = MOTIVES[:-2]
# What a candidate source's reason is as a motive.
OF_REASON = {
    "repeat": "habit",
    "similar": "neighbours",
    "neighbours": "neighbours",
    "same_kind": "kind",
    "popular": "popular",
    "popular_here": "popular_here",
    "popular_alike": "alike",
    "seasonal": "season",
    "new": "new",
}
# By how a feature's name ends; the first that fits.
BY_END = {
    # What is promoted now; what was promoted when it was bought says nothing of this week.
    "offer": ("_this_week", "_chain", "_worth"),
    "price": ("_last_week", "_next_weeks", "discount", "_price", "_price_change"),
}
BY_START = {
    "price": ("pair_on_", "product_on_", "customer_on_", "on_", "spend"),
    "rhythm": ("gap", "recency", "hazard", "product_gap", "baskets_last_", "decay_14d"),
    "new": ("product_first_days",),
    "popular": ("product_",),
    "customer": ("customer_",),
    "kind": ("type_", "kind_", "share_of_", "since_type"),
}
OF_A_LEVEL = ("subcategory_", "category_", "department_")
# What a product sells within its group tells of the product, not of the customer.
OF_A_GROUPS_SALES = ("share_28d", "relative_price", "28d")


def motive_of(feature: str, reasons: Mapping[str, str]) -> str:
    """Name the motive that a feature of the ranker belongs to.

    Parameters
    ----------
    reasons
        By candidate source, what is told of what it proposes.
    """
    kind, _, source = feature.partition("_")
    if kind in ("score", "rank"):
        return OF_REASON.get(reasons.get(source, ""), "neighbours")
    for motive, ends in BY_END.items():
        if feature.endswith(ends):
            return motive
    level = next((level for level in OF_A_LEVEL if feature.startswith(level)), None)
    if level is not None:
        return "popular" if feature.removeprefix(level) in OF_A_GROUPS_SALES else "kind"
    for motive, starts in BY_START.items():
        if feature.startswith(starts):
            return motive
    return "habit"


def belongs(motives: Sequence[str]) -> Float32s:
    """Mark the motive of each feature; shape (features, `MOTIVES`)."""
    found = [[motive == one for one in MOTIVES] for motive in motives]
    return np.array(found, np.float32).reshape(-1, len(MOTIVES))


@dataclass(frozen=True)
class Movers:
    """How far a booster's leaves move its score, motive by motive.

    Attributes
    ----------
    native, columns
        The booster, and its features in their order.
    moved
        Shape (trees, leaves, motives); see `paths` for what a part means.
    """

    native: lgb.Booster
    columns: tuple[str, ...]
    moved: Float32s

    @classmethod
    def of(cls, booster: Booster, reasons: Mapping[str, str] | None = None) -> Self:
        """Add up the features of each motive; `reasons` as `motive_of` has them."""
        motives = [motive_of(feature, reasons or {}) for feature in booster.columns]
        moved = Paths.of(booster.native).moved @ belongs(motives)
        return cls(booster.native, booster.columns, moved.astype(np.float32))

    def by_motive(self, inputs: NDArray[Any], threads: int = 1) -> Float32s:
        """Split rows' scores, less what is said before any feature is known.

        Parameters
        ----------
        inputs
            Features in the order of `columns`, one row a candidate.

        Returns
        -------
        numpy.ndarray
            Shape (rows, motives).
        """
        found = np.zeros((len(inputs), len(MOTIVES)), np.float32)
        if not len(inputs):  # LightGBM refuses none
            return found
        leaves = np.asarray(self.native.predict(inputs, pred_leaf=True, num_threads=threads))
        leaves = leaves.reshape(len(inputs), -1)
        if len(inputs) < len(self.moved):  # so few as a request shows are looked up at once
            return np.asarray(self.moved[np.arange(len(self.moved)), leaves].sum(axis=1))
        for tree, table in enumerate(self.moved):
            found += table[leaves[:, tree]]
        return found
