"""Model averaging: a loss of weighted members in, weights that are not negative and sum to one out.

Weights are shrunk towards a prior, so that few examples hardly move them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from features.typing import Floats


def member_weights(
    loss: Callable[[Floats], float], prior: Mapping[str, float], shrinkage: float
) -> dict[str, float]:
    """Minimise a loss over weights on the simplex (a linear opinion pool, Stone 1961).

    Parameters
    ----------
    loss
        Mean loss of examples by the weights of the members, in the order of `prior`.
    prior
        Weights expected before the examples, by member; they sum to one.
    shrinkage
        Weight of the squared distance from the prior: inverse to the number of examples.
    """
    # Imported here because fitted models are also served, and the import takes a second.
    from scipy.optimize import minimize

    expected = np.array(list(prior.values()))
    optimum = minimize(
        lambda weights: loss(weights) + shrinkage * float(((weights - expected) ** 2).sum()),
        expected,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(expected),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    weights = np.clip(optimum.x, 0.0, 1.0)
    return dict(zip(prior, (weights / weights.sum()).tolist(), strict=True))
