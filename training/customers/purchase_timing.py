"""Timing of the next purchase: the one time-to-event model behind churn, next purchase and value.

A dataset and an instant go in; curves of the days to each customer's next purchase come out
(`training.customers.purchase_curves`), and explanations of the probability at the horizon. A
curve's survival rises with inactivity and falls with visits and with the days.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.frames import frame_of_rows
from features.typing import Floats, Ints
from training.customers.monotone_features import monotone_features
from training.customers.purchase_curves import History, PurchaseCurves
from training.customers.rfm_logistic import SIGNS, RfmLogistic
from training.customers.survival import NEW_CUSTOMER
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster
from training.estimators.platt_scaling import log_odds_of

FILE, BOOSTER = "timing.json", "booster"
# Column of the number of days within which nothing is bought.
DAYS = "days_ahead"
PROCESS = "process_inactivity"
# Members of the ensemble. Without trees, both buy-till-you-die models count alike.
TREES, RFM_LOGISTIC, BG_NBD, MBG_NBD = "trees", "rfm_logistic", "bg_nbd", "mbg_nbd"
WITHOUT_TREES = {BG_NBD: 0.5, MBG_NBD: 0.5}
# Customers whose curves are predicted at a time: bounds the memory.
BATCH_ROWS = 5_000


@dataclass(frozen=True)
class PurchaseTiming:
    """Weighted log-odds of trees, RFM logistic, BG/NBD and MBG/NBD at several days ahead.

    Attributes
    ----------
    horizon_days
        The days for which the model is calibrated and explained: the horizon of churn.
    days
        Days ahead at which curves are predicted, ascending.
    process
        MBG/NBD: a member of the ensemble; beyond the last of `days` it extrapolates.
    bg_nbd
        BG/NBD, a further member.
    newcomer
        P(purchase within each of `days`) of a customer without a known purchase.
    booster
        Trees of all days; None where examples are few.
    rfm
        Logistic regression on recency and frequency; None without trees.
    rates
        Log-odds of the mean outcome at each of `days`, to which the trees are added.
    weights
        Weight of each member: not negative, their sum is one.
    season
        Added to the log-odds: 0 unless the shop has a season.
    """

    horizon_days: int
    days: tuple[int, ...]
    process: ModifiedBgNbd
    bg_nbd: BgNbd
    newcomer: tuple[float, ...] = ()
    booster: Booster | None = None
    rfm: RfmLogistic | None = None
    rates: tuple[float, ...] = ()
    weights: Mapping[str, float] = field(default_factory=lambda: WITHOUT_TREES)
    season: float = 0.0

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
        return self.season + sum(
            (weight * members[name] for name, weight in self.weights.items()),
            start=np.zeros(features.height),
        )

    def member_log_odds(self, features: pl.DataFrame, days: Ints) -> dict[str, Floats]:
        """Return the log-odds of each member; `days` has one number for each customer."""
        members = self._members_without_trees(features, days)
        if self.booster is not None:
            columns, _ = tree_inputs(features, self.process, self.horizon_days, days)
            members[TREES] = self.booster.predict(columns, raw_score=True) + self._rates(days)
        return members

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split the log-odds at the horizon into one part a column and `base`.

        The parts add up to the log-odds. Those of BG/NBD and MBG/NBD are attributed to `PROCESS`.
        """
        days = np.full(features.height, self.horizon_days)
        members = self._members_without_trees(features, days)
        if self.booster is None or self.rfm is None:
            parts, names = np.zeros((features.height, 2)), [PROCESS]
        else:
            columns, _ = tree_inputs(features, self.process, self.horizon_days, days)
            names = columns.columns
            parts = self.booster.path_parts(columns)
            parts[:, -1] += self.rates[self.days.index(self.horizon_days)]
            parts *= self.weights[TREES]
            rest = self.weights[RFM_LOGISTIC] * members[RFM_LOGISTIC]
            for name, column in zip(SIGNS, self.rfm.contributions(features).T, strict=True):
                part = self.weights[RFM_LOGISTIC] * column
                parts[:, names.index(name)] += part
                rest = rest - part
            parts[:, -1] += rest
        for name in WITHOUT_TREES:
            parts[:, names.index(PROCESS)] += self.weights[name] * members[name]
        parts[:, -1] += self.season
        return frame_of_rows(parts, [*names, "base"])

    def save(self, folder: Path) -> None:
        """Write the native booster, if there is one, and `timing.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save(folder / BOOSTER)
        content: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "days": self.days,
            "process": asdict(self.process),
            "bg_nbd": asdict(self.bg_nbd),
            "newcomer": self.newcomer,
            "rfm": None if self.rfm is None else asdict(self.rfm),
            "rates": self.rates,
            "weights": self.weights,
            "season": self.season,
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
            BgNbd(**content["bg_nbd"]),
            tuple(content["newcomer"]),
            Booster.load(folder / BOOSTER, threads) if content["rates"] else None,
            RfmLogistic.from_json(content["rfm"]) if content["rates"] else None,
            tuple(content["rates"]),
            content["weights"],
            content["season"],
        )

    def _members_without_trees(self, features: pl.DataFrame, days: Ints) -> dict[str, Floats]:
        history = purchase_history(features)
        members = {
            BG_NBD: log_odds_of(self.bg_nbd.monotone_inactivity(*history, days)),
            MBG_NBD: log_odds_of(self.process.inactivity(*history, days)),
        }
        if self.rfm is not None:
            members[RFM_LOGISTIC] = self.rfm.log_odds(features, self._rates(days))
        return members

    def _rates(self, days: Ints) -> Floats:
        """Return the log-odds of the mean outcome at each of some days."""
        return np.array(self.rates)[np.searchsorted(self.days, days)]

    def _curves(self, probabilities: Floats, history: History) -> PurchaseCurves:
        return PurchaseCurves(np.array(self.days), probabilities, self.process, history)


def tree_inputs(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int, days: Ints
) -> tuple[pl.DataFrame, list[int]]:
    """Return the inputs of the trees and their signs, 0 for attributes.

    `days` has the days ahead of each row.
    """
    columns, signs = monotone_features(features, process, horizon_days)
    names = [name for name in features.columns if name.startswith(ATTRIBUTE)]
    further = [features.get_column(name) for name in names]
    inputs = columns.hstack([*further, pl.Series(DAYS, days, pl.Float64)])
    return inputs, [*signs, *[0] * len(names), -1]


def _probability(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))
