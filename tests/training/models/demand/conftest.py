"""A shop with generated weekly sales that a mailer triples, and a model fitted on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.contract import model_with_options
from training.models.demand.model import DemandModel


@dataclass(frozen=True)
class MailerShop:
    """Tables of the shop, whose last four weeks are after `as_of`, and options of a small model."""

    sales: pl.DataFrame
    promotions: pl.DataFrame
    first_day: int
    as_of: datetime
    options: dict[str, Any]
    small: dict[str, Any]

    @property
    def as_of_day(self) -> int:
        return (self.as_of - datetime(1970, 1, 1)).days

    @property
    def dataset(self) -> Dataset:
        return Dataset.from_frames("shop", {"sales": self.sales, "promotions": self.promotions})

    def unfitted(self, **options: Any) -> DemandModel:
        return model_with_options(DemandModel, {**self.options, **self.small, **options})


@pytest.fixture(scope="session")
def mailer_shop():
    first, weeks, products = 17_000, 44, 80
    rng = np.random.default_rng(0)
    rate = rng.uniform(3, 20, products)
    promoted = rng.random((products, weeks)) < 0.2
    sold = rng.poisson(rate[:, None] * np.where(promoted, 3.0, 1.0))
    product, week = np.indices(sold.shape)
    keys = {"product_id": [f"p{i:02d}" for i in product.ravel()], "location_id": "1"}
    day = (first + 7 * week.ravel()).astype(np.int32)
    sales = pl.DataFrame(
        {
            **keys,
            "day": (day + product.ravel() % 7).astype(np.int32),
            "quantity": sold.ravel().astype(float),
        }
    )
    plan = pl.DataFrame({**keys, "kind": "mailer", "from_day": day, "to_day": day + 7})
    return MailerShop(
        sales,
        plan.filter(pl.Series(promoted.ravel())),
        first,
        datetime(1970, 1, 1) + timedelta(days=first + 7 * (weeks - 4)),
        {"grain": "product:week", "horizon_days": 28},
        {"learning_rate": 0.1, "rows": 5_000, "rounds": 50, "members": 2, "min_data_in_leaf": 50},
    )


@pytest.fixture(scope="session")
def mailer_model(mailer_shop):
    return mailer_shop.unfitted().fit(mailer_shop.dataset, mailer_shop.as_of)


@pytest.fixture(scope="session")
def mailer_forecast(mailer_model, mailer_shop):
    return mailer_model.predict(mailer_shop.dataset, mailer_shop.as_of)
