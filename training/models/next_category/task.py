"""Next-category task: evaluation, baselines, figures and tuning ranges of the model.

The evaluated population is pairs of customer and category with three purchases or more, of
customers who bought within the last two horizons. Days count as in the next-purchase task.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.calendar import to_day
from features.customers.by_category import KEY
from features.dataset import Dataset
from features.typing import Floats
from training import metrics
from training.contract import Score, Space, Task
from training.customers.evaluation import main_features
from training.customers.horizon import FOLLOW_UP
from training.customers.survival_evaluation import (
    LEVELS,
    draw,
    join_outcomes,
    pinball,
    pinball_losses,
)
from training.models.next_category.baselines import CategoryCurve, ModifiedBgNbdCurve
from training.models.next_category.cutoffs import days_to_next_pair, leading_categories, pairs
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.publish import erase, publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Days of the probability that is evaluated.
SOON_DAYS = 14
# Categories with fewer evaluated customers are not reported as slices.
MIN_SLICE = 500


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return the pairs with enough history, of active customers."""
    names = leading_categories(dataset, as_of, NextCategoryModel.categories)
    active = pl.col("customer_recency") <= 2 * options["horizon_days"]
    return pairs(dataset, as_of, names).filter(active).select(KEY)


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Join outcomes (`days`, `bought`) and predictions, one row a customer and category.

    See `training.customers.survival_evaluation.join_outcomes`.
    """
    horizon = options["horizon_days"]
    entities = population(dataset, as_of, options)
    names = entities.get_column("category").unique().to_list()
    day = to_day(as_of)
    following = days_to_next_pair(dataset, dataset.end, names, day, entities, day + horizon)
    return join_outcomes(entities, KEY, following, predictions, horizon)


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all pairs, and the pinball loss by category."""
    joined = outcomes(dataset, as_of, options, predictions)
    if joined.is_empty():
        return []
    scores = [Score("all", name, value, joined.height) for name, value in measure(joined).items()]
    for (name,), part in joined.group_by("category", maintain_order=True):
        if part.height >= MIN_SLICE:
            scores.append(Score(f"category={name}", "pinball", pinball(part), part.height))
    return scores


def per_case_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return the pinball loss of each pair of customer and category."""
    return {"pinball": pinball_losses(outcomes(dataset, as_of, options, predictions))}


def measure(joined: pl.DataFrame) -> dict[str, float]:
    """Measure joined outcomes and predictions; `mae` is that of the median."""
    days = joined.get_column("days").to_numpy()
    soon = days < SOON_DAYS
    probability = joined.get_column(f"p_within_{SOON_DAYS}").to_numpy()
    low, median, high = (joined.get_column(name).to_numpy() for name in LEVELS)
    return {
        "pinball": pinball(joined),
        "mae": float(np.abs(days - median).mean()),
        "coverage_80": metrics.coverage(days, low, high),
        f"auc_within_{SOON_DAYS}": metrics.roc_auc(soon, probability),
        f"ece_within_{SOON_DAYS}": metrics.ece(soon, probability),
        f"log_loss_within_{SOON_DAYS}": metrics.log_loss(soon, probability),
    }


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw survival curves, and the calibration of quantiles and of P(purchase within 14 days)."""
    from training.customers.calibration_plot import draw_calibration  # matplotlib is slow to import

    joined = outcomes(dataset, as_of, options, predictions)
    if joined.is_empty():
        return {}
    figures = draw(joined, options["horizon_days"])
    figures["calibration_within_14"] = draw_calibration(
        (joined.get_column("days").to_numpy() < SOON_DAYS).astype(np.float64),
        joined.get_column(f"p_within_{SOON_DAYS}").to_numpy(),
        xlabel="probability of a purchase within 14 days",
        ylabel="share that bought",
        title="Calibration, customers and categories",
    )
    return figures


NEXT_CATEGORY = Task(
    name="next-category",
    model=NextCategoryModel,
    baselines={"category_curve": CategoryCurve, "modified_bg_nbd": ModifiedBgNbdCurve},
    options=FOLLOW_UP.options,
    reason=FOLLOW_UP.reason,
    needed_days=FOLLOW_UP.needed_days,
    population=population,
    evaluate=evaluate,
    per_case_metrics=per_case_metrics,
    main_features=main_features,
    plots=plots,
    publish=publish,
    erase=erase,
    primary="pinball",
    tunable={
        "rounds": Space(50, 300, log=True, integer=True),
        "num_leaves": Space(8, 63, integer=True),
        "min_data_in_leaf": Space(50, 1000, log=True, integer=True),
        "feature_fraction": Space(0.2, 0.8),
    },
)
