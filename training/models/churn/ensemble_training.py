"""How a `ChurnEnsemble` is learnt: cuts, the weights of its members, and the season.

A dataset and an instant go in, a stack fitted to all cuts comes out. What cannot be learnt from
the answers it was fitted to (weights, calibration) is tried on the newest cut with stacks that
knew only what had come true by then, or only other customers.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import (
    Cutoff,
    customer_features,
    cutoff_days,
    follow_up,
    half_horizon,
    has_enough_history,
    known_customer_days,
)
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history
from training.models.churn.ensemble import (
    ChurnEnsemble,
    EnsembleOptions,
    best_weights,
    without_trees,
)
from training.models.churn.seasonal_calibration import (
    YEAR_DAYS,
    Line,
    best_season,
    is_off,
    is_worse,
)

# Members are weighed on one customer of so many, of whom nothing was learnt.
LEARNT_OF = 4

Cut = tuple[pl.DataFrame, Floats]


def learn(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    options: EnsembleOptions,
    *,
    cuts: int,
    step_days: int,
) -> tuple[ChurnEnsemble, list[Cutoff]]:
    """Learn who stays away for `horizon_days` from what was known at `as_of`.

    Parameters
    ----------
    cuts, step_days
        How many past instants are learnt from, and the days between them at least; for long
        horizons half a horizon, so that the cuts reach as many horizons back.

    Returns
    -------
    tuple
        The stack, and the cuts from which customers were followed for the horizon: none where
        fewer than two horizons of records leave nothing to learn from, and the process answers.

    Raises
    ------
    MissingData
        If there are too few days before `as_of` for the process.
    """
    process = ModifiedBgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
    if not has_enough_history(dataset, as_of, horizon_days, 2 * horizon_days):
        return ChurnEnsemble.of_process(process, horizon_days), []
    days = cutoff_days(
        dataset,
        as_of,
        latest=horizon_days,
        step=max(step_days, horizon_days // 2),
        count=cuts,
        history=horizon_days,
    )
    # The newest customers stayed away for half the horizon, or did not.
    young = to_day(as_of) - half_horizon(horizon_days)
    followed = [follow_up(dataset, as_of, day, horizon_days) for day in (young, *days)]
    known = followed[1:]
    # Stacks as they would have been at the newest cut, and one horizon before it.
    newest = known[0]
    label = newest.churned(horizon_days)
    trial = _as_of(newest, followed, horizon_days, options)
    trials: list[tuple[ChurnEnsemble, Cut, float]] = []
    of_most = _of_most(followed, process, horizon_days, options)
    if of_most is not None:
        trials.append((*of_most, 1.0))
    if trial is not None:
        # One that learnt from few of the cuts says little of what all of them teach.
        worth = sum(day + horizon_days <= newest.day for day in days) / len(days)
        trials.append((trial, (newest.features, label), worth))
    # Where nothing could be tried, the process has the weight that DOUBT gives it.
    weights = best_weights(
        [(stack.members(features), away, worth) for stack, (features, away), worth in trials],
        with_trees=bool(trials) and all(stack.boosters for stack, _, _ in trials),
    )
    stack = ChurnEnsemble.fit(process, horizon_days, followed, options, weights)
    if trial is None:
        return stack, known
    trial = replace(trial, weights=weights)
    odds = trial.log_odds(newest.features)
    candidates: dict[str, Line] = {}
    # The newest answers that had come true at the newest cut, to customers not learnt from.
    before = next((cut for cut in known if cut.day + horizon_days <= newest.day), newest)
    earlier = _as_of(before, followed, horizon_days, options)
    if earlier is not None:
        fitting = weights if earlier.boosters else without_trees(weights)
        earlier = replace(earlier, weights=fitting)
        happened = before.churned(horizon_days)
        candidates["newest"] = Line.fit(earlier.log_odds(before.features), happened)
    year_before = _year_before(dataset, as_of, newest.day, horizon_days)
    if year_before is not None:
        candidates["year before"] = Line.fit(trial.log_odds(year_before[0]), year_before[1])
    chosen = best_season(odds, label, candidates)
    season = _year_before(dataset, as_of, to_day(as_of), horizon_days)
    if season is not None and chosen != "year before":
        tried = candidates.get("year before")
        # Where records are too short to have tried it: has this shop seasons or something like?
        moved = is_off(stack.log_odds(season[0]), season[1]) or (
            tried is None and is_off(odds, label)
        )
        if moved and (tried is None or not is_worse(tried, odds, label)):
            chosen = "year before"
    line = Line()
    if chosen == "newest":
        line = Line.fit(odds, label)
    elif chosen == "year before" and season is not None:
        line = Line.fit(stack.log_odds(season[0]), season[1])
    return replace(stack, line=line), known


def cut_at(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cut:
    """Return customers as they were at a cut, and 1 where they bought nothing for the horizon."""
    followed = follow_up(dataset, as_of, day, horizon_days)
    return followed.features, followed.churned(horizon_days)


def _as_of(
    cut: Cutoff, followed: Sequence[Cutoff], horizon_days: int, options: EnsembleOptions
) -> ChurnEnsemble | None:
    """Fit a stack to what had come true by a cut; None where nothing had."""
    before = [one.censored_at(cut.day) for one in followed if one.day < cut.day]
    if not any(one.follow_up_days >= horizon_days for one in before):
        return None
    process = ModifiedBgNbd.fit(*purchase_history(cut.features))
    return ChurnEnsemble.fit(process, horizon_days, before, replace(options, members=1))


def _of_most(
    followed: Sequence[Cutoff], process: ModifiedBgNbd, horizon_days: int, options: EnsembleOptions
) -> tuple[ChurnEnsemble, Cut] | None:
    """Fit a stack to three customers of four; return it and the rest of them at all cuts.

    None where there are so few customers that all are of one kind.

    What is learnt of others at the same time shows what members can learn; how well that holds
    later, the trials in time show. Where records are short, the early cuts that those learn from
    say little of what longer histories teach. Trees need many customers: learning of half of
    them, they did worse than they do in the end.
    """

    def learnt(cut: Cutoff) -> NDArray[np.bool_]:
        hashes = cut.features.get_column("customer_id").hash(seed=0).to_numpy()
        return np.asarray(hashes % LEARNT_OF != 0)

    whole = [cut for cut in followed if cut.follow_up_days >= horizon_days]
    rest = [cut.select(~learnt(cut)) for cut in whole]
    if not any(learnt(cut).any() for cut in whole) or not any(
        len(cut.days_to_purchase) for cut in rest
    ):
        return None
    once = replace(options, members=1)
    stack = ChurnEnsemble.fit(process, horizon_days, [c.select(learnt(c)) for c in followed], once)
    happened = np.concatenate([cut.churned(horizon_days) for cut in rest])
    return stack, (pl.concat(cut.features for cut in rest), happened)


def _year_before(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cut | None:
    """Return the cut a year before a day, where there is a horizon of records before it."""
    first = int(known_customer_days(dataset, as_of).get_column("day").min())  # type: ignore[arg-type]
    if day - YEAR_DAYS - first < horizon_days:
        return None
    return cut_at(dataset, as_of, day - YEAR_DAYS, horizon_days)
