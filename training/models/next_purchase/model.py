"""Next-purchase model: the distribution of the days until a customer buys again.

A dataset and an instant go in; quantiles, probabilities and explanations of every customer with a
purchase come out. The model is a discrete-time hazard, trained on customers at past cutoffs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats, Ints
from training.contract import Needs
from training.customers import model_file
from training.customers.cutoffs import (
    customer_features,
    half_horizon,
    has_enough_history,
    past_cutoffs,
)
from training.customers.explanations import explanation_columns, explanation_rows, top_explanations
from training.customers.hazard import Hazard, Periods
from training.customers.inactivity import InactivityModel, InactivityOptions, fit_inactivity
from training.customers.prediction import FEW_VISITS, predict_customers
from training.customers.survival import (
    CUTOFF_STEP_DAYS,
    NEW_CUSTOMER,
    answers_from_curves,
    check_horizon,
    curves_through,
)
from training.estimators.bg_nbd import BgNbd, ModifiedBgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.models.next_purchase.person_periods import add_weekday, bin_edges, expand

# With fewer examples of customers with few visits, the curve of all customers is used.
MIN_FEW_VISITS_EXAMPLES = 30
EXPLANATIONS = 3
# Explanations are read off the hazard of these days ahead: at once, and after a further week.
EXPLAINED_DAYS = (0, 7)
NEW_CUSTOMER_EXPLANATION = "no purchase known: the cadence of customers with fewer than 3 visits"
BOOSTER, INACTIVITY = "booster", "inactivity"

TREES = BoostingOptions(
    learning_rate=0.05,
    num_leaves=24,
    min_data_in_leaf=100,
    feature_fraction=0.4,
    lambda_l2=30.0,
)


@dataclass
class NextPurchaseModel:
    """A discrete-time hazard (`training.customers.hazard`) that agrees with the inactivity model.

    The hazard gives the shape of a customer's curve; at half the horizon and at the horizon it
    passes through the answers of `training.customers.inactivity`, so that the probability of a
    purchase does not decrease with visits nor increase with inactivity there. By pinball loss at
    three origins of the bundled year, random splits are better than greedy ones, the hazard of
    BG/NBD as initial score is worse, and averages over seeds or with a Cox model are no better.
    Where records are hardly longer than the horizon, the model is MBG/NBD alone.

    Attributes
    ----------
    horizon_days
        Days of follow-up; the distribution is censored there.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cutoffs, cutoff_step_days
        Number of past cutoffs, and the days between them.
    periods
        Size of the random sample of person-periods; bounds time and memory.
    rounds
        Number of trees.
    trees
        Options of the trees.
    """

    name: ClassVar[str] = "next-purchase"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    cutoffs: int = 12
    cutoff_step_days: int = CUTOFF_STEP_DAYS
    periods: int = 300_000
    rounds: int = 200
    trees: BoostingOptions = TREES
    hazard_: Hazard | None = field(init=False, repr=False)
    process_: BgNbd = field(init=False, repr=False)
    new_customer_curve_: Floats = field(init=False, repr=False)
    inactivity_: InactivityModel | None = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return add_weekday(customer_features(dataset, as_of), to_day(as_of))

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs, each with follow-up of one horizon or until `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks a required table or column, or has too few days before `as_of`.
        InvalidInput
            If the horizon is shorter than that of the longest published probability.
        """
        self.needs.check(dataset, self.name)
        check_horizon(self.horizon_days)
        history = purchase_history(customer_features(dataset, as_of))
        needed = self.horizon_days + self.cutoff_step_days
        if not has_enough_history(dataset, as_of, self.horizon_days, needed):
            self.hazard_ = self.inactivity_ = None
            self.process_ = ModifiedBgNbd.fit(*history)
            self.new_customer_curve_ = self._process_curves(NEW_CUSTOMER)[0]
            return self
        self.process_ = BgNbd.fit(*history)
        cutoffs = [
            replace(cutoff, features=add_weekday(cutoff.features, cutoff.day))
            for cutoff in past_cutoffs(
                dataset, as_of, self.horizon_days, step=self.cutoff_step_days, count=self.cutoffs
            )
        ]
        periods = Periods.after(cutoffs, bin_edges(self.horizon_days))
        self.hazard_ = Hazard.fit(
            periods.sample(self.periods, self.seed),
            self._expand,
            self.trees.params(extra_trees=True),
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )
        self.inactivity_, _ = fit_inactivity(
            dataset,
            as_of,
            half_horizon(self.horizon_days),
            InactivityOptions(seed=self.seed, threads=self.threads),
        )
        self.new_customer_curve_ = self._new_customer_curve(periods)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, expected_days, q10, q50, q90, p_within_7, p_within_14, p_within_30,
            explanations (up to three, strongest first) and contributions (of each explanation, in
            log-odds of buying on a day). Days count from `as_of`, a purchase at the middle of its
            day, and are censored at the horizon: a quantile at the horizon lies there or beyond,
            and expected_days is the mean of the censored days. Customers without a purchase get
            the distribution of customers with few visits.
        """
        return predict_customers(
            self.features(dataset, as_of), ids, self.predict_from, self.predict_new
        )

    def predict_from(self, features: pl.DataFrame) -> pl.DataFrame:
        """Predict from rows of `features`."""
        answers = answers_from_curves(features.get_column("customer_id"), self.curves(features))
        explanations = top_explanations(self._contributions(features), features, EXPLANATIONS)
        return answers.with_columns(explanation_columns(explanations))

    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        curves = np.tile(self.new_customer_curve_, (len(ids), 1))
        explanations = [[(NEW_CUSTOMER_EXPLANATION, 0.0)]] * len(ids)
        return answers_from_curves(ids, curves).with_columns(explanation_columns(explanations))

    def curves(self, features: pl.DataFrame) -> Floats:
        """Return P(purchase within d days) for d = 1 to the horizon, shape (customers, horizon)."""
        if self.hazard_ is None or self.inactivity_ is None:
            return self._process_curves(purchase_history(features))
        model = self.inactivity_
        through = {
            days: model.log_odds(features, days)
            for days in model.days
            if model.horizon_days <= days <= self.horizon_days
        }
        return curves_through(self.hazard_.curves(features), through)

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason; `contribution` in log-odds of buying on a day.

        MBG/NBD alone has no contributions: the features that it reads are the reasons, with 0.
        """
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(self._contributions(features), features, EXPLANATIONS)

    def save(self, folder: Path) -> None:
        """Write options, fitted values and, where there are any, hazard and inactivity model."""
        fitted = {
            "has_booster": self.hazard_ is not None,
            "process": asdict(self.process_),
            "new_customer_curve": self.new_customer_curve_.tolist(),
        }
        model_file.write(self, folder, fitted)
        if self.hazard_ is not None and self.inactivity_ is not None:
            self.hazard_.save(folder / BOOSTER)
            self.inactivity_.save(folder / INACTIVITY)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.hazard_ = model.inactivity_ = None
        model.process_ = ModifiedBgNbd(**fitted["process"])
        if fitted["has_booster"]:
            booster = Booster.load(folder / BOOSTER, model.threads)
            model.hazard_ = Hazard(booster, bin_edges(model.horizon_days), model._expand)
            model.inactivity_ = InactivityModel.load(folder / INACTIVITY, model.threads)
            model.process_ = BgNbd(**fitted["process"])
        model.new_customer_curve_ = np.array(fitted["new_customer_curve"])
        return model

    def _process_curves(self, history: tuple[Floats, Floats, Floats]) -> Floats:
        """Return the curves of the buy-till-you-die model, shape (customers, horizon)."""
        frequency, recency, age = (values[:, None] for values in history)
        days = np.arange(1, self.horizon_days + 1)
        return 1 - self.process_.inactivity(frequency, recency, age, days)

    def _expand(self, features: pl.DataFrame, rows: Ints, bins: Ints) -> pl.DataFrame:
        return expand(features, self.process_, bin_edges(self.horizon_days), rows, bins)

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return each feature's contribution, averaged over EXPLAINED_DAYS, one row a customer."""
        if self.hazard_ is None:
            return features.select(pl.zeros(pl.len()).alias(name) for name in ("recency", "visits"))
        return self.hazard_.contributions(features, EXPLAINED_DAYS)

    def _new_customer_curve(self, periods: Periods) -> Floats:
        """Return the life table of customers with few visits, or of all if they are too few."""
        few = [
            (cutoff.features.get_column("visits") < FEW_VISITS).to_numpy()
            for cutoff in periods.cutoffs
        ]
        if sum(part.sum() for part in few) < MIN_FEW_VISITS_EXAMPLES:
            few = [np.ones_like(part) for part in few]
        return periods.life_table(few)
