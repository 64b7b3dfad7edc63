"""Value model: the orders and the spend of customers over any number of days ahead.

A dataset and an instant go in; expected orders, spend and explanations of every customer with a
purchase come out. The model is trained on customers at past cutoffs. An order is a visit: a day
with a purchase.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from features.calendar import day_start
from features.dataset import Dataset
from features.typing import Floats
from training.contract import Needs
from training.customers import model_file
from training.customers.cutoffs import (
    customer_features,
    cutoff_days,
    features_at_cutoff,
    half_horizon,
    has_enough_history,
    history_days,
    orders_and_spend,
    typical_spend,
)
from training.customers.explanations import (
    Explanation,
    Usual,
    explanation_columns,
    explanation_rows,
)
from training.customers.feature_phrases import VALUE_WORDING
from training.customers.prediction import predict_customers
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import PurchaseTiming
from training.customers.survival import CUTOFF_STEP_DAYS
from training.customers.timing_training import TimingOptions, fit_purchase_timing
from training.estimators.bg_nbd import BgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.estimators.gamma_gamma import GammaGamma
from training.models.value import ensemble
from training.models.value.ensemble import TYPICAL_SPEND, OrdersAndSpend
from training.models.value.newcomer import Newcomer
from training.models.value.prediction_interval import SpendInterval
from training.models.value.revenue import check_revenue
from training.models.value.season import Seasons, WithinDays

HORIZONS_DAYS = (30, 90, 365)
# Days ahead of `total_value`, which is past spend and expected spend.
TOTAL_DAYS = 365
TIMING = "timing"
# Lower bound of expected orders and spend.
TINY = 1e-4

TREES = BoostingOptions(
    learning_rate=0.03,
    num_leaves=12,
    min_data_in_leaf=60,
    feature_fraction=0.4,
    lambda_l2=5.0,
)


@dataclass
class ValueModel:
    """Orders times spend per order.

    Boosters predict the orders (Poisson) and the spend (Tweedie) of the `horizon_days` after each
    cutoff; with less than two horizons of records, those of half the days that there are. They are
    averaged with simpler members (`ensemble`). Over other days ahead, orders grow as under BG/NBD,
    with the shop's season where there are two years (`season`). They are at least the probability
    of an order, read off the curve of the next purchase. The spend per order does not depend on the
    days ahead. Without boosters, BG/NBD and Gamma-Gamma predict both. Orders, value and its
    quantiles never fall as days ahead grow.

    Attributes
    ----------
    horizon_days
        Days ahead that the boosters are trained on, where records are long enough; they are
        predicted besides 30, 90 and 365.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cutoffs, cutoff_step_days
        Number of past cutoffs, and the days between them.
    rounds
        Number of trees.
    trees
        Options of the trees.
    tweedie_power
        Power of the variance of spend, as LightGBM defines it.
    explain_attributes
        Whether explanations may name attributes of customers, such as age.
    """

    name: ClassVar[str] = "value"
    needs: ClassVar[Needs] = Needs(
        required={"orders": ("customer_id", "day", "revenue")},
        optional={
            "products": "how many categories a customer buys from",
            "touchpoints": "offers sent to and redeemed by a customer",
        },
    )

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cutoffs: int = 10
    cutoff_step_days: int = CUTOFF_STEP_DAYS
    rounds: int = 250
    trees: BoostingOptions = TREES
    tweedie_power: float = 1.4
    explain_attributes: bool = False
    boosters_: Mapping[str, Booster] = field(init=False, repr=False)
    timing_: PurchaseTiming = field(init=False, repr=False)
    process_: BgNbd = field(init=False, repr=False)
    spend_: GammaGamma = field(init=False, repr=False)
    newcomer_: Newcomer = field(init=False, repr=False)
    seasons_: Seasons = field(init=False, repr=False)
    interval_: SpendInterval = field(init=False, repr=False)
    typical_spend_: float = field(init=False, repr=False)
    fitted_days_: int = field(init=False, repr=False)
    weights_: Mapping[str, float] = field(init=False, repr=False)
    usual_: Usual = field(init=False, repr=False)

    @property
    def horizons(self) -> list[int]:
        """Days ahead that are predicted by default."""
        return sorted({self.horizon_days, *HORIZONS_DAYS})

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return customer_features(dataset, as_of).with_columns(
            pl.lit(typical_spend(dataset, as_of)).alias(TYPICAL_SPEND)
        )

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past cutoffs whose outcomes are known at `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks a required column, revenue, or enough days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        check_revenue(dataset, as_of)
        options = TimingOptions(seed=self.seed, threads=self.threads)
        self.timing_ = fit_purchase_timing(dataset, as_of, options, horizon_days=self.horizon_days)
        long = has_enough_history(dataset, as_of, self.horizon_days, 2 * self.horizon_days)
        ahead = self.horizon_days if long else half_horizon(history_days(dataset, as_of))
        self.fitted_days_ = ahead
        days = cutoff_days(
            dataset,
            as_of,
            latest=ahead,
            step=self.cutoff_step_days,
            count=self.cutoffs,
            history=ahead,
        )
        self._fit_processes(customer_features(dataset, as_of), typical_spend(dataset, as_of))
        frames = [features_at_cutoff(dataset, as_of, day) for day in days]
        outcomes = [
            orders_and_spend(dataset, as_of, day, ahead, frame["customer_id"])
            for day, frame in zip(days, frames, strict=True)
        ]
        self.newcomer_ = Newcomer.measure(ahead, frames, outcomes)
        # Weights and interval are fitted on the newest cutoff, with boosters that were fitted to
        # outcomes known by then.
        before = [k for k, day in enumerate(days) if day + ahead <= days[0]]
        self._fit_boosters([frames[k] for k in before], [outcomes[k] for k in before])
        if self.boosters_:
            self.weights_ = ensemble.fit_weights(self._members(frames[0]), outcomes[0][1])
        curves = self.timing_.curves(frames[0])
        orders, per_order = self._unseasonal(frames[0], curves)
        expected = np.maximum(orders(ahead), curves.within(ahead))
        self.interval_ = SpendInterval.fit(expected, per_order, outcomes[0][1])
        earlier = Seasons.year_before(dataset, day_start(days[0]), ahead, self._unseasonal)
        rejected = earlier.are_worse(outcomes[0], orders, per_order, ahead)
        self._fit_boosters(frames, outcomes)
        self.usual_ = Usual.measure(self.features(dataset, as_of), self._contributions)
        if not rejected:
            self.seasons_ = Seasons.year_before(dataset, as_of, ahead, self._unseasonal)
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id; for each of the horizons orders_30, value_30, value_30_q10, value_30_q90;
            historic_value (net of returns), returned_value (of all returns), total_value (historic
            and the next 365 days), average_order_value, days_between_orders, expected_next_order (a
            date), explanations (see `Usual.explanations`) and contributions (of each one, in logs
            of the spend). Money is in the dataset's currency. Columns that need more history than a
            customer has are null. Customers without a purchase get the answer of a newcomer.
        """
        return predict_customers(
            self.features(dataset, as_of),
            ids,
            lambda features: self.predict_from(features, as_of),
            lambda new: self.predict_new(new, as_of),
        )

    def predict_from(
        self,
        features: pl.DataFrame,
        as_of: datetime,
        horizons: Sequence[int] | None = None,
        curves: PurchaseCurves | None = None,
    ) -> pl.DataFrame:
        """Predict from rows of `features`.

        Parameters
        ----------
        features, as_of
            The features and their instant.
        horizons
            Days ahead, by default those of `horizons`.
        curves
            Curves of the next purchase, by default those of `timing_`.
        """
        curves = self.timing_.curves(features) if curves is None else curves
        money = features.get_column(TYPICAL_SPEND).to_numpy()
        columns: dict[str, Any] = {"customer_id": features.get_column("customer_id")}
        unseasonal, per_order = self._unseasonal(features, curves)
        orders, paid = self.seasons_.expected(unseasonal, curves.within)
        for days in horizons or self.horizons:
            columns |= self._value_columns(days, orders(days), paid(days), per_order * money)
        historic = features.get_column("spend_total").to_numpy() * money
        year = paid(TOTAL_DAYS) * per_order
        columns["historic_value"] = historic
        columns["returned_value"] = features.get_column("returned_spend").to_numpy() * money
        columns["total_value"] = historic + year * money
        columns["average_order_value"] = historic / features.get_column("visits").to_numpy()
        columns["days_between_orders"] = features.get_column("gap_mean")
        columns["expected_next_order"] = curves.next_order(as_of)
        explanations = explanation_columns(self._explanations(features))
        return pl.DataFrame(columns).hstack(explanations)

    def predict_new(
        self,
        customer_ids: Sequence[str] | pl.Series,
        as_of: datetime,
        horizons: Sequence[int] | None = None,
    ) -> pl.DataFrame:
        """Predict for customers without a purchase as for those with few visits (`Newcomer`)."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        ones, money = np.ones(len(ids)), self.typical_spend_
        curves = self.timing_.newcomers(len(ids))
        per_order = ones * self.newcomer_.per_order * money
        newcomer = partial(self.newcomer_.expected_orders, self.process_)
        orders, paid = self.seasons_.expected(newcomer, curves.within)
        columns: dict[str, Any] = {"customer_id": ids}
        for days in horizons or self.horizons:
            columns |= self._value_columns(days, orders(days), paid(days), per_order)
        columns |= dict.fromkeys(("historic_value", "returned_value"), 0 * ones)
        columns["total_value"] = paid(TOTAL_DAYS) * per_order
        missing = pl.Series([None] * len(ids), dtype=pl.Float64)
        columns |= dict.fromkeys(("average_order_value", "days_between_orders"), missing)
        columns["expected_next_order"] = curves.next_order(as_of)
        return pl.DataFrame(columns).with_columns(explanation_columns([[]] * len(ids)))

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason; `contribution` in logs of the spend."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(features.select("customer_id"), self._explanations(features))

    def save(self, folder: Path) -> None:
        """Write options, fitted values and, where there are any, the boosters."""
        fitted = {
            "process": asdict(self.process_),
            "spend": asdict(self.spend_),
            "newcomer": asdict(self.newcomer_),
            "seasons": asdict(self.seasons_),
            "interval": asdict(self.interval_),
            "typical_spend": self.typical_spend_,
            "usual": asdict(self.usual_),
            "fitted_days": self.fitted_days_,
            "weights": self.weights_,
            "boosters": list(self.boosters_),
        }
        model_file.write(self, folder, fitted)
        for name, booster in self.boosters_.items():
            booster.save(folder / name)
        self.timing_.save(folder / TIMING)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.boosters_ = {
            name: Booster.load(folder / name, model.threads) for name in fitted["boosters"]
        }
        model.timing_ = PurchaseTiming.load(folder / TIMING, model.threads)
        model.fitted_days_, model.weights_ = fitted["fitted_days"], fitted["weights"]
        model.process_ = BgNbd(**fitted["process"])
        model.spend_ = GammaGamma(**fitted["spend"])
        model.newcomer_ = Newcomer(**fitted["newcomer"])
        model.seasons_ = Seasons.from_json(fitted["seasons"])
        model.interval_ = SpendInterval(**fitted["interval"])
        model.typical_spend_ = fitted["typical_spend"]
        model.usual_ = Usual(**fitted["usual"])
        return model

    def _fit_processes(self, features: pl.DataFrame, typical: float) -> None:
        self.typical_spend_ = typical
        self.process_ = BgNbd.fit(*purchase_history(features))
        self.spend_ = GammaGamma.fit(
            features.get_column("visits"), features.get_column("spend_per_visit")
        )
        self.seasons_, self.weights_ = Seasons(), ensemble.PRIOR_WEIGHTS
        self.boosters_ = {}

    def _fit_boosters(self, frames: list[pl.DataFrame], outcomes: list[OrdersAndSpend]) -> None:
        """Fit both boosters, if there are enough examples and some customer bought again."""
        self.boosters_ = ensemble.fit_boosters(
            frames,
            outcomes,
            {
                ensemble.ORDERS: self.trees.params(objective="poisson"),
                ensemble.SPEND: self.trees.params(
                    objective="tweedie", tweedie_variance_power=self.tweedie_power
                ),
            },
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )

    def _processes(self, features: pl.DataFrame) -> tuple[WithinDays, Floats]:
        """Return orders by days ahead under BG/NBD, and spend per order under Gamma-Gamma."""
        visits, spend = (features.get_column(name) for name in ("visits", "spend_per_visit"))
        # Several horizons and seasons read the same days ahead.
        orders = cache(partial(self.process_.expected_purchases, *purchase_history(features)))
        return orders, self.spend_.expected_spend(visits, spend)

    def _unseasonal(
        self, features: pl.DataFrame, curves: PurchaseCurves | None = None
    ) -> tuple[WithinDays, Floats]:
        """Return orders by days ahead and spend per order of the weighted members.

        Spend is divided by the orders, at least the probability of one.
        """
        process, per_order = self._processes(features)
        if not self.boosters_:
            return process, per_order
        days, curves = self.fitted_days_, curves or self.timing_.curves(features)
        ordered, spent = ensemble.average(self._members(features), self.weights_)
        correction = ordered / np.maximum(process(days), TINY)
        per_order = spent / np.maximum(np.maximum(ordered, curves.within(days)), TINY)
        return lambda ahead: np.maximum(process(ahead), TINY) * correction, per_order

    def _members(self, features: pl.DataFrame) -> dict[str, OrdersAndSpend]:
        """Return the orders and the spend of the fitted days by each member."""
        days, (process, per_order) = self.fitted_days_, self._processes(features)
        boosted = {name: booster.predict(features) for name, booster in self.boosters_.items()}
        return {
            ensemble.BOOSTERS: (boosted[ensemble.ORDERS], boosted[ensemble.SPEND]),
            ensemble.PROCESSES: (process(days), process(days) * per_order),
            ensemble.LAST_PERIOD: ensemble.last_period(features, days),
        }

    def _value_columns(
        self, days: int, orders: Floats, paid: Floats, per_order: Floats
    ) -> dict[str, Floats]:
        low, high = self.interval_.quantiles(paid, per_order)
        return {
            f"orders_{days}": orders,
            f"value_{days}": paid * per_order,
            f"value_{days}_q10": low,
            f"value_{days}_q90": high,
        }

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        if self.boosters_:
            return self.boosters_[ensemble.SPEND].path_contributions(features)
        (orders, per_order), days = self._processes(features), self.horizon_days
        logs = (np.log(np.maximum(values, TINY)) for values in (orders(days), per_order))
        return pl.DataFrame(dict(zip(("visits", "spend_per_visit"), logs, strict=True)))

    def _explanations(self, features: pl.DataFrame) -> list[list[Explanation]]:
        return self.usual_.explanations(
            self._contributions(features),
            features,
            VALUE_WORDING,
            attributes=self.explain_attributes,
        )
