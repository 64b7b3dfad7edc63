"""Training of the ranker's neural network: several small networks, joined into a wide one.

Codes of candidates with their outcomes in; a `NeuralNet` out.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from features.typing import Bools, Ints
from training.models.recommender.ranking.encoding import MISSING, Codes
from training.models.recommender.ranking.neural import NeuralNet, standardised

# Networks that differ only by their first weights make different errors: on the bundled data
# three rank the next basket 1 % better than one, and six no better than three.
MEMBERS = 3
HIDDEN = 48
PENALTY = 1e-3
# Examples in a step, one epoch each. Growing steps end the fit as a falling learning rate does
# (Smith et al. 2018): with equal steps, rankings differ by 3 % between seeds.
BATCHES = (512, 1024, 4096)
# Examples between two projections onto the monotone constraints.
STRIDE = 4096


def fit_neural_net(
    codes: Codes, labels: Mapping[str, Bools], increasing: Ints, *, threads: int, seed: int
) -> NeuralNet:
    """Fit the network to outcomes of candidates.

    Parameters
    ----------
    labels
        Outcomes by output, at least two.
    increasing
        Columns that never lower an output.
    """
    marked = _distinct_missing(codes)
    outcomes = np.column_stack(list(labels.values())).astype(np.int8)
    with threadpool_limits(threads):
        members = _fit_members(codes, marked, outcomes, increasing, seed)
    return NeuralNet(
        np.array(list(labels)),
        marked,
        np.concatenate([member.coefs_[0] for member in members], axis=1, dtype=np.float64),
        np.concatenate([member.intercepts_[0] for member in members], dtype=np.float64),
        np.concatenate([member.coefs_[1] / MEMBERS for member in members], dtype=np.float64),
        np.mean([member.intercepts_[1] for member in members], axis=0, dtype=np.float64),
    )


def _distinct_missing(codes: Codes) -> Ints:
    """Choose the first column of each distinct pattern of missing values."""
    first: dict[bytes, int] = {}
    for position, column in enumerate(codes.T):
        missing = column == MISSING
        if missing.any():
            first.setdefault(np.packbits(missing).tobytes(), position)
    return np.array(list(first.values()), np.int64)


def _fit_members(
    codes: Codes, marked: Ints, outcomes: NDArray[np.int8], increasing: Ints, seed: int
) -> list[MLPClassifier]:
    """Fit the networks side by side, so that codes are decoded once for all of them."""
    networks = [
        MLPClassifier((HIDDEN,), alpha=PENALTY, random_state=seed + member)
        for member in range(MEMBERS)
    ]
    rng = np.random.default_rng(seed)
    # Decoded codes are finite; checking them at each step would cost a tenth of the time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for batch in BATCHES:
            order = rng.permutation(len(codes))
            for start in range(0, len(order), STRIDE):
                rows = order[start : start + STRIDE]
                values = standardised(codes[rows], marked)
                for network in networks:
                    network.set_params(batch_size=min(batch, len(rows)))
                    network.partial_fit(values, outcomes[rows], classes=range(outcomes.shape[1]))
                    _constrain(network, increasing)
    return networks


def _constrain(network: MLPClassifier, constrained: Ints) -> None:
    """Remove weights through which a constrained input could lower an output."""
    inner, outer = network.coefs_[0][constrained], network.coefs_[1]
    lowers = ((inner > 0) & (outer.min(axis=1) < 0)) | ((inner < 0) & (outer.max(axis=1) > 0))
    network.coefs_[0][constrained] = np.where(lowers, 0.0, inner)
