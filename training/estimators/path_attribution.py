"""Attribution of a booster's predictions to features along the paths through its trees.

In: a fitted LightGBM booster and the leaves of each row. Out: one contribution per feature. Looking
up leaves costs little more than predicting; TreeSHAP costs twenty times as much.
Source: Saabas (2014), "Interpreting random forests"; Lundberg et al. (2020) compare it with
TreeSHAP.
"""

from dataclasses import dataclass
from typing import Any, Self

import lightgbm as lgb
import numpy as np

from features.typing import Floats, Int32s


@dataclass(frozen=True)
class PathAttribution:
    """Contribution of each feature to the score of each leaf.

    Attributes
    ----------
    effects
        Shape (trees, leaves, features). The value of a node is the mean of the leaves below it,
        weighted by training rows; the difference between a child and its parent belongs to the
        feature that the parent splits on.
    base
        Sum of the values of the roots.
    """

    effects: Floats
    base: float

    @classmethod
    def from_booster(cls, native: lgb.Booster) -> Self:
        """Read the trees of a booster that predicts one number per row."""
        trees = native.dump_model(num_iteration=native.best_iteration or None)["tree_info"]
        leaves = max(tree["num_leaves"] for tree in trees)
        effects = np.zeros((len(trees), leaves, native.num_feature()))
        base = 0.0
        for tree, table in zip(trees, effects, strict=True):
            root = tree["tree_structure"]
            base += _mean(root)[0]
            _fill(root, np.zeros(native.num_feature()), table)
        return cls(effects, base)

    def contributions(self, leaves: Int32s) -> Floats:
        """Sum the effects of each row's leaves over trees.

        Parameters
        ----------
        leaves
            What `predict(..., pred_leaf=True)` returns, shape (rows, trees).

        Returns
        -------
        numpy.ndarray
            Shape (rows, features + 1), the last column the base; rows sum to the raw score.
        """
        sums = np.zeros((len(leaves), self.effects.shape[2] + 1))
        sums[:, -1] = self.base
        if len(leaves) == 1:
            sums[0, :-1] = self.effects[np.arange(len(self.effects)), leaves[0]].sum(axis=0)
            return sums
        for number, table in enumerate(self.effects):
            sums[:, :-1] += table[leaves[:, number]]
        return sums


def _fill(node: dict[str, Any], effects: Floats, table: Floats) -> None:
    """Write the effects on the path to each leaf below a node into the tree's table."""
    if "split_feature" not in node:
        table[node.get("leaf_index", 0)] = effects
        return
    value = _mean(node)[0]
    for side in ("left_child", "right_child"):
        child = node[side]
        further = effects.copy()
        further[node["split_feature"]] += _mean(child)[0] - value
        _fill(child, further, table)


def _mean(node: dict[str, Any]) -> tuple[float, float]:
    """Return the weighted mean of the leaves below a node and their weight; cached in the node."""
    if "mean" not in node:
        if "split_feature" not in node:
            node["mean"] = (float(node["leaf_value"]), float(node.get("leaf_count", 1)))
        else:
            (left, left_weight), (right, right_weight) = (
                _mean(node["left_child"]),
                _mean(node["right_child"]),
            )
            weight = left_weight + right_weight
            node["mean"] = ((left * left_weight + right * right_weight) / weight, weight)
    mean: tuple[float, float] = node["mean"]
    return mean
