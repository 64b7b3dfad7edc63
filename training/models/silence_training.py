"""How a `SilenceStack` is learnt: cuts, the weights of its members, and the season.

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
from training.models.bgnbd import ModifiedBgNbd, purchases
from training.models.season import YEAR_DAYS, Line, best_season, is_off, is_worse
from training.models.silence_stack import Boosting, SilenceStack, best_weights, without_trees
from training.models.stacked_cuts import (
    customer_features,
    cut_days,
    days_known,
    days_to_next,
    features_at_cut,
)

Floats = NDArray[np.float64]
Cut = tuple[pl.DataFrame, Floats]


def learn(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    boosting: Boosting,
    *,
    cuts: int,
    step_days: int,
) -> tuple[SilenceStack, list[Cut]]:
    """Learn who stays away for `horizon_days` from what was known at `as_of`.

    Parameters
    ----------
    cuts, step_days
        How many past instants are learnt from, and the days between them at least; for long
        horizons half a horizon, so that the cuts reach as many horizons back.

    Returns
    -------
    tuple
        The stack, and the cuts that it was fitted to: customers, and 1 where they stayed away.

    Raises
    ------
    MissingData
        If there are too few days before `as_of`.
    """
    days = cut_days(
        dataset,
        as_of,
        latest=horizon_days,
        step=max(step_days, horizon_days // 2),
        count=cuts,
        history=horizon_days,
    )
    known = [cut_at(dataset, as_of, day, horizon_days) for day in days]
    process = ModifiedBgNbd.fit(*purchases(customer_features(dataset, as_of)))
    # Stacks as they would have been at the newest cut, and one horizon before it.
    newest = days[0]
    trial = _as_of(days, known, newest, horizon_days, boosting)
    half, others = _of_half(known, process, horizon_days, boosting)
    trials = [(half.members(others[0]), others[1], 1.0)]
    if trial is not None:
        # One that learnt from few of the cuts says little of what all of them teach.
        worth = sum(day + horizon_days <= newest for day in days) / len(days)
        trials.append((trial.members(known[0][0]), known[0][1], worth))
    with_trees = bool(half.boosters) and (trial is None or bool(trial.boosters))
    weights = best_weights(trials, with_trees=with_trees)
    stack = SilenceStack.fit(process, horizon_days, known, boosting, weights)
    if trial is None:
        return stack, known
    trial = replace(trial, weights=weights)
    odds, label = trial.log_odds(known[0][0]), known[0][1]
    candidates: dict[str, Line] = {}
    # The newest answers that had come true at the newest cut, to customers not learnt from.
    k = next((k for k, day in enumerate(days) if day + horizon_days <= newest), 0)
    earlier = _as_of(days, known, days[k], horizon_days, boosting)
    if earlier is not None:
        fitting = weights if earlier.boosters else without_trees(weights)
        earlier = replace(earlier, weights=fitting)
        candidates["newest"] = Line.fit(earlier.log_odds(known[k][0]), known[k][1])
    year_before = _year_before(dataset, as_of, newest, horizon_days)
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
    features = features_at_cut(dataset, as_of, day)
    following = days_to_next(dataset, as_of, day, features.get_column("customer_id"))
    away = following.fill_null(horizon_days) >= horizon_days
    return features, np.asarray(away.to_numpy(), dtype=np.float64)


def _as_of(
    days: list[int], known: Sequence[Cut], day: int, horizon_days: int, boosting: Boosting
) -> SilenceStack | None:
    """Fit a stack to what had come true by the cut of that day; None where nothing had."""
    before = [k for k, one in enumerate(days) if one + horizon_days <= day]
    if not before:
        return None
    process = ModifiedBgNbd.fit(*purchases(known[days.index(day)][0]))
    once = replace(boosting, members=1)
    return SilenceStack.fit(process, horizon_days, [known[k] for k in before], once)


def _of_half(
    known: Sequence[Cut], process: ModifiedBgNbd, horizon_days: int, boosting: Boosting
) -> tuple[SilenceStack, Cut]:
    """Fit a stack to every other customer; return it and the rest of them at the newest cut.

    What the newest cut teaches when it is known shows what members can learn; how well that
    holds later, the trials in time show. Where records are short, the early cuts that those
    learn from say little of what longer histories teach.
    """
    learnt = [
        frame.get_column("customer_id").hash(seed=0).to_numpy() % 2 == 0 for frame, _ in known
    ]
    kept = [
        (frame.filter(pl.Series(mine)), label[mine])
        for (frame, label), mine in zip(known, learnt, strict=True)
    ]
    once = replace(boosting, members=1)
    others = known[0][0].filter(pl.Series(~learnt[0])), known[0][1][~learnt[0]]
    return SilenceStack.fit(process, horizon_days, kept, once), others


def _year_before(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Cut | None:
    """Return the cut a year before a day, where there is a horizon of records before it."""
    first = int(days_known(dataset, as_of).get_column("day").min())  # type: ignore[arg-type]
    if day - YEAR_DAYS - first < horizon_days:
        return None
    return cut_at(dataset, as_of, day - YEAR_DAYS, horizon_days)
