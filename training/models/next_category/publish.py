"""Published folder of next category: predictions, curves and histories of customers and categories.

A fitted model and a dataset go in when publishing. Predictions, one row a customer and category,
arrays in their order and statistics of every category come out when reading.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Floats
from training.customers import published
from training.customers.published import PublishedCustomerModel
from training.models.next_category.cutoffs import category_statistics
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.person_periods import process_input

CATEGORY_STATISTICS = "category_statistics.parquet"


def publish(model: NextCategoryModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, predictions at `as_of`, curves, histories and category statistics."""
    features = model.features(dataset, as_of)
    curves = model.curves(features)
    model.answers(features, curves).write_parquet(folder / published.ANSWERS)
    published.write_array(folder, published.CURVES, curves.probabilities.astype(np.float32))
    published.write_array(folder, published.HISTORY, np.stack(process_input(features), axis=1))
    category_statistics(features).write_parquet(folder / CATEGORY_STATISTICS)
    published.publish_model(model, dataset, as_of, folder)


def load(folder: Path) -> PublishedCustomerModel[NextCategoryModel]:
    """Read model and population that `publish` wrote."""
    return PublishedCustomerModel.load(folder, NextCategoryModel)


def load_curves(model: PublishedCustomerModel[NextCategoryModel]) -> Floats:
    """Map P(purchase within d days), d = 1 to the horizon, into memory; shape (pairs, days)."""
    return model.array(published.CURVES)


def load_history(model: PublishedCustomerModel[NextCategoryModel]) -> Floats:
    """Map frequency, recency and age of every pair into memory; shape (pairs, 3)."""
    return model.array(published.HISTORY)


def load_category_statistics(model: PublishedCustomerModel[NextCategoryModel]) -> pl.DataFrame:
    """Read what is usual in each category (`cutoffs.category_statistics`)."""
    return pl.read_parquet(model.folder / CATEGORY_STATISTICS)


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them."""
    return published.erase(folder, erased, (published.CURVES, published.HISTORY))
