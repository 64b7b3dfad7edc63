"""Training of the ranker's neural network: several small networks, joined into a wide one.

Static and context features of candidates with their outcomes in; a `NeuralNet` out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from features.typing import Bools, Float32s, Ints
from training.models.recommender.ranking.neural import MISSING, InputEncoding, NeuralNet, decode

# Networks that differ only by their seed make different errors: on the bundled data three rank
# the next basket 1 % better than one, and six no better than three.
MEMBERS = 3
HIDDEN = 48
EPOCHS = 3
BATCH = 512
PENALTY = 1e-3
# Examples between two projections onto the monotone constraints.
STRIDE = 8 * BATCH


def fit_neural_net(
    static: pl.DataFrame,
    context: pl.DataFrame,
    labels: Mapping[str, Bools],
    *,
    increasing: Sequence[str],
    threads: int,
    seed: int,
) -> NeuralNet:
    """Fit the network to outcomes of candidates.

    Parameters
    ----------
    static, context
        Features, with aligned rows.
    labels
        Outcomes by output, at least two.
    increasing
        Features that never lower an output.
    """
    encodings = InputEncoding.fit(columns(static)), InputEncoding.fit(columns(context))
    codes = np.concatenate(
        [
            encoding.encode(columns(frame), frame.height)
            for encoding, frame in zip(encodings, (static, context), strict=True)
        ],
        axis=1,
    )
    marked = _distinct_missing(codes == MISSING)
    values = decode(codes, marked)
    outcomes = np.column_stack(list(labels.values())).astype(np.int8)
    names = np.array(encodings[0].columns + encodings[1].columns)
    constrained = np.flatnonzero(np.isin(names, list(increasing)))
    with threadpool_limits(threads):
        members = [_member(values, outcomes, constrained, seed + k) for k in range(MEMBERS)]
    return NeuralNet(
        *encodings,
        tuple(labels),
        marked,
        np.concatenate([member.coefs_[0] for member in members], axis=1, dtype=np.float64),
        np.concatenate([member.intercepts_[0] for member in members], dtype=np.float64),
        np.concatenate([member.coefs_[1] / MEMBERS for member in members], dtype=np.float64),
        np.mean([member.intercepts_[1] for member in members], axis=0, dtype=np.float64),
    )


def columns(frame: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Return the columns of a frame as arrays, by name."""
    return {name: frame.get_column(name).to_numpy() for name in frame.columns}


def _distinct_missing(missing: Bools) -> Ints:
    """Choose the first column of each distinct pattern of missing values."""
    first: dict[bytes, int] = {}
    for position, column in enumerate(np.packbits(missing, axis=0).T):
        if column.any():
            first.setdefault(column.tobytes(), position)
    return np.array(list(first.values()), np.int64)


def _member(
    values: Float32s, outcomes: NDArray[np.int8], constrained: Ints, seed: int
) -> MLPClassifier:
    """Fit one network; `constrained` are the inputs that never lower an output."""
    network = MLPClassifier(
        (HIDDEN,), alpha=PENALTY, batch_size=min(BATCH, len(values)), random_state=seed
    )
    rng = np.random.default_rng(seed)
    # Decoded inputs are finite; checking them at each step would cost a tenth of the time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for _ in range(EPOCHS):
            order = rng.permutation(len(values))
            for start in range(0, len(order), STRIDE):
                rows = order[start : start + STRIDE]
                network.set_params(batch_size=min(BATCH, len(rows)))
                network.partial_fit(values[rows], outcomes[rows], classes=[0, 1])
                _constrain(network, constrained)
    return network


def _constrain(network: MLPClassifier, constrained: Ints) -> None:
    """Remove weights through which a constrained input could lower an output."""
    inner, outer = network.coefs_[0][constrained], network.coefs_[1]
    lowers = ((inner > 0) & (outer.min(axis=1) < 0)) | ((inner < 0) & (outer.max(axis=1) > 0))
    network.coefs_[0][constrained] = np.where(lowers, 0.0, inner)
