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
from features.typing import Float32s, Floats, Ints
from training.customers.monotone_features import monotone_features
from training.customers.purchase_curves import History, PurchaseCurves
from training.customers.rfm_logistic import SIGNS, RfmLogistic
from training.customers.survival import NEW_CUSTOMER
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster
from training.estimators.platt_scaling import log_odds_of
from training.published.loaded import load_once

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
class TimingInputs:
    """What the members read of customers, whatever the days ahead: one row each.

    Attributes
    ----------
    history
        What BG/NBD and MBG/NBD read.
    rfm
        The parts of the logistic regression, if there is one.
    trees
        The rows of the trees, if there are any, without the days ahead.
    """

    history: History
    rfm: Floats | None
    trees: Float32s | None

    def __len__(self) -> int:
        """Return the number of customers."""
        return len(self.history[0])

    def select(self, rows: slice) -> Self:
        """Return some of the customers."""
        frequency, recency, age = (values[rows] for values in self.history)
        rfm = None if self.rfm is None else self.rfm[rows]
        trees = None if self.trees is None else self.trees[rows]
        return type(self)((frequency, recency, age), rfm, trees)

    def repeated(self, count: int) -> Self:
        """Return each row so many times."""
        frequency, recency, age = (np.repeat(values, count) for values in self.history)
        rfm = None if self.rfm is None else np.repeat(self.rfm, count, axis=0)
        trees = None if self.trees is None else np.repeat(self.trees, count, axis=0)
        return type(self)((frequency, recency, age), rfm, trees)


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

    def curves(self, features: pl.DataFrame | TimingInputs) -> PurchaseCurves:
        """Return the curves of customers from their features, or from `inputs` of these."""
        inputs, days = self._inputs_of(features), np.array(self.days)
        survival = [np.empty((0, len(days)))]
        for start in range(0, len(inputs), BATCH_ROWS):
            batch = inputs.select(slice(start, start + BATCH_ROWS))
            ahead = np.tile(days, len(batch))
            odds = self._weighted(self._members(batch.repeated(len(days)), ahead))
            survival.append(_probability(odds).reshape(-1, len(days)))
        # Rounding must not let survival rise with the days.
        never_rising = np.minimum.accumulate(np.concatenate(survival), axis=1)
        return self._curves(1 - never_rising, inputs.history)

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
        return self._weighted(self.member_log_odds(features, ahead))

    def member_log_odds(self, features: pl.DataFrame, days: Ints) -> dict[str, Floats]:
        """Return the log-odds of each member; `days` has one number for each customer."""
        return self._members(self.inputs(features), days)

    def contributions(self, features: pl.DataFrame | TimingInputs) -> pl.DataFrame:
        """Split the log-odds at the horizon into one part a column and `base`.

        The parts add up to the log-odds. Those of BG/NBD and MBG/NBD are attributed to `PROCESS`.
        """
        inputs = self._inputs_of(features)
        days = np.full(len(inputs), self.horizon_days)
        members = self._members_without_trees(inputs, days)
        if self.booster is None or inputs.rfm is None:
            parts, names = np.zeros((len(inputs), 2)), [PROCESS]
        else:
            names = list(self.booster.columns)
            parts = self.booster.path_parts(self._tree_rows(self.booster, inputs, days))
            parts[:, -1] += self.rates[self.days.index(self.horizon_days)]
            parts *= self.weights[TREES]
            rest = self.weights[RFM_LOGISTIC] * members[RFM_LOGISTIC]
            for name, column in zip(SIGNS, inputs.rfm.T, strict=True):
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
        """Read what `save` wrote; equal files are one object for so many threads."""
        files = [path.read_bytes() for path in sorted(folder.iterdir())]
        return load_once(
            lambda: cls._read(folder, threads), b"purchase timing", b"%d" % threads, *files
        )

    @classmethod
    def _read(cls, folder: Path, threads: int) -> Self:
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

    def inputs(self, features: pl.DataFrame) -> TimingInputs:
        """Return what `curves` and `contributions` read of features, computed once for both."""
        trees = None
        if self.booster is not None:
            ahead = np.zeros(features.height, np.int64)
            columns, _ = tree_inputs(features, self.process, self.horizon_days, ahead)
            trees = self.booster.matrix(columns)
        rfm = None if self.rfm is None else self.rfm.contributions(features)
        return TimingInputs(purchase_history(features), rfm, trees)

    def _inputs_of(self, features: pl.DataFrame | TimingInputs) -> TimingInputs:
        return features if isinstance(features, TimingInputs) else self.inputs(features)

    def _members(self, inputs: TimingInputs, days: Ints) -> dict[str, Floats]:
        members = self._members_without_trees(inputs, days)
        if self.booster is not None:
            rows = self._tree_rows(self.booster, inputs, days)
            members[TREES] = self.booster.predict(rows, raw_score=True) + self._rates(days)
        return members

    def _weighted(self, members: Mapping[str, Floats]) -> Floats:
        start = np.zeros_like(members[BG_NBD])
        return self.season + sum(
            (weight * members[name] for name, weight in self.weights.items()), start=start
        )

    def _members_without_trees(self, inputs: TimingInputs, days: Ints) -> dict[str, Floats]:
        members = {
            BG_NBD: log_odds_of(self.bg_nbd.monotone_inactivity(*inputs.history, days)),
            MBG_NBD: log_odds_of(self.process.inactivity(*inputs.history, days)),
        }
        if self.rfm is not None and inputs.rfm is not None:
            members[RFM_LOGISTIC] = self.rfm.log_odds(inputs.rfm, self._rates(days))
        return members

    def _tree_rows(self, booster: Booster, inputs: TimingInputs, days: Ints) -> Float32s:
        assert inputs.trees is not None  # noqa: S101
        rows = inputs.trees.copy()
        rows[:, booster.columns.index(DAYS)] = days
        return rows

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
