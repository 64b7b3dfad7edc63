"""Fit of the ranker: feature selection, neural network, boosters, blend and calibration.

Examples of candidates with their outcomes in; a `Ranker` out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.typing import Bools, Floats
from training.estimators.boosting import Booster, BoostingOptions
from training.models.recommender.ranking.blend import (
    WEIGHTS,
    Blend,
    average_log_odds,
    weighted_sum,
)
from training.models.recommender.ranking.calibration import LogisticCalibration
from training.models.recommender.ranking.calibration_training import fit_calibration
from training.models.recommender.ranking.context_ranker import ContextRanker
from training.models.recommender.ranking.examples import Examples
from training.models.recommender.ranking.extrapolation import LinearExtrapolation
from training.models.recommender.ranking.feature_columns import column_order
from training.models.recommender.ranking.neural import NeuralNet
from training.models.recommender.ranking.neural_training import columns, fit_neural_net
from training.models.recommender.ranking.ranker import Ranker, static_codes

# Features by suffix that never lower a score: promotions of the days ahead.
INCREASING = ("_this_week", "_chain", "_uplift")
# Number of static features, those with the highest gain in a short first fit: on the bundled
# data 60 of 130 rank better than all, at half the cost.
FEATURES = 64
SELECTION_ROUNDS = 30
OBJECTIVE = "cross_entropy"


@dataclass(frozen=True)
class RankerOptions:
    """How boosters are fitted.

    Attributes
    ----------
    trees
        How trees are grown.
    static_rounds, context_rounds
        Number of trees on static and on context features.
    threads, seed
        Processor threads, and the seed of all samples.
    """

    trees: BoostingOptions
    static_rounds: int
    context_rounds: int
    threads: int
    seed: int


def fit_ranker(
    examples: Examples,
    neural_examples: Examples,
    options: RankerOptions,
    *,
    negative_share: float,
) -> Ranker:
    """Fit a ranker.

    Parameters
    ----------
    examples, neural_examples
        Training examples of the boosters, and of the neural network: boosters do not gain from
        older cutoffs.
    negative_share
        Share of the candidates that were not bought in the examples.
    """
    labels = {
        "next": examples.gain,
        "month": examples.in_window.astype(np.float64),
        "explore": examples.in_window.astype(np.float64),
    }
    features = _select_features(examples.static, labels["month"], options)
    neural = _fit_neural(neural_examples, features, options)
    codes = neural.codes(static_codes(neural, examples.static), columns(examples.context))
    neural_log_odds = neural.log_odds(codes)
    static, context, log_odds, scale = {}, {}, {}, {}
    for learner, label in labels.items():
        applies = examples.new if learner == "explore" else np.ones(len(label), bool)
        if not label[applies].any():
            # Without positive examples lists are blended from the other learners.
            continue
        rows = pl.Series(applies)
        static[learner], context[learner], scores = _fit_boosters(
            examples.static.select(features).filter(rows),
            examples.context.filter(rows),
            label[applies],
            options,
        )
        boosted = np.full(len(label), np.nan)
        boosted[applies] = scores
        log_odds[learner] = average_log_odds(learner, boosted, neural_log_odds)
        scale[learner] = max(float(np.nanstd(log_odds[learner])), 1e-6)
    calibrations = _fit_calibrations(examples, log_odds, scale, negative_share)
    return Ranker(
        static,
        LinearExtrapolation.fit(examples.static),
        ContextRanker(context, neural, Blend(scale, calibrations)),
    )


def _select_features(static: pl.DataFrame, label: Floats, options: RankerOptions) -> list[str]:
    """Return the static features with the highest gain, in the order of the examples."""
    booster = Booster.fit(
        static,
        label,
        options.trees.params(objective=OBJECTIVE, max_bin=63),
        SELECTION_ROUNDS,
        threads=options.threads,
        seed=options.seed,
    )
    return column_order(list(booster.importance())[:FEATURES])


def _fit_neural(
    examples: Examples, static_features: list[str], options: RankerOptions
) -> NeuralNet:
    """Fit the neural network; features that are static and context are read once."""
    context = examples.context
    return fit_neural_net(
        examples.static.select([name for name in static_features if name not in context.columns]),
        context,
        {"next": examples.in_next, "month": examples.in_window},
        increasing=[name for name in context.columns if name.endswith(INCREASING)],
        threads=options.threads,
        seed=options.seed,
    )


def _fit_boosters(
    static: pl.DataFrame, context: pl.DataFrame, label: Floats, options: RankerOptions
) -> tuple[Booster, Booster, Floats]:
    """Fit a booster on static features, then one on context features that corrects it.

    Returns
    -------
    tuple
        Both boosters, and the log-odds of the examples.
    """
    params = options.trees.params(objective=OBJECTIVE, max_bin=63)
    threads, seed = options.threads, options.seed
    first = Booster.fit(static, label, params, options.static_rounds, threads=threads, seed=seed)
    static_log_odds = first.predict(static, raw_score=True)
    params |= {
        "monotone_constraints": [int(name.endswith(INCREASING)) for name in context.columns],
        "num_leaves": min(16, options.trees.num_leaves),
        "feature_fraction": 0.5,
    }
    second = Booster.fit(
        context,
        label,
        params,
        options.context_rounds,
        init_score=static_log_odds,
        threads=threads,
        seed=seed,
    )
    return first, second, static_log_odds + second.predict(context, raw_score=True)


def _fit_calibrations(
    examples: Examples,
    log_odds: Mapping[str, Floats],
    scale: Mapping[str, float],
    negative_share: float,
) -> dict[str, LogisticCalibration]:
    """Calibrate each list that has a learner, on the candidates that the list applies to."""
    weight = np.where(examples.in_window, 1.0, 1.0 / negative_share)
    calibrations = {}
    for list_name, weights in WEIGHTS.items():
        if not set(weights) & set(scale):
            continue
        score = weighted_sum(list_name, log_odds, scale)
        applies: Bools = ~np.isnan(score)
        bought = examples.in_next if list_name == "now" else examples.in_window
        calibrations[list_name] = fit_calibration(
            score[applies], examples.basket_size[applies], bought[applies], weight[applies]
        )
    return calibrations
