"""Stacking weights of the churn ensemble: held-out log-odds and outcomes in, convex weights out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features.typing import Floats

# Weights of trees, logit and process, not negative, of sum 1.
Weights = tuple[float, float, float]

# Step of the grid of weights.
STEP = 0.1
NEWTON_STEPS = 6
# Log-likelihood in nats by which fitted members must exceed the process: where customers buy as
# the process assumes, everything else that members fit is noise.
PRIOR_NATS = 5.0
# Weights of members that were not compared on held-out examples.
EQUAL_WEIGHTS: Weights = (1 / 3, 1 / 3, 1 / 3)


class HeldOut(NamedTuple):
    """Predictions for examples that the members were not fitted to.

    Attributes
    ----------
    log_odds
        `ChurnEnsemble.member_log_odds`, shape (examples, 3).
    label
        1 where the customer churned.
    importance
        Factor of the log-likelihood.
    """

    log_odds: Floats
    label: Floats
    importance: float


def fit_weights(held_out: Sequence[HeldOut], *, with_trees: bool) -> Weights:
    """Return the posterior mean of convex weights on a grid.

    The likelihood of held-out outcomes weighs each grid point, with a prior of PRIOR_NATS for the
    process: the single best point is too noisy. Each set of examples has its own intercept, so
    that a season of more churn does not favour members of a higher level.

    Parameters
    ----------
    held_out
        Sets of held-out examples.
    with_trees
        False gives trees the weight 0.
    """
    steps = round(1 / STEP)
    grid = (
        np.array(
            [
                (trees, logit, steps - trees - logit)
                for trees in range(steps + 1 if with_trees else 1)
                for logit in range(steps + 1 - trees)
            ]
        )
        / steps
    )
    log_likelihood = PRIOR_NATS * grid[:, 2]
    for log_odds, label, importance in held_out:
        odds = log_odds @ grid.T
        for _ in range(NEWTON_STEPS):  # on the intercept of each column
            p = 1 / (1 + np.exp(-odds))
            slope = np.maximum((p * (1 - p)).mean(axis=0), 1e-6)
            odds = odds + np.clip((label.mean() - p.mean(axis=0)) / slope, -1, 1)
        log_likelihood += importance * (label[:, None] * odds - np.logaddexp(0, odds)).sum(axis=0)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    trees, logit, process = (posterior @ grid / posterior.sum()).tolist()
    return trees, logit, process


def without_trees(weights: Weights) -> Weights:
    """Return the weights with those of the trees given to the logit."""
    trees, logit, process = weights
    return (0.0, logit + trees, process)
