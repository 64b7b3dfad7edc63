"""What each feature moved in a booster's answer, read off the paths through its trees.

A fitted LightGBM booster comes in; a table says for every leaf how much each feature on the way
to it moved the score. Looking up a row's leaves costs little more than predicting it, where
TreeSHAP costs twenty times as much: for answers of which a million are explained.
Source: Saabas (2014), "Interpreting random forests"; Lundberg et al. (2020) compare it.
"""

from dataclasses import dataclass
from typing import Any, Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.typing import Floats


@dataclass(frozen=True)
class Paths:
    """How far each leaf lies from its tree's root, feature by feature.

    Attributes
    ----------
    moved
        Shape (trees, leaves, features): a node's value is the mean of the leaves below it,
        weighted by their training rows; a step from a node to its child belongs to the feature
        that the node splits on.
    base
        The sum of the roots' values: what is said before any feature is known.
    """

    moved: Floats
    base: float

    @classmethod
    def of(cls, native: lgb.Booster) -> Self:
        """Read the trees of a booster that predicts one number a row."""
        trees = native.dump_model(num_iteration=native.best_iteration or None)["tree_info"]
        leaves = max(tree["num_leaves"] for tree in trees)
        moved = np.zeros((len(trees), leaves, native.num_feature()))
        base = 0.0
        for tree, table in zip(trees, moved, strict=True):
            root = tree["tree_structure"]
            base += _mean(root)[0]
            _walk(root, np.zeros(native.num_feature()), table)
        return cls(moved, base)

    def contributions(self, leaves: NDArray[np.int32]) -> Floats:
        """Add up what the features moved on the way to each row's leaves.

        Parameters
        ----------
        leaves
            What `predict(..., pred_leaf=True)` returns, shape (rows, trees).

        Returns
        -------
        numpy.ndarray
            Shape (rows, features + 1), the last column the base; rows add up to the raw score.
        """
        found = np.zeros((len(leaves), self.moved.shape[2] + 1))
        found[:, -1] = self.base
        for number, table in enumerate(self.moved):
            found[:, :-1] += table[leaves[:, number]]
        return found


def _walk(node: dict[str, Any], so_far: Floats, table: Floats) -> None:
    if "split_feature" not in node:
        table[node.get("leaf_index", 0)] = so_far
        return
    here = _mean(node)[0]
    for side in ("left_child", "right_child"):
        child = node[side]
        step = so_far.copy()
        step[node["split_feature"]] += _mean(child)[0] - here
        _walk(child, step, table)


def _mean(node: dict[str, Any]) -> tuple[float, float]:
    """Return the mean value of the leaves below a node and their weight; kept in the node."""
    if "mean" not in node:
        if "split_feature" not in node:
            node["mean"] = (float(node["leaf_value"]), float(node.get("leaf_count", 1)))
        else:
            (left, many), (right, more) = _mean(node["left_child"]), _mean(node["right_child"])
            node["mean"] = ((left * many + right * more) / (many + more), many + more)
    found: tuple[float, float] = node["mean"]
    return found
