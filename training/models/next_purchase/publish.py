"""Published next purchase: the files of a customer model, and every customer's survival curve."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.dataset import Dataset
from training.customers import published
from training.models.next_purchase.model import NextPurchaseModel


def publish(model: NextPurchaseModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write what every customer model does, and the curves in the order of the answers."""
    published.publish(model, dataset, as_of, folder)
    np.save(folder / published.CURVES, model.curves(model.features(dataset, as_of)))


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them."""
    return published.erase(folder, erased, beside=(published.CURVES,))
