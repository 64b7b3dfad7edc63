"""Training of the timing of the next purchase: customers at past cutoffs in, a model out.

Trees learn whether customers bought nothing within several numbers of days; weights are
fitted on customers that are held out, the calibration on the same season of the year before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.memo import memo
from features.typing import Bools, Floats, Ints
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
from training.customers.purchase_timing import PurchaseTiming, tree_inputs
from training.customers.seasonal_calibration import seasonal_calibration
from training.customers.survival import CUTOFF_STEP_DAYS, NEW_CUSTOMER
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.estimators.platt_scaling import PlattScaling, log_odds_of

# Days ahead whose outcomes are learned, besides the horizon, its half and its double.
KNOTS = (1, 2, 4, 7, 10, 14, 21, 28, 42, 56, 91, 182)
# Fewest days between cutoffs: customers hardly change within fewer.
MIN_STEP_DAYS = 7
# One customer of so many is held out to weigh trees and process.
HELD_OUT_ONE_OF = 4
# Weights of trees and process before they are compared on held-out customers.
EQUAL = (0.5, 0.5)
# With fewer examples of customers with few visits, newcomers get the curve of all customers.
MIN_FEW_VISITS_EXAMPLES = 30

TREES = BoostingOptions(
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

    trees: BoostingOptions = TREES
    rounds: int = 200
    cutoffs: int = 12
    examples: int = 150_000
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
    no cutoffs, and the model is MBG/NBD alone.

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
    process = ModifiedBgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
    if not trained:
        return _process_alone(horizon_days, days, process)
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
    initial = replace(
        _process_alone(horizon_days, days, process), newcomer=_newcomer(days, cutoffs)
    )
    model = _with_trees(initial, cutoffs, options)
    if model.booster is None:
        return model
    weights = _held_out_weights(initial, cutoffs, options)

    def fit_at(day: int) -> PurchaseTiming:
        known = [cutoff.censored_at(day) for cutoff in cutoffs if cutoff.day < day]
        past = _with_trees(initial, known, options)
        return past if past.booster is None else replace(past, weights=weights)

    model = replace(model, weights=weights)
    calibration = seasonal_calibration(
        dataset, as_of, horizon_days, cutoffs[1], model.log_odds, lambda day: fit_at(day).log_odds
    )
    return replace(model, calibration=calibration)


def _process_alone(
    horizon_days: int, days: tuple[int, ...], process: ModifiedBgNbd
) -> PurchaseTiming:
    newcomer = 1 - process.inactivity(*NEW_CUSTOMER, np.array(days))
    return PurchaseTiming(horizon_days, days, process, tuple(newcomer.tolist()))


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
    booster = Booster.fit(
        pl.concat(columns for columns, _ in inputs),
        np.concatenate([label for _, _, label in examples]),
        options.trees.params(
            objective="binary", monotone_constraints=signs, boost_from_average=False
        ),
        options.rounds,
        init_score=np.concatenate(
            [rates[np.searchsorted(days, ahead)] for _, ahead, _ in examples]
        ),
        threads=options.threads,
        seed=options.seed,
    )
    return replace(
        model,
        days=days,
        newcomer=model.newcomer[: len(days)],
        booster=booster,
        rates=tuple(rates.tolist()),
        weights=PlattScaling(EQUAL),
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


def _held_out_weights(
    model: PurchaseTiming, cutoffs: Sequence[Cutoff], options: TimingOptions
) -> PlattScaling:
    """Weigh trees that are fitted to three customers of four, and the process, on the others.

    Outcomes at the horizon count: of all days, short ones would outweigh it.
    """

    def sampled(cutoff: Cutoff) -> Bools:
        hashes = cutoff.features.get_column("customer_id").hash(seed=0).to_numpy()
        return np.asarray(hashes % HELD_OUT_ONE_OF != 0)

    fitted = _with_trees(model, [cutoff.select(sampled(cutoff)) for cutoff in cutoffs], options)
    horizon = model.horizon_days
    rest = [c.select(~sampled(c)) for c in cutoffs if c.follow_up_days >= horizon]
    features = pl.concat(cutoff.features for cutoff in rest)
    if fitted.booster is None or features.is_empty():
        return PlattScaling(EQUAL)
    members = fitted.member_log_odds(features, np.full(features.height, horizon))
    label = np.concatenate([cutoff.churned(horizon) for cutoff in rest])
    return PlattScaling.fit(members, label, EQUAL)
