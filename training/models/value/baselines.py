"""What value must beat: BG/NBD times Gamma-Gamma, BG/NBD times the own mean basket, the past.

All answer with the orders and the spend of the horizon, in the dataset's currency.
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


def _answer(
    features: pl.DataFrame, days: int, orders: Floats, value: Floats, ids: pl.DataFrame | None
) -> pl.DataFrame:
    answer = features.select(
        "customer_id", pl.Series(f"orders_{days}", orders), pl.Series(f"value_{days}", value)
    )
    return answer if ids is None else ids.join(answer, on="customer_id", maintain_order="left")


@dataclass
class Processes:
    """Expected orders under BG/NBD times the expected spend of an order."""

    shrunk: bool
    horizon_days: int = 28
    process_: BgNbd = field(init=False, repr=False)
    spend_: GammaGamma = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit both processes to what was known at `as_of`."""
        known = customer_features(dataset, as_of)
        self.process_ = BgNbd.fit(*purchase_history(known))
        self.spend_ = GammaGamma.fit(
            known.get_column("visits"), known.get_column("spend_per_visit")
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        orders = self.process_.expected_purchases(*purchase_history(features), self.horizon_days)
        basket = features.get_column("spend_per_visit").to_numpy()
        if self.shrunk:
            basket = self.spend_.expected_spend(features.get_column("visits"), basket)
        value = orders * basket * typical_spend(dataset, as_of)
        return _answer(features, self.horizon_days, orders, value, ids)


def bg_nbd_gamma_gamma(horizon_days: int = 28) -> Processes:
    """Draw the customer's mean basket towards everyone's, as Gamma-Gamma says."""
    return Processes(shrunk=True, horizon_days=horizon_days)


def bg_nbd_mean_basket(horizon_days: int = 28) -> Processes:
    """Take the customer's own mean basket as it is."""
    return Processes(shrunk=False, horizon_days=horizon_days)


@dataclass
class LastPeriod:
    """What came in the last horizon comes again."""

    horizon_days: int = 28

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:  # noqa: ARG002
        """Learn nothing: the past is the answer."""
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of`."""
        features = customer_features(dataset, as_of)
        since, last = to_day(as_of) - self.horizon_days, self.horizon_days
        orders, spend = orders_and_spend(dataset, as_of, since, last, features["customer_id"])
        value = spend * typical_spend(dataset, as_of, since)
        return _answer(features, self.horizon_days, orders, value, ids)
