"""Training of a `ChurnEnsemble`: cutoffs, stacking weights and seasonal calibration.

A dataset and an instant go in, an ensemble fitted to all cutoffs comes out. Weights and calibration
are fitted to predictions of ensembles that know less: earlier outcomes, or other customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from training.models.churn.ensemble import ChurnEnsemble, EnsembleOptions
from training.models.churn.ensemble_weights import HeldOut, Weights, fit_weights, without_trees
from training.models.churn.seasonal_calibration import (
    YEAR_DAYS,
    PlattScaling,
    best_calibration,
    has_level_bias,
    is_worse,
)

# One customer of so many is held out to fit weights.
HELD_OUT_ONE_OF = 4
NEWEST, YEAR_BEFORE = "newest", "year before"

# Customer features at a cutoff, and 1 where the customer churned.
Examples = tuple[pl.DataFrame, Floats]


def train_ensemble(
    dataset: Dataset,
    as_of: datetime,
    horizon_days: int,
    options: EnsembleOptions,
    *,
    cutoffs: int,
    step_days: int,
) -> tuple[ChurnEnsemble, list[Cutoff]]:
    """Train an ensemble on what is known at `as_of`.

    Parameters
    ----------
    dataset, as_of
        The records, of which those before `as_of` are known.
    horizon_days
        Churn is no purchase within so many days.
    options
        Options of the boosters.
    cutoffs
        Number of past cutoffs at most.
    step_days
        Days between cutoffs; for long horizons half a horizon, so that cutoffs reach as many
        horizons back.

    Returns
    -------
    tuple
        The ensemble, and the cutoffs with complete follow-up, newest first. With less than two
        horizons of records there are none, and the ensemble is MBG/NBD alone.

    Raises
    ------
    MissingData
        If there are too few days before `as_of` to fit MBG/NBD.
    """
    process = ModifiedBgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
    if not has_enough_history(dataset, as_of, horizon_days, 2 * horizon_days):
        return ChurnEnsemble.from_process(process, horizon_days), []
    days = cutoff_days(
        dataset,
        as_of,
        latest=horizon_days,
        step=max(step_days, horizon_days // 2),
        count=cutoffs,
        history=horizon_days,
    )
    # The most recent cutoff has follow-up of half the horizon.
    recent = to_day(as_of) - half_horizon(horizon_days)
    followed = [follow_up(dataset, as_of, day, horizon_days) for day in (recent, *days)]
    training = _Training(dataset, as_of, horizon_days, options, followed)
    past = training.fit_at(training.complete[0])
    weights = training.weights(process, past)
    ensemble = ChurnEnsemble.fit(process, horizon_days, followed, options, weights)
    if past is not None:
        calibration = training.calibration(ensemble, replace(past, weights=weights))
        ensemble = replace(ensemble, calibration=calibration)
    return ensemble, training.complete


def examples_at(dataset: Dataset, as_of: datetime, day: int, horizon_days: int) -> Examples:
    """Return customers at a cutoff, and 1 where they bought nothing within the horizon."""
    cutoff = follow_up(dataset, as_of, day, horizon_days)
    return cutoff.features, cutoff.churned(horizon_days)


@dataclass(frozen=True)
class _Training:
    """Ensembles fitted to part of the examples, and what is fitted on the held-out rest.

    Attributes
    ----------
    followed
        Cutoffs, newest first; the first has follow-up of half the horizon.
    """

    dataset: Dataset
    as_of: datetime
    horizon_days: int
    options: EnsembleOptions
    followed: Sequence[Cutoff]

    @property
    def complete(self) -> list[Cutoff]:
        """The cutoffs with complete follow-up, newest first."""
        return list(self.followed[1:])

    def weights(self, process: ModifiedBgNbd, past: ChurnEnsemble | None) -> Weights:
        """Fit stacking weights on held-out customers and on the newest cutoff.

        Parameters
        ----------
        process
            Fitted to everything known.
        past
            Fitted to the outcomes known at the newest cutoff (`fit_at`).
        """
        newest = self.complete[0]
        trials: list[tuple[ChurnEnsemble, Examples, float]] = []
        sample = self._fit_sample(process)
        if sample is not None:
            trials.append((*sample, 1.0))
        if past is not None:
            # An ensemble fitted to few of the cutoffs says little about one fitted to all.
            known = sum(
                cutoff.day + self.horizon_days <= newest.day for cutoff in self.complete
            ) / len(self.complete)
            trials.append((past, (newest.features, newest.churned(self.horizon_days)), known))
        # Without held-out examples, the prior gives nearly all weight to the process.
        return fit_weights(
            [
                HeldOut(ensemble.member_log_odds(features), churned, importance)
                for ensemble, (features, churned), importance in trials
            ],
            with_trees=bool(trials) and all(ensemble.boosters for ensemble, _, _ in trials),
        )

    def calibration(self, ensemble: ChurnEnsemble, past: ChurnEnsemble) -> PlattScaling:
        """Choose and fit the calibration of an ensemble.

        Candidates are the newest outcomes and those of the same season a year before. They are
        compared on the newest cutoff, to which `past` was not fitted.
        """
        newest = self.complete[0]
        log_odds, churned = past.log_odds(newest.features), newest.churned(self.horizon_days)
        candidates = self._candidates(past)
        chosen = best_calibration(log_odds, churned, candidates)
        season = self._year_before(to_day(self.as_of))
        if season is not None and chosen != YEAR_BEFORE:
            tested = candidates.get(YEAR_BEFORE)
            # Where records are too short to test the season, a level bias at the newest cutoff
            # indicates that the shop has seasons.
            biased = has_level_bias(ensemble.log_odds(season[0]), season[1]) or (
                tested is None and has_level_bias(log_odds, churned)
            )
            if biased and (tested is None or not is_worse(tested, log_odds, churned)):
                chosen = YEAR_BEFORE
        if chosen == NEWEST:
            return PlattScaling.fit(log_odds, churned)
        if chosen == YEAR_BEFORE and season is not None:
            return PlattScaling.fit(ensemble.log_odds(season[0]), season[1])
        return PlattScaling()

    def _candidates(self, past: ChurnEnsemble) -> dict[str, PlattScaling]:
        """Fit the calibrations that were possible at the newest cutoff, by name."""
        newest = self.complete[0]
        candidates: dict[str, PlattScaling] = {}
        # The newest cutoff whose outcomes were known at the newest of all.
        before = next((c for c in self.complete if c.day + self.horizon_days <= newest.day), newest)
        earlier = self.fit_at(before)
        if earlier is not None:
            weights = past.weights if earlier.boosters else without_trees(past.weights)
            log_odds = replace(earlier, weights=weights).log_odds(before.features)
            candidates[NEWEST] = PlattScaling.fit(log_odds, before.churned(self.horizon_days))
        season = self._year_before(newest.day)
        if season is not None:
            candidates[YEAR_BEFORE] = PlattScaling.fit(past.log_odds(season[0]), season[1])
        return candidates

    def fit_at(self, cutoff: Cutoff) -> ChurnEnsemble | None:
        """Fit an ensemble to the outcomes known at a cutoff; None if there are none."""
        before = [c.censored_at(cutoff.day) for c in self.followed if c.day < cutoff.day]
        if not any(c.follow_up_days >= self.horizon_days for c in before):
            return None
        process = ModifiedBgNbd.fit(*purchase_history(cutoff.features))
        options = replace(self.options, members=1)
        return ChurnEnsemble.fit(process, self.horizon_days, before, options)

    def _fit_sample(self, process: ModifiedBgNbd) -> tuple[ChurnEnsemble, Examples] | None:
        """Fit an ensemble to three customers of four; return it with the examples of the others.

        Held-out customers of the same time show what the members can learn, held-out time
        (`fit_at`) how well that generalises. With short records, the few cutoffs of `fit_at` say
        little about longer ones. Trees need many customers: fitted to half of them, they are
        underrated.

        Returns
        -------
        tuple or None
            None if all customers fall into one part.
        """

        def sampled(cutoff: Cutoff) -> NDArray[np.bool_]:
            hashes = cutoff.features.get_column("customer_id").hash(seed=0).to_numpy()
            return np.asarray(hashes % HELD_OUT_ONE_OF != 0)

        complete = [c for c in self.followed if c.follow_up_days >= self.horizon_days]
        rest = [cutoff.select(~sampled(cutoff)) for cutoff in complete]
        if not any(sampled(cutoff).any() for cutoff in complete):
            return None
        if not any(cutoff.features.height for cutoff in rest):
            return None
        ensemble = ChurnEnsemble.fit(
            process,
            self.horizon_days,
            [cutoff.select(sampled(cutoff)) for cutoff in self.followed],
            replace(self.options, members=1),
        )
        churned = np.concatenate([cutoff.churned(self.horizon_days) for cutoff in rest])
        return ensemble, (pl.concat(cutoff.features for cutoff in rest), churned)

    def _year_before(self, day: int) -> Examples | None:
        """Return the examples a year before a day; None without a horizon of records before."""
        visits = known_customer_days(self.dataset, self.as_of)
        first = int(visits.get_column("day").min())  # type: ignore[arg-type]
        if day - YEAR_DAYS - first < self.horizon_days:
            return None
        return examples_at(self.dataset, self.as_of, day - YEAR_DAYS, self.horizon_days)
