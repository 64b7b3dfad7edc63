"""Attribution of a candidate's score to groups of features, by which a list is explained.

The ranker's boosters and their inputs in; the change of log-odds due to each group out. Imported by
serving, so it loads no library that only training needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import lightgbm as lgb
import numpy as np

from features.typing import Float32s
from training.estimators.boosting import Booster
from training.estimators.path_attribution import PathAttribution

REASON_GROUPS = (
    "repeat",
    "cadence",
    "category",
    "neighbours",
    "popular",
    "new",
    "promotion",
    "price",
    "customer",
)
# Groups that can explain a product to a customer: prices and customer features cannot.
EXPLAINED_GROUPS = REASON_GROUPS[:-2]
# The group of each reason code of the candidate generators.
GROUP_OF_REASON = {
    "repeat": "repeat",
    "similar": "neighbours",
    "same_kind": "category",
    "popular": "popular",
    "new": "new",
}
# Groups by the end of a feature's name; the first match counts.
GROUP_BY_SUFFIX = {
    # Promotions of the coming week. Promotions of past purchases are in the price group.
    "promotion": ("_this_week", "_chain", "_uplift"),
    "price": ("_last_week", "_next_weeks", "discount", "_price", "_price_change"),
}
# Groups by the start of a feature's name; the first match counts.
GROUP_BY_PREFIX = {
    "price": ("pair_on_", "product_on_", "customer_on_", "on_", "spend"),
    "cadence": ("gap", "recency", "hazard", "product_gap", "baskets_last_", "decay_14d"),
    "new": ("product_first_days",),
    "popular": ("product_",),
    "customer": ("customer_",),
    "category": ("type_", "kind_", "share_of_", "since_type"),
}
LEVEL_PREFIXES = ("subcategory_", "category_", "department_")
# Features of a level that describe the product's sales within it, not the customer's purchases.
LEVEL_SALES = ("share_28d", "relative_price", "28d")


def reason_group(feature: str, reasons: Mapping[str, str]) -> str:
    """Return the group in `REASON_GROUPS` of a feature of the ranker.

    Parameters
    ----------
    reasons
        Reason code of each candidate generator, by the generator's name.
    """
    prefix, _, generator = feature.partition("_")
    if prefix in ("score", "rank"):
        return GROUP_OF_REASON.get(reasons.get(generator, ""), "neighbours")
    for group, suffixes in GROUP_BY_SUFFIX.items():
        if feature.endswith(suffixes):
            return group
    level = next((level for level in LEVEL_PREFIXES if feature.startswith(level)), None)
    if level is not None:
        return "popular" if feature.removeprefix(level) in LEVEL_SALES else "category"
    for group, prefixes in GROUP_BY_PREFIX.items():
        if feature.startswith(prefixes):
            return group
    return "repeat"


def group_indicators(groups: Sequence[str]) -> Float32s:
    """Encode the group of each feature as one-hot rows, shape (features, `EXPLAINED_GROUPS`)."""
    rows = [[group == name for name in EXPLAINED_GROUPS] for group in groups]
    return np.array(rows, np.float32).reshape(-1, len(EXPLAINED_GROUPS))


@dataclass(frozen=True)
class GroupAttribution:
    """Path attribution of a booster, summed within the groups that can explain a product.

    Attributes
    ----------
    native
        The booster.
    effects
        Change of the raw score due to each group on the path to each leaf, shape (trees,
        leaves, `EXPLAINED_GROUPS`); see `path_attribution`.
    """

    native: lgb.Booster
    effects: Float32s

    @classmethod
    def from_booster(cls, booster: Booster, groups: Sequence[str]) -> Self:
        """Sum the path attribution of a booster by the group of each feature."""
        effects = PathAttribution.from_booster(booster.native).effects @ group_indicators(groups)
        return cls(booster.native, effects.astype(np.float32))

    def by_group(self, inputs: Float32s) -> Float32s:
        """Split the raw scores of rows, less the booster's expected score, into groups.

        Returns
        -------
        numpy.ndarray
            Shape (rows, `EXPLAINED_GROUPS`).
        """
        if not len(inputs):  # LightGBM rejects an empty matrix
            return np.zeros((0, len(EXPLAINED_GROUPS)), np.float32)
        leaves = np.asarray(self.native.predict(inputs, pred_leaf=True, num_threads=1))
        leaves = leaves.reshape(len(inputs), -1)
        return np.asarray(self.effects[np.arange(len(self.effects)), leaves].sum(axis=1))
