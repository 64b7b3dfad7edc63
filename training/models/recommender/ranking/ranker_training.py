"""Fit of the ranker: encodings, boosters, neural network, then the calibration of each list.

Examples of candidates with their outcomes in; a `Ranker` out.
"""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.typing import Bools
from training.estimators.boosting import Booster, BoostingOptions
from training.models.recommender.ranking.calibration import LogisticCalibration
from training.models.recommender.ranking.calibration_training import fit_calibration
from training.models.recommender.ranking.encoding import Codes, InputEncoding, decode
from training.models.recommender.ranking.examples import Examples
from training.models.recommender.ranking.neural_training import fit_neural_net
from training.models.recommender.ranking.ranker import LISTS, WEIGHTS, Ranker

# Features by suffix that never lower a score: promotions of the days ahead.
INCREASING = ("_this_week", "_chain", "_uplift")
# Examples that calibrations are fitted on, evenly spaced: their standard error is below 1 %.
CALIBRATED = 100_000


def fit_ranker(
    examples: Examples,
    trees: BoostingOptions,
    rounds: int,
    *,
    negative_share: float,
    threads: int,
    seed: int,
) -> Ranker:
    """Fit a ranker.

    Parameters
    ----------
    trees, rounds
        How trees are grown, and their number.
    negative_share
        Share of the candidates that were not bought in the examples.
    """
    frames = (examples.static, examples.context)
    static, context = (InputEncoding.fit(columns(frame)) for frame in frames)
    codes = np.concatenate(
        [
            encoding.encode(columns(frame), frame.height)
            for encoding, frame in zip((static, context), frames, strict=True)
        ],
        axis=1,
    )
    names = [*static.columns, *context.columns]
    params = trees.params(
        objective="cross_entropy",
        max_bin=63,
        monotone_constraints=[int(name.endswith(INCREASING)) for name in names],
    )
    every = np.ones(len(codes), bool)
    learned = {
        "next": (examples.in_next.astype(np.float64), every),
        "month": (examples.in_window.astype(np.float64), every),
        "explore": (examples.in_window.astype(np.float64), examples.new),
    }
    boosters = {
        learner: Booster.fit(
            pl.DataFrame(decode(codes[rows]), names),
            label[rows],
            params,
            rounds,
            threads=threads,
            seed=seed,
        )
        for learner, (label, rows) in learned.items()
        if label[rows].any()
    }
    neural = fit_neural_net(
        codes,
        {"net_next": examples.in_next, "net_month": examples.in_window},
        np.flatnonzero([name.endswith(INCREASING) for name in names]),
        threads=threads,
        seed=seed,
    )
    ranker = Ranker(static, context, boosters, neural, {})
    return replace(ranker, calibrations=_fit_calibrations(examples, ranker, codes, negative_share))


def columns(frame: pl.DataFrame) -> dict[str, NDArray[np.float32]]:
    """Return the columns of a frame as arrays, by name."""
    return {name: frame.get_column(name).to_numpy() for name in frame.columns}


def _fit_calibrations(
    examples: Examples, ranker: Ranker, codes: Codes, negative_share: float
) -> dict[str, LogisticCalibration]:
    """Calibrate each list that has a learner and candidates, on these candidates."""
    sample = slice(None, None, max(len(codes) // CALIBRATED, 1))
    scores = ranker.scores(codes[sample])
    weight = np.where(examples.in_window, 1.0, 1.0 / negative_share)[sample]
    new, size = examples.new[sample], examples.basket_size[sample]
    calibrations = {}
    for list_name in LISTS:
        applies: Bools = new if list_name == "explore" else np.ones(len(new), bool)
        outcome = examples.in_next if list_name == "now" else examples.in_window
        if applies.any() and set(WEIGHTS[list_name]) & set(ranker.boosters):
            calibrations[list_name] = fit_calibration(
                scores[list_name][applies],
                size[applies],
                outcome[sample][applies],
                weight[applies],
            )
    return calibrations
