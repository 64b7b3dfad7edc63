"""Inactivity model: the probability that a customer buys nothing within some days.

A dataset and an instant go in; log-odds by customer and number of days come out. They rise with
inactivity, and fall with visits and with the days. Churn is its answer at the horizon; the curve of
the next purchase passes through its answers.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.customers.attributes import PREFIX as ATTRIBUTE
from features.dataset import Dataset
from features.memo import memo
from features.typing import Bools, Floats
from training.customers.cutoffs import (
    Cutoff,
    customer_features,
    cutoff_days,
    follow_up,
    half_horizon,
    has_enough_history,
)
from training.customers.monotone_features import monotone_features
from training.customers.seasonal_calibration import seasonal_calibration
from training.customers.survival import CUTOFF_STEP_DAYS
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.estimators.platt_scaling import PlattScaling, log_odds_of

FILE, BOOSTER = "inactivity.json", "booster"
# Column of the number of days within which nothing is bought.
DAYS = "days_ahead"
PROCESS = "process_inactivity"
# One customer of so many is held out to weigh trees and process.
HELD_OUT_ONE_OF = 4
# Weights of trees and process before they are compared on held-out customers.
EQUAL = (0.5, 0.5)

TREES = BoostingOptions(
    learning_rate=0.04,
    num_leaves=8,
    min_data_in_leaf=60,
    feature_fraction=0.3,
    lambda_l2=20.0,
)


@dataclass(frozen=True)
class InactivityOptions:
    """How an inactivity model is trained.

    Attributes
    ----------
    trees, rounds
        Options of the trees, and their number.
    cutoffs, step_days
        Number of past cutoffs at most, and the days between them; half a horizon if that is more,
        so that cutoffs reach as many horizons back.
    min_examples, min_per_class
        With fewer customers at cutoffs, or fewer of the rarer outcome among them, there are no
        trees. In the smallest samples that were measured, trees were not worse
        (`benchmarks/customers_size.py`): the weights limit their influence.
    seed, threads
        Same seed, same model; processor threads to fit with.
    """

    trees: BoostingOptions = TREES
    rounds: int = 200
    cutoffs: int = 12
    step_days: int = CUTOFF_STEP_DAYS
    min_examples: int = 300
    min_per_class: int = 30
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class InactivityModel:
    """Weighted log-odds of boosted trees and MBG/NBD, calibrated.

    Attributes
    ----------
    horizon_days
        The days for which the model is calibrated.
    process
        The buy-till-you-die model.
    booster
        Trees of all days; None where examples are few: the process then answers alone.
    rates
        Log-odds of the mean outcome by days, to which the trees are added.
    weights
        Slopes of trees and process.
    calibration
        Applied to the weighted sum; the identity unless the shop has a season.
    """

    horizon_days: int
    process: ModifiedBgNbd
    booster: Booster | None = None
    rates: dict[int, float] = field(default_factory=dict)
    weights: PlattScaling = field(default_factory=lambda: PlattScaling(EQUAL))
    calibration: PlattScaling = field(default_factory=PlattScaling)

    @property
    def days(self) -> tuple[int, ...]:
        """The days that can be asked for, ascending; the horizon alone without trees."""
        return tuple(self.rates) or (self.horizon_days,)

    def log_odds(self, features: pl.DataFrame, days: int | None = None) -> Floats:
        """Return the log-odds of no purchase within some of `days`, by default the horizon."""
        days = days or self.horizon_days
        if self.booster is None:
            return self.calibration.apply(self._process_log_odds(features, days)[:, None])
        members = self.member_log_odds(features, days)
        return self.calibration.apply(self.weights.apply(members)[:, None])

    def member_log_odds(self, features: pl.DataFrame, days: int) -> Floats:
        """Return the log-odds of trees, which there must be, and process; shape (customers, 2)."""
        booster = self.booster
        if booster is None:
            raise ValueError("The model has no trees.")
        columns, _ = _columns(features, self.process, self.horizon_days, days)
        trees = booster.predict(columns, raw_score=True) + self.rates[days]
        return np.stack([trees, self._process_log_odds(features, days)], axis=1)

    def probability(self, features: pl.DataFrame, days: int | None = None) -> Floats:
        """Return the probability of no purchase within some of `days`."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features, days))))

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split the log-odds at the horizon into one part a column and `base`.

        The parts add up to the log-odds. Those of the process are attributed to `PROCESS`.
        """
        process = self._process_log_odds(features, self.horizon_days)
        if self.booster is None:
            parts, names, slope = np.zeros((features.height, 2)), [PROCESS], 1.0
        else:
            trees, slope = self.weights.slopes
            columns, _ = _columns(features, self.process, self.horizon_days, self.horizon_days)
            names = columns.columns
            parts = trees * self.booster.path_contributions(columns).to_numpy(order="c")
            parts[:, -1] += trees * self.rates[self.horizon_days] + self.weights.intercept
        parts[:, names.index(PROCESS)] += slope * process
        parts *= self.calibration.slopes[0]
        parts[:, -1] += self.calibration.intercept
        return pl.DataFrame(parts, schema=[*names, "base"], orient="row")

    def save(self, folder: Path) -> None:
        """Write the native booster, if there is one, and `inactivity.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save(folder / BOOSTER)
        content: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "process": asdict(self.process),
            "rates": self.rates,
            "weights": asdict(self.weights),
            "calibration": asdict(self.calibration),
        }
        (folder / FILE).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / FILE).read_text())
        rates = {int(days): rate for days, rate in content["rates"].items()}
        return cls(
            content["horizon_days"],
            ModifiedBgNbd(**content["process"]),
            Booster.load(folder / BOOSTER, threads) if rates else None,
            rates,
            PlattScaling.from_json(content["weights"]),
            PlattScaling.from_json(content["calibration"]),
        )

    def _process_log_odds(self, features: pl.DataFrame, days: int) -> Floats:
        return log_odds_of(self.process.inactivity(*purchase_history(features), days))


@memo()
def fit_inactivity(
    dataset: Dataset, as_of: datetime, horizon_days: int, options: InactivityOptions
) -> tuple[InactivityModel, list[Cutoff]]:
    """Fit an inactivity model to what is known at `as_of`.

    It is trained on outcomes of half the horizon, the horizon and twice the horizon. Shorter ones
    are known of newer cutoffs.

    Returns
    -------
    tuple
        The model, and the cutoffs with complete follow-up of the horizon, newest first. With less
        than two horizons of records there are none, and the model is MBG/NBD alone.

    Raises
    ------
    MissingData
        If there are too few days before `as_of` to fit MBG/NBD.
    """
    process = ModifiedBgNbd.fit(*purchase_history(customer_features(dataset, as_of)))
    if not has_enough_history(dataset, as_of, horizon_days, 2 * horizon_days):
        return InactivityModel(horizon_days, process), []
    days = cutoff_days(
        dataset,
        as_of,
        latest=horizon_days,
        step=max(options.step_days, horizon_days // 2),
        count=options.cutoffs,
        history=horizon_days,
    )
    recent = to_day(as_of) - half_horizon(horizon_days)
    cutoffs = [follow_up(dataset, as_of, day, 2 * horizon_days) for day in (recent, *days)]
    complete = cutoffs[1:]
    model = _fit(process, horizon_days, cutoffs, options)
    if model.booster is None:
        return model, complete
    model = replace(model, weights=_held_out_weights(process, horizon_days, cutoffs, options))

    def fit_at(day: int) -> InactivityModel:
        known = [cutoff.censored_at(day) for cutoff in cutoffs if cutoff.day < day]
        past = _fit(process, horizon_days, known, options)
        return replace(past, weights=model.weights)

    calibration = seasonal_calibration(
        dataset, as_of, horizon_days, complete[0], model.log_odds, lambda day: fit_at(day).log_odds
    )
    return replace(model, calibration=calibration), complete


def outcome_days(horizon_days: int) -> tuple[int, ...]:
    """Return the days whose outcomes the trees are fitted to, ascending."""
    return (half_horizon(horizon_days), horizon_days, 2 * horizon_days)


def _fit(
    process: ModifiedBgNbd,
    horizon_days: int,
    cutoffs: Sequence[Cutoff],
    options: InactivityOptions,
) -> InactivityModel:
    """Fit the trees, if there are enough examples; weights are equal."""
    frames, labels = [], []
    rates: dict[int, float] = {}
    signs: list[int] = []
    for days in outcome_days(horizon_days):
        followed = [cutoff for cutoff in cutoffs if cutoff.follow_up_days >= days]
        if not followed:
            continue
        features = pl.concat(cutoff.features for cutoff in followed)
        label = np.concatenate([cutoff.churned(days) for cutoff in followed])
        rarer = min(label.sum(), len(label) - label.sum())
        few = len(label) < options.min_examples or rarer < options.min_per_class
        if few and days <= horizon_days:
            return InactivityModel(horizon_days, process)
        columns, signs = _columns(features, process, horizon_days, days)
        frames.append(columns)
        labels.append(label)
        # A rate that rises with the days would let the curve of the next purchase fall.
        rate = float(log_odds_of(label.mean()))
        rates[days] = min([rate, *rates.values()])
    if horizon_days not in rates:
        return InactivityModel(horizon_days, process)
    booster = Booster.fit(
        pl.concat(frames),
        np.concatenate(labels),
        options.trees.params(
            objective="binary", monotone_constraints=signs, boost_from_average=False
        ),
        options.rounds,
        init_score=np.repeat(list(rates.values()), [len(label) for label in labels]),
        threads=options.threads,
        seed=options.seed,
    )
    return InactivityModel(horizon_days, process, booster, rates)


def _held_out_weights(
    process: ModifiedBgNbd,
    horizon_days: int,
    cutoffs: Sequence[Cutoff],
    options: InactivityOptions,
) -> PlattScaling:
    """Weigh trees that are fitted to three customers of four, and the process, on the others."""

    def sampled(cutoff: Cutoff) -> Bools:
        hashes = cutoff.features.get_column("customer_id").hash(seed=0).to_numpy()
        return np.asarray(hashes % HELD_OUT_ONE_OF != 0)

    model = _fit(process, horizon_days, [c.select(sampled(c)) for c in cutoffs], options)
    rest = [c.select(~sampled(c)) for c in cutoffs if c.follow_up_days >= horizon_days]
    features = pl.concat(cutoff.features for cutoff in rest)
    if model.booster is None or features.is_empty():
        return PlattScaling(EQUAL)
    members = model.member_log_odds(features, horizon_days)
    label = np.concatenate([cutoff.churned(horizon_days) for cutoff in rest])
    return PlattScaling.fit(members, label, EQUAL)


def _columns(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int, days: int
) -> tuple[pl.DataFrame, list[int]]:
    """Return the inputs of the trees and their signs, 0 for attributes."""
    columns, signs = monotone_features(features, process, horizon_days)
    attributes = features.select(name for name in features.columns if name.startswith(ATTRIBUTE))
    inputs = pl.concat([columns, attributes], how="horizontal")
    return inputs.with_columns(pl.lit(float(days)).alias(DAYS)), [
        *signs,
        *[0] * attributes.width,
        -1,
    ]
