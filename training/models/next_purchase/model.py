"""Next purchase: the whole distribution of the days until a customer buys again.

Learns a hazard (the chance to buy now, having not bought so far) from customers as they were at
earlier cuts; answers for every customer with a purchase. Retraining publishes it,
`serving.customers.next_purchase` answers from what it published.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.customers.segments import FEW_VISITS
from features.dataset import Dataset
from features.typing import Floats
from training.contract import Needs, model_with_options, options_of
from training.customers import published as known_customers
from training.customers.cutoffs import Cutoff, customer_features, has_enough_history, past_cutoffs
from training.customers.explanations import explanation_columns, explanation_rows, top_explanations
from training.customers.survival import (
    CUTOFF_STEP_DAYS,
    NEWCOMER,
    TINY,
    answers_from,
    check_follow_up,
    curve_of,
    life_table,
    lived_bins,
)
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.models.next_purchase.monotone_surrogate import MonotoneSurrogate
from training.models.next_purchase.person_periods import bin_edges, expand, inputs_of

# With fewer examples of newcomers than this, everyone stands for them.
MIN_NEWCOMERS = 30
REASONS = 3
# Reasons are read off the hazard of these days: at once, and after a week of silence more.
EXPLAINED_DAYS = (0, 7)
NEWCOMER_REASON = "no purchase known: the rhythm of customers with fewer than 3 visits"
# The chance of a purchase within so many days falls with silence and rises with visits for certain.
ANCHOR_DAYS = 60

TREES = BoostingOptions(
    learning_rate=0.05,
    num_leaves=24,
    min_data_in_leaf=100,
    feature_fraction=0.4,
    lambda_l2=30.0,
)


@dataclass
class NextPurchaseModel:
    """Discrete-time hazard by LightGBM on person-periods (Singer and Willett 1993).

    Cuts whose follow-up is cut short by `as_of` count as far as they were followed. Pinball loss
    (three origins of the bundled year) chose what stands here: randomised splits were better than
    greedy ones; starting from BG/NBD's hazard was worse, averaging over seeds or with a Cox model
    no better. The chance within two months is bound by a twin (`monotone_twin`) never to fall for
    another visit nor to rise with silence. Where records are hardly longer than the horizon there
    is no cut to learn from, and MBG/NBD answers alone.

    Attributes
    ----------
    horizon_days
        The follow-up: the distribution is known up to here, what lies beyond is one lump.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    rounds
        Number of trees.
    trees
        How they are grown.
    """

    name: ClassVar[str] = "next-purchase"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    cuts: int = 12
    cut_step_days: int = CUTOFF_STEP_DAYS
    rounds: int = 200
    trees: BoostingOptions = TREES
    booster_: Booster | None = field(init=False, repr=False)
    process_: BgNbd = field(init=False, repr=False)
    newcomer_curve_: Floats = field(init=False, repr=False)
    anchor_: MonotoneSurrogate | None = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the exact frame that the fitted model reads: one row a customer at `as_of`."""
        return inputs_of(customer_features(dataset, as_of), to_day(as_of))

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from earlier cuts, each followed for one horizon or until `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        InvalidInput
            If the horizon is shorter than the longest chance that is answered.
        """
        self.needs.check(dataset, self.name)
        check_follow_up(self.horizon_days)
        history = purchase_history(customer_features(dataset, as_of))
        if not has_enough_history(
            dataset, as_of, self.horizon_days, self.horizon_days + self.cut_step_days
        ):
            self.booster_ = self.anchor_ = None
            self.process_ = ModifiedBgNbd.fit(*history)
            self.newcomer_curve_ = self._by_process(NEWCOMER)[0]
            return self
        cuts = past_cutoffs(
            dataset, as_of, self.horizon_days, step=self.cut_step_days, count=self.cuts
        )
        self.process_ = BgNbd.fit(*history)
        parts = [self._person_periods(cut) for cut in cuts]
        bought = np.concatenate([label for _, label in parts])
        periods = pl.concat(frame for frame, _ in parts)
        self.booster_ = Booster.fit(
            periods,
            bought,
            self.trees.params(objective="binary", extra_trees=True),
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )
        known = inputs_of(customer_features(dataset, as_of), to_day(as_of))
        self.anchor_ = self._bound(
            self.booster_, [known, *(inputs_of(cut.features, cut.day) for cut in cuts)]
        )
        few = (periods.get_column("visits") < FEW_VISITS).to_numpy()
        self.newcomer_curve_ = self._curve_of_newcomers(
            periods.get_column("elapsed").to_numpy(), bought, few
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, expected_days, q10, q50, q90, p_within_7, p_within_14, p_within_30, reasons
            (up to three, strongest first) and contributions (of each reason, in log-odds of
            buying on a day). Days count from `as_of`, a purchase at its day's middle, and stop at
            the horizon: a quantile at the horizon lies there or beyond; expected_days is the mean
            of what is so clipped. Customers without a purchase get the newcomers' distribution.
        """
        return known_customers.answers(
            self.features(dataset, as_of), ids, self.predict_from, self.newcomers
        )

    def predict_from(self, features: pl.DataFrame) -> pl.DataFrame:
        """Answer from rows of `features`; batch and serving both go through `curves`."""
        answers = answers_from(features.get_column("customer_id"), self.curves(features))
        reasons = top_explanations(self._contributions(features), features, REASONS)
        return answers.with_columns(explanation_columns(reasons))

    def newcomers(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Answer for customers of whom no purchase is known."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        curves = np.tile(self.newcomer_curve_, (len(ids), 1))
        reasons = [[(NEWCOMER_REASON, 0.0)]] * len(ids)
        return answers_from(ids, curves).with_columns(explanation_columns(reasons))

    def curves(self, features: pl.DataFrame) -> Floats:
        """Return P(purchase within d days) for d = 1 to the horizon, shape (customers, horizon)."""
        if self.booster_ is None or self.anchor_ is None:
            return self._by_process(purchase_history(features))
        curves = self._free_curves(self.booster_, features)
        return anchored(curves, self.anchor_.horizon_days, self.anchor_.log_odds(features))

    def _by_process(self, history: tuple[Floats, Floats, Floats]) -> Floats:
        """Return what the process alone says, shape (customers, horizon)."""
        x, t_x, t = (values[:, None] for values in history)
        return 1 - self.process_.inactivity(x, t_x, t, np.arange(1, self.horizon_days + 1))

    def _bound(self, booster: Booster, frames: list[pl.DataFrame]) -> MonotoneSurrogate:
        """Fit the twin that binds the chance within two months to what the hazard says of it."""
        days = min(self.horizon_days, ANCHOR_DAYS)
        bought = np.concatenate(
            [self._free_curves(booster, frame)[:, days - 1] for frame in frames]
        )
        silent = np.clip(1 - bought, 1e-6, 1 - 1e-6)
        process = ModifiedBgNbd.fit(*purchase_history(frames[0]))
        return MonotoneSurrogate.fit(
            process,
            days,
            pl.concat(frames),
            np.log(silent / (1 - silent)),
            threads=self.threads,
            seed=self.seed,
        )

    def _free_curves(self, booster: Booster, features: pl.DataFrame) -> Floats:
        """Return what the hazard says before it is bound to rise with silence."""
        edges = bin_edges(self.horizon_days)
        hazard = booster.predict(self._expanded(features))
        return curve_of(hazard.reshape(features.height, len(edges) - 1), edges)

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return each customer's reasons; `contribution` in log-odds of buying on a day.

        Where the process answers alone, what it reads is the reason and has no parts.
        """
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(self._contributions(features), features, REASONS)

    def save(self, folder: Path) -> None:
        """Write the native boosters, where there are any, and `next_purchase.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster_ is not None and self.anchor_ is not None:
            self.booster_.save(folder / "booster")
            self.anchor_.save(folder / "anchor")
        content = {
            "learnt": self.booster_ is not None,
            "options": options_of(self),
            "process": asdict(self.process_),
            "newcomer_curve": self.newcomer_curve_.tolist(),
        }
        (folder / "next_purchase.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        content = json.loads((folder / "next_purchase.json").read_text())
        model = model_with_options(cls, content["options"])
        model.threads = threads or model.threads
        model.booster_ = model.anchor_ = None
        model.process_ = ModifiedBgNbd(**content["process"])
        if content["learnt"]:
            model.booster_ = Booster.load(folder / "booster", model.threads)
            model.anchor_ = MonotoneSurrogate.load(folder / "anchor", model.threads)
            model.process_ = BgNbd(**content["process"])
        model.newcomer_curve_ = np.array(content["newcomer_curve"])
        return model

    def _expanded(
        self, features: pl.DataFrame, bins: NDArray[np.int64] | None = None
    ) -> pl.DataFrame:
        """Lay out `bins`, by default all, of every customer, customer by customer."""
        edges = bin_edges(self.horizon_days)
        chosen = np.arange(len(edges) - 1) if bins is None else bins
        rows = np.repeat(np.arange(features.height), len(chosen))
        return expand(features, self.process_, edges, rows, np.tile(chosen, features.height))

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Average over the explained bins what each feature moved, one row a customer."""
        if self.booster_ is None:
            return features.select(pl.zeros(pl.len()).alias(name) for name in ("recency", "visits"))
        edges = bin_edges(self.horizon_days)
        bins = np.searchsorted(edges, EXPLAINED_DAYS)
        parts = self.booster_.path_contributions(self._expanded(features, bins))
        mean = parts.to_numpy().reshape(features.height, len(bins), parts.width).mean(axis=1)
        return pl.DataFrame(mean, schema=parts.columns, orient="row")

    def _person_periods(self, cut: Cutoff) -> tuple[pl.DataFrame, Floats]:
        """Lay out the bins that each customer lived through after a cut, and who bought in them."""
        edges = bin_edges(self.horizon_days)
        features = inputs_of(cut.features, cut.day)
        rows, bins, bought = lived_bins(
            cut.days_to_purchase, cut.purchased, cut.follow_up_days, edges
        )
        return expand(features, self.process_, edges, rows, bins), bought

    def _curve_of_newcomers(
        self, elapsed: Floats, bought: Floats, few: NDArray[np.bool_]
    ) -> Floats:
        """Share of customers with few visits who have bought by each day (life table)."""
        edges = bin_edges(self.horizon_days)
        if few.sum() >= MIN_NEWCOMERS * len(edges):
            elapsed, bought = elapsed[few], bought[few]
        return life_table(np.searchsorted(edges, elapsed), bought, edges)


def anchored(curves: Floats, days: int, log_odds: Floats) -> Floats:
    """Stretch the hazard of the first `days` so that the silence they end in has these odds.

    The curve keeps its shape on the way there, and its further hazard from there on.

    Parameters
    ----------
    curves
        P(purchase within d days), d = 1 to the horizon.
    days
        Where the silence is known.
    log_odds
        Of no purchase within `days`, one a curve.
    """
    hazard = -np.log(np.maximum(1 - curves, TINY))
    wanted = np.logaddexp(0, -log_odds)  # minus the log of the chance of silence
    factor = wanted / np.maximum(hazard[:, days - 1], TINY)
    further = hazard[:, days:] - hazard[:, days - 1 : days] + wanted[:, None]
    before = hazard[:, : days - 1] * factor[:, None]
    # Rounding must not stand between a curve and its anchor, nor in the way of its rise.
    there = np.minimum(np.hstack([before, wanted[:, None]]), wanted[:, None])
    return np.asarray(-np.expm1(-np.hstack([there, further])))
