"""Timing of the next purchase: the one time-to-event model behind churn, next purchase and value.

A dataset and an instant go in; curves of the days to each customer's next purchase come out
(`training.customers.purchase_curves`), and explanations of the probability at the horizon. A
curve's survival rises with inactivity and falls with visits and with the days.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.typing import Floats, Ints
from training.customers.monotone_features import monotone_features
from training.customers.purchase_curves import History, PurchaseCurves
from training.customers.survival import NEW_CUSTOMER
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster
from training.estimators.platt_scaling import PlattScaling, log_odds_of

FILE, BOOSTER = "timing.json", "booster"
# Column of the number of days within which nothing is bought.
DAYS = "days_ahead"
PROCESS = "process_inactivity"
# Customers whose curves are predicted at a time: bounds the memory.
BATCH_ROWS = 5_000


@dataclass(frozen=True)
class PurchaseTiming:
    """Weighted log-odds of boosted trees and MBG/NBD at several days ahead, calibrated.

    Attributes
    ----------
    horizon_days
        The days for which the model is calibrated and explained: the horizon of churn.
    days
        Days ahead at which curves are predicted, ascending.
    process
        The buy-till-you-die model; beyond the last of `days` it extrapolates.
    newcomer
        P(purchase within each of `days`) of a customer without a known purchase.
    booster
        Trees of all days; None where examples are few: the process then answers alone.
    rates
        Log-odds of the mean outcome at each of `days`, to which the trees are added.
    weights
        Slopes of trees and process, or of the process alone.
    calibration
        Applied to the weighted sum; the identity unless the shop has a season.
    """

    horizon_days: int
    days: tuple[int, ...]
    process: ModifiedBgNbd
    newcomer: tuple[float, ...] = ()
    booster: Booster | None = None
    rates: tuple[float, ...] = ()
    weights: PlattScaling = field(default_factory=PlattScaling)
    calibration: PlattScaling = field(default_factory=PlattScaling)

    def curves(self, features: pl.DataFrame) -> PurchaseCurves:
        """Return the curves of customers."""
        days = np.array(self.days)
        survival = [np.empty((0, len(days)))]
        for start in range(0, features.height, BATCH_ROWS):
            batch = features.slice(start, BATCH_ROWS)
            rows = np.repeat(np.arange(batch.height), len(days))
            odds = self.log_odds(batch[rows], np.tile(days, batch.height))
            survival.append(_probability(odds).reshape(-1, len(days)))
        # Rounding must not let survival rise with the days.
        never_rising = np.minimum.accumulate(np.concatenate(survival), axis=1)
        return self._curves(1 - never_rising, purchase_history(features))

    def newcomers(self, count: int = 1) -> PurchaseCurves:
        """Return the curves of so many customers without a known purchase, which are all alike."""
        probabilities = np.tile(np.array(self.newcomer), (count, 1))
        frequency, recency, age = (np.repeat(value, count) for value in NEW_CUSTOMER)
        return self._curves(probabilities, (frequency, recency, age))

    def survival(self, features: pl.DataFrame) -> Floats:
        """Return P(no purchase within the horizon) of customers: a point of their curves."""
        return _probability(self.log_odds(features))

    def log_odds(self, features: pl.DataFrame, days: Ints | int | None = None) -> Floats:
        """Return the log-odds of no purchase within days ahead, by default the horizon.

        Parameters
        ----------
        features
            Customer features.
        days
            Of `days`, one for all customers or one each.
        """
        ahead = np.broadcast_to(self.horizon_days if days is None else days, features.height)
        members = self.member_log_odds(features, ahead)
        return self.calibration.apply(self.weights.apply(members)[:, None])

    def member_log_odds(self, features: pl.DataFrame, days: Ints) -> Floats:
        """Return the log-odds of trees, if there are any, and process; shape (customers, members).

        `days` has one number for each customer.
        """
        process = log_odds_of(self.process.inactivity(*purchase_history(features), days))
        if self.booster is None:
            return process[:, None]
        columns, _ = tree_inputs(features, self.process, self.horizon_days, days)
        rates = np.array(self.rates)[np.searchsorted(self.days, days)]
        trees = self.booster.predict(columns, raw_score=True) + rates
        return np.stack([trees, process], axis=1)

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split the log-odds at the horizon into one part a column and `base`.

        The parts add up to the log-odds. Those of the process are attributed to `PROCESS`.
        """
        days = np.full(features.height, self.horizon_days)
        members = self.member_log_odds(features, days)
        *trees, slope = self.weights.slopes
        if self.booster is None:
            parts, names = np.zeros((features.height, 2)), [PROCESS]
        else:
            columns, _ = tree_inputs(features, self.process, self.horizon_days, days)
            names = columns.columns
            parts = trees[0] * self.booster.path_contributions(columns).to_numpy(order="c")
            parts[:, -1] += trees[0] * self.rates[self.days.index(self.horizon_days)]
        parts[:, names.index(PROCESS)] += slope * members[:, -1]
        parts[:, -1] += self.weights.intercept
        parts *= self.calibration.slopes[0]
        parts[:, -1] += self.calibration.intercept
        return pl.DataFrame(parts, schema=[*names, "base"], orient="row")

    def save(self, folder: Path) -> None:
        """Write the native booster, if there is one, and `timing.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save(folder / BOOSTER)
        content: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "days": self.days,
            "process": asdict(self.process),
            "newcomer": self.newcomer,
            "rates": self.rates,
            "weights": asdict(self.weights),
            "calibration": asdict(self.calibration),
        }
        (folder / FILE).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / FILE).read_text())
        return cls(
            content["horizon_days"],
            tuple(content["days"]),
            ModifiedBgNbd(**content["process"]),
            tuple(content["newcomer"]),
            Booster.load(folder / BOOSTER, threads) if content["rates"] else None,
            tuple(content["rates"]),
            PlattScaling.from_json(content["weights"]),
            PlattScaling.from_json(content["calibration"]),
        )

    def _curves(self, probabilities: Floats, history: History) -> PurchaseCurves:
        return PurchaseCurves(np.array(self.days), probabilities, self.process, history)


def tree_inputs(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int, days: Ints
) -> tuple[pl.DataFrame, list[int]]:
    """Return the inputs of the trees and their signs, 0 for attributes.

    `days` has the days ahead of each row.
    """
    columns, signs = monotone_features(features, process, horizon_days)
    attributes = features.select(name for name in features.columns if name.startswith(ATTRIBUTE))
    inputs = pl.concat([columns, attributes], how="horizontal")
    return inputs.with_columns(pl.Series(DAYS, days, pl.Float64)), [
        *signs,
        *[0] * attributes.width,
        -1,
    ]


def _probability(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))
