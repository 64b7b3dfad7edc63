"""Published folder of next purchase: the files of a customer model, and every customer's curve.

`training.customers.published` owns the files.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl

from features.dataset import Dataset
from features.typing import Floats
from training.customers import published
from training.customers.published import PublishedCustomerModel
from training.estimators.bg_nbd import purchase_history
from training.models.next_purchase.model import NextPurchaseModel


def publish(model: NextPurchaseModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the files of every customer model, and the curves in the order of the answers."""
    published.publish(model, dataset, as_of, folder)
    curves = model.curves(model.features(dataset, as_of))
    published.write_array(folder, published.CURVES, curves)


def load(folder: Path) -> PublishedCustomerModel[NextPurchaseModel]:
    """Read what `publish` wrote, curves and histories excepted."""
    return PublishedCustomerModel.load(folder, NextPurchaseModel)


def load_curves(model: PublishedCustomerModel[NextPurchaseModel]) -> Floats:
    """Map P(purchase within d days), d = 1 to the horizon, into memory; shape (customers, days)."""
    return model.array(published.CURVES)


def load_history(model: PublishedCustomerModel[NextPurchaseModel]) -> tuple[Floats, Floats, Floats]:
    """Read frequency, recency and age of every customer, in the order of the answers."""
    return purchase_history(model.features(["visits", "tenure", "recency"]))


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them."""
    return published.erase(folder, erased, (published.CURVES,))
