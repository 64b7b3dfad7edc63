"""Training of the timing of the next purchase: customers at past cutoffs in, a model out.

Trees learn whether customers bought nothing within several numbers of days. The members of the
ensemble are weighed on the newest outcomes, with a model that was fitted before them; the level is
that of the same season of the year before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.memo import memo
from features.typing import Floats, Ints
from training.customers.cutoffs import (
    Cutoff,
    customer_features,
    cutoff_days,
    follow_up,
    half_horizon,
    has_enough_history,
    history_days,
)
from training.customers.hazard import Periods
from training.customers.horizon import FOLLOW_UP, HORIZON
from training.customers.prediction import FEW_VISITS
from training.customers.purchase_timing import (
    BG_NBD,
    MBG_NBD,
    RFM_LOGISTIC,
    TREES,
    PurchaseTiming,
    tree_inputs,
)
from training.customers.rfm_logistic import RfmLogistic
from training.customers.seasonal_calibration import level_of, seasonal_level
from training.customers.survival import CUTOFF_STEP_DAYS, NEW_CUSTOMER
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.estimators.model_averaging import member_weights
from training.estimators.platt_scaling import log_odds_of

# Days ahead whose outcomes are learned, besides the horizon, its half and its double.
KNOTS = (1, 2, 4, 7, 10, 14, 21, 28, 42, 56, 91, 182)
# Fewest days between cutoffs: customers hardly change within fewer.
MIN_STEP_DAYS = 7
# Weights of the members before they are compared: trees need many examples, and learn the level of
# few seasons where records are short.
PRIOR_WEIGHTS = {TREES: 0.2, RFM_LOGISTIC: 0.2, BG_NBD: 0.3, MBG_NBD: 0.3}
# Examples that the prior counts as, and the curvature of their log loss: p (1 - p) at p = 0.1.
PRIOR_EXAMPLES, CURVATURE = 300, 0.09
# With fewer examples of customers with few visits, newcomers get the curve of all customers.
MIN_FEW_VISITS_EXAMPLES = 30

BOOSTING = BoostingOptions(
    learning_rate=0.05,
    num_leaves=16,
    min_data_in_leaf=100,
    feature_fraction=0.3,
    lambda_l2=20.0,
)


@dataclass(frozen=True)
class TimingOptions:
    """How the model is trained.

    Attributes
    ----------
    trees, rounds
        Options of the trees, and their number.
    cutoffs
        Number of past cutoffs at most: two weeks apart, or half a horizon if that is more; up to
        weekly where records are short.
    examples
        Size of the random sample of customers, cutoffs and days; bounds time and memory.
    min_examples, min_per_class
        With fewer customers at cutoffs, or fewer of the rarer outcome at the horizon among them,
        there are no trees. In the smallest samples that were measured, trees were not worse
        (`benchmarks/customers_size.py`): the weights limit their influence.
    seed, threads
        Same seed, same model; processor threads to fit with.
    """

    trees: BoostingOptions = BOOSTING
    rounds: int = 200
    cutoffs: int = 12
    examples: int = 75_000
    min_examples: int = 300
    min_per_class: int = 30
    seed: int = 0
    threads: int = 1


def fit_purchase_timing(
    dataset: Dataset,
    as_of: datetime,
    options: TimingOptions,
    *,
    horizon_days: int | None = None,
    follow_up_days: int | None = None,
) -> PurchaseTiming:
    """Fit the model to what is known at `as_of`; models that ask for the same share the fit.

    It is trained on whether customers at past cutoffs bought nothing within several numbers of
    days; shorter ones are known of newer cutoffs. With less than two horizons of records there are
    no cutoffs, and the model is BG/NBD and MBG/NBD.

    Parameters
    ----------
    dataset, as_of
        The records, of which those before `as_of` are known.
    options
        How the model is trained.
    horizon_days
        The horizon of churn, by default the usual one (`training.customers.horizon`).
    follow_up_days
        Days that curves reach without extrapolation, by default the usual follow-up; at least two
        horizons, where records reach as far.

    Raises
    ------
    MissingData
        If there are too few days before `as_of` to fit MBG/NBD.
    """
    horizon = horizon_days or HORIZON.usual(dataset, as_of).days
    last = max(follow_up_days or FOLLOW_UP.usual(dataset, as_of).days, 2 * horizon)
    return _fit(dataset, as_of, horizon, days_ahead(horizon, last), options)


def days_ahead(horizon_days: int, last: int) -> tuple[int, ...]:
    """Return the days ahead at which curves are predicted, from 1 to `last`, ascending."""
    further = (half_horizon(horizon_days), horizon_days, 2 * horizon_days)
    return tuple(sorted({day for day in (*KNOTS, *further, last) if day <= last}))


@memo()
def _fit(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    days: tuple[int, ...],
    options: TimingOptions,
) -> PurchaseTiming:
    trained = has_enough_history(dataset, as_of, horizon_days, 2 * horizon_days)
    processes = _processes(horizon_days, days, customer_features(dataset, as_of))
    if not trained:
        return processes
    # Soon after the first record all customers look new.
    known = history_days(dataset, as_of) - horizon_days
    history = min(2 * horizon_days, known)
    usual = max(CUTOFF_STEP_DAYS, half_horizon(horizon_days))
    complete = cutoff_days(
        dataset,
        as_of,
        latest=horizon_days,
        step=int(np.clip((known - history) // options.cutoffs, MIN_STEP_DAYS, usual)),
        count=options.cutoffs,
        history=history,
    )
    recent = to_day(as_of) - half_horizon(horizon_days)
    cutoffs = [follow_up(dataset, as_of, day, days[-1]) for day in (recent, *complete)]
    model = _with_trees(replace(processes, newcomer=_newcomer(days, cutoffs)), cutoffs, options)
    if model.booster is None:
        return model
    newest = cutoffs[1]
    known_then = [cutoff.censored_at(newest.day) for cutoff in cutoffs if cutoff.day < newest.day]
    past = _with_trees(_processes(horizon_days, days, newest.features), known_then, options)
    weights = _weights(past, newest)
    model = replace(model, weights=weights)
    if past.booster is not None:
        past = replace(past, weights=weights)
    season = seasonal_level(dataset, as_of, horizon_days, newest, model.log_odds, past.log_odds)
    return replace(model, season=season)


def _processes(horizon_days: int, days: tuple[int, ...], features: pl.DataFrame) -> PurchaseTiming:
    """Return the model without trees, fitted to the purchases before an instant."""
    history = purchase_history(features)
    modified = ModifiedBgNbd.fit(*history)
    newcomer = 1 - modified.inactivity(*NEW_CUSTOMER, np.array(days))
    return PurchaseTiming(
        horizon_days, days, modified, BgNbd.fit(*history), tuple(newcomer.tolist())
    )


def _newcomer(days: tuple[int, ...], cutoffs: Sequence[Cutoff]) -> tuple[float, ...]:
    """Return the life table of customers with few visits, or of all if they are too few."""
    few = [(cutoff.features.get_column("visits") < FEW_VISITS).to_numpy() for cutoff in cutoffs]
    if sum(part.sum() for part in few) < MIN_FEW_VISITS_EXAMPLES:
        few = [np.ones_like(part) for part in few]
    curve = Periods.after(cutoffs, np.array([0, *days])).life_table(few)
    return tuple(curve[np.array(days) - 1].tolist())


def _with_trees(
    model: PurchaseTiming, cutoffs: Sequence[Cutoff], options: TimingOptions
) -> PurchaseTiming:
    """Add trees of the days that some cutoff is followed for, if there are enough examples."""
    horizon = model.horizon_days
    churned = [cutoff.churned(horizon) for cutoff in cutoffs if cutoff.follow_up_days >= horizon]
    label = np.concatenate([np.empty(0), *churned])
    rarer = min(label.sum(), len(label) - label.sum())
    if len(label) < options.min_examples or rarer < options.min_per_class:
        return model
    days = tuple(day for day in model.days if any(c.follow_up_days >= day for c in cutoffs))
    # A rate that rises with the days would let survival rise.
    rates = np.minimum.accumulate([_rate(cutoffs, ahead) for ahead in days])
    examples = _examples(replace(model, days=days), cutoffs, options)
    horizon = model.horizon_days
    inputs = [tree_inputs(rows, model.process, horizon, ahead) for rows, ahead, _ in examples]
    _, signs = inputs[0]
    label = np.concatenate([label for _, _, label in examples])
    mean = np.concatenate([rates[np.searchsorted(days, ahead)] for _, ahead, _ in examples])
    booster = Booster.fit(
        pl.concat(columns for columns, _ in inputs),
        label,
        options.trees.params(
            objective="binary", monotone_constraints=signs, boost_from_average=False
        ),
        options.rounds,
        init_score=mean,
        threads=options.threads,
        seed=options.seed,
    )
    return replace(
        model,
        days=days,
        newcomer=model.newcomer[: len(days)],
        booster=booster,
        rfm=RfmLogistic.fit(pl.concat(rows for rows, _, _ in examples), mean, label),
        rates=tuple(rates.tolist()),
        weights=PRIOR_WEIGHTS,
    )


def _rate(cutoffs: Sequence[Cutoff], days: int) -> float:
    """Return the log-odds of the share of customers without a purchase within days."""
    churned = [cutoff.churned(days) for cutoff in cutoffs if cutoff.follow_up_days >= days]
    return float(log_odds_of(np.concatenate(churned).mean()))


def _examples(
    model: PurchaseTiming, cutoffs: Sequence[Cutoff], options: TimingOptions
) -> list[tuple[pl.DataFrame, Ints, Floats]]:
    """Return features, days ahead and outcomes of a sample of customers and days, by cutoff."""
    known = [[day for day in model.days if day <= cutoff.follow_up_days] for cutoff in cutoffs]
    count = sum(len(of) * c.features.height for c, of in zip(cutoffs, known, strict=True))
    random = np.random.default_rng(options.seed)
    examples = []
    for cutoff, of_cutoff in zip(cutoffs, known, strict=True):
        shape = (cutoff.features.height, len(of_cutoff))
        rows, position = np.nonzero(random.random(shape) < options.examples / max(count, 1))
        ahead = np.array(of_cutoff, dtype=np.int64)[position]
        later = ~cutoff.purchased[rows] | (cutoff.days_to_purchase[rows] >= ahead)
        examples.append((cutoff.features[rows], ahead, later.astype(np.float64)))
    return examples


def _weights(past: PurchaseTiming, newest: Cutoff) -> dict[str, float]:
    """Weigh the members by the log loss after the newest cutoff, at the horizon and at half of it.

    `past` is fitted to what was known at that cutoff. A level is fitted beside the weights and
    dropped: the newest outcomes are of one season, and the member with its level is not the best.
    """
    if past.booster is None:
        return PRIOR_WEIGHTS
    features, horizon = newest.features, past.horizon_days
    examples = []
    for days in (half_horizon(horizon), horizon):
        members = past.member_log_odds(features, np.full(features.height, days))
        columns = np.stack([members[name] for name in PRIOR_WEIGHTS], axis=1)
        examples.append((columns, newest.churned(days)))

    def loss(weights: Floats) -> float:
        losses = []
        for columns, label in examples:
            odds = columns @ weights
            odds = odds + level_of(odds, label)[0]
            losses.append((np.logaddexp(0, odds) - label * odds).mean())
        return float(np.mean(losses))

    shrinkage = CURVATURE / 2 * PRIOR_EXAMPLES / features.height
    return member_weights(loss, PRIOR_WEIGHTS, shrinkage)
