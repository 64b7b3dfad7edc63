"""Value baselines: BG/NBD with Gamma-Gamma or the customer's mean spend, and the last horizon.

All return the orders and the spend of the horizon, in the dataset's currency.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training.customers.cutoffs import customer_features, orders_and_spend, typical_spend
from training.estimators.bg_nbd import BgNbd, purchase_history
from training.estimators.gamma_gamma import GammaGamma


def _predictions(
    features: pl.DataFrame, days: int, orders: Floats, value: Floats, ids: pl.DataFrame | None
) -> pl.DataFrame:
    predictions = features.select(
        "customer_id", pl.Series(f"orders_{days}", orders), pl.Series(f"value_{days}", value)
    )
    if ids is None:
        return predictions
    return ids.join(predictions, on="customer_id", maintain_order="left")


@dataclass
class BgNbdSpend:
    """Expected orders under BG/NBD times the spend of an order.

    Attributes
    ----------
    shrunk
        Whether the spend of an order is shrunk by Gamma-Gamma or is the customer's mean.
    horizon_days
        Days ahead.
    """

    shrunk: bool
    horizon_days: int = 28
    process_: BgNbd = field(init=False, repr=False)
    spend_: GammaGamma = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit both processes to what is known at `as_of`."""
        features = customer_features(dataset, as_of)
        self.process_ = BgNbd.fit(*purchase_history(features))
        self.spend_ = GammaGamma.fit(
            features.get_column("visits"), features.get_column("spend_per_visit")
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        orders = self.process_.expected_purchases(*purchase_history(features), self.horizon_days)
        spend = features.get_column("spend_per_visit").to_numpy()
        if self.shrunk:
            spend = self.spend_.expected_spend(features.get_column("visits"), spend)
        value = orders * spend * typical_spend(dataset, as_of)
        return _predictions(features, self.horizon_days, orders, value, ids)


def bg_nbd_gamma_gamma(horizon_days: int = 28) -> BgNbdSpend:
    """Spend of an order by Gamma-Gamma (Fader, Hardie and Lee 2005)."""
    return BgNbdSpend(shrunk=True, horizon_days=horizon_days)


def bg_nbd_mean_basket(horizon_days: int = 28) -> BgNbdSpend:
    """Spend of an order by the customer's mean."""
    return BgNbdSpend(shrunk=False, horizon_days=horizon_days)


@dataclass
class LastPeriod:
    """Orders and spend of the last horizon repeat."""

    horizon_days: int = 28

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Fit nothing."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of`."""
        features = customer_features(dataset, as_of)
        since, days = to_day(as_of) - self.horizon_days, self.horizon_days
        orders, spend = orders_and_spend(dataset, as_of, since, days, features["customer_id"])
        value = spend * typical_spend(dataset, as_of, since)
        return _predictions(features, self.horizon_days, orders, value, ids)
