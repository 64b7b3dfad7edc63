"""Published next purchase by category: answers, curves and what the process knows of each.

`answers.parquet` holds the columns of `predict`, one row a customer and category; `curves.npy`
P(purchase within d days) for d = 1 to the horizon, and `history.npy` the process's input, in the
same order. With the norms and the population, customers whom the records do not hold are scored.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.dataset import Dataset
from training.customers import published
from training.customers.population import Population
from training.models.next_category.cutoffs import norms_of
from training.models.next_category.model import NORMS, NextCategoryModel
from training.models.next_category.person_periods import process_input


def publish(model: NextCategoryModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, every answer at `as_of`, and the curves that answers are read from."""
    model.save(folder / published.MODEL)
    features = model.features(dataset, as_of)
    curves = model.curves(features)
    model.answers(features, curves).write_parquet(folder / published.ANSWERS)
    np.save(folder / published.CURVES, curves.astype(np.float32))
    np.save(folder / published.HISTORY, np.stack(process_input(features), axis=1))
    norms_of(features).write_parquet(folder / NORMS)
    Population.measure(dataset, as_of).save(folder)
    published.write_about(folder, as_of, model.horizon_days)


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from the published files; returns the ids that were in them."""
    return published.erase(folder, erased, beside=(published.CURVES, published.HISTORY))
