"""Fits the net that ranks beside the boosters: several small ones, which make one wide one."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from training.models.recommender.ranking.neural import MISSING, Inputs, Net, read

# Nets that differ by their seed alone err differently: on the bundled data three rank the next
# basket 1 % better than one, and six no better than three.
MEMBERS = 3
HIDDEN = 48
EPOCHS = 3
BATCH = 512
PENALTY = 1e-3
# After so many examples what must not lower an answer is kept from it.
STRIDE = 8 * BATCH


def fit_net(
    taste: pl.DataFrame,
    moment: pl.DataFrame,
    labels: Mapping[str, NDArray[np.bool_]],
    *,
    rising: Sequence[str],
    threads: int,
    seed: int,
) -> Net:
    """Learn from candidates what becomes of them.

    Parameters
    ----------
    taste, moment
        Features, aligned.
    labels
        At least two; by learner, whether it came true.
    rising
        Features that never lower an answer.
    """
    of_taste, of_moment = (Inputs.fit(columns(frame)) for frame in (taste, moment))
    codes = np.concatenate(
        [
            of_taste.codes(columns(taste), taste.height),
            of_moment.codes(columns(moment), moment.height),
        ],
        axis=1,
    )
    marked = _told_apart(codes == MISSING)
    values = read(codes, marked)
    truth = np.column_stack(list(labels.values())).astype(np.int8)
    names = np.array(of_taste.columns + of_moment.columns)
    rises = np.flatnonzero(np.isin(names, list(rising)))
    with threadpool_limits(threads):
        found = [_member(values, truth, rises, seed + at) for at in range(MEMBERS)]
    return Net(
        of_taste,
        of_moment,
        tuple(labels),
        marked,
        np.concatenate([one.coefs_[0] for one in found], axis=1, dtype=np.float64),
        np.concatenate([one.intercepts_[0] for one in found], dtype=np.float64),
        np.concatenate([one.coefs_[1] / MEMBERS for one in found], dtype=np.float64),
        np.mean([one.intercepts_[1] for one in found], axis=0, dtype=np.float64),
    )


def columns(frame: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Return a frame's features by name."""
    return {name: frame.get_column(name).to_numpy() for name in frame.columns}


def _told_apart(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose one column of those that are missing in the same rows; none where nothing is."""
    first: dict[bytes, int] = {}
    for at, column in enumerate(np.packbits(missing, axis=0).T):
        if column.any():
            first.setdefault(column.tobytes(), at)
    return np.array(list(first.values()), np.int64)


def _member(
    values: NDArray[np.float32], truth: NDArray[np.int8], rises: NDArray[np.int64], seed: int
) -> MLPClassifier:
    net = MLPClassifier(
        (HIDDEN,), alpha=PENALTY, batch_size=min(BATCH, len(values)), random_state=seed
    )
    rng = np.random.default_rng(seed)
    # What is learned from is finite as it is read; looking again at each step takes a tenth.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for _ in range(EPOCHS):
            order = rng.permutation(len(values))
            for start in range(0, len(order), STRIDE):
                some = order[start : start + STRIDE]
                net.set_params(batch_size=min(BATCH, len(some)))
                net.partial_fit(values[some], truth[some], classes=[0, 1])
                _let_rise(net, rises)
    return net


def _let_rise(net: MLPClassifier, rises: NDArray[np.int64]) -> None:
    """Cut the ways by which more of some features would lower an output."""
    entering, leaving = net.coefs_[0][rises], net.coefs_[1]
    lowers = ((entering > 0) & (leaving.min(axis=1) < 0)) | (
        (entering < 0) & (leaving.max(axis=1) > 0)
    )
    net.coefs_[0][rises] = np.where(lowers, 0.0, entering)
