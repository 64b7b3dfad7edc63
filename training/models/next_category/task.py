"""Next purchase from a category as a question: who is judged, how, and against what.

The population is customers and categories with three purchases or more, of customers who bought
within the last two horizons. Days count as for the next purchase of anything.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.calendar import to_day
from features.customers.by_category import PAIR
from features.dataset import Dataset
from training import metrics
from training.contract import Score, Space, Task
from training.customers.survival import WITHIN_DAYS
from training.customers.survival_plots import draw
from training.models.churn.plots import calibration
from training.models.next_category.baselines import CategoryCurve, ModifiedBgNbdCurve
from training.models.next_category.cutoffs import days_to_next_pair, leading_categories, pairs
from training.models.next_category.model import NextCategoryModel
from training.models.next_category.publish import erase, publish
from training.models.next_purchase.task import HORIZON, LEVELS, beside, pinball

# The chance that is judged: within two weeks.
SOON_DAYS = 14
# Categories with fewer judged customers are no slice of their own.
FEWEST_IN_A_SLICE = 500


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return customers and categories with enough history, of the customers that are active."""
    names = leading_categories(dataset, as_of, NextCategoryModel.categories)
    active = pl.col("customer_recency") <= 2 * options["horizon_days"]
    return pairs(dataset, as_of, names).filter(active).select(PAIR)


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Lay what happened (`days`, `bought`) beside what was said.

    What has no prediction is taken to have been told the opposite of what happened.
    """
    horizon = options["horizon_days"]
    laid = population(dataset, as_of, options)
    names = laid.get_column("category").unique().to_list()
    end = as_of + timedelta(days=horizon)
    following = days_to_next_pair(dataset, end, names, to_day(as_of), laid)
    return beside(laid, PAIR, following, predictions, horizon)


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all, and pinball loss by category."""
    laid = outcomes(dataset, as_of, options, predictions)
    if laid.is_empty():
        return []
    scores = [Score("all", name, value, laid.height) for name, value in measure(laid).items()]
    for (name,), part in laid.group_by("category", maintain_order=True):
        if part.height >= FEWEST_IN_A_SLICE:
            scores.append(Score(f"category={name}", "pinball", pinball(part), part.height))
    return scores


def measure(laid: pl.DataFrame) -> dict[str, float]:
    """Measure outcomes."""
    days = laid.get_column("days").to_numpy()
    soon, chance = days < SOON_DAYS, laid.get_column(f"p_within_{SOON_DAYS}").to_numpy()
    low, high = (laid.get_column(name).to_numpy() for name in ("q10", "q90"))
    return {
        "pinball": pinball(laid),
        "mae": float(np.abs(days - laid.get_column("expected_days").to_numpy()).mean()),
        "coverage_80": metrics.coverage(days, low, high),
        f"auc_within_{SOON_DAYS}": metrics.roc_auc(soon, chance),
        f"ece_within_{SOON_DAYS}": metrics.ece(soon, chance),
        f"log_loss_within_{SOON_DAYS}": metrics.log_loss(soon, chance),
    }


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw survival curves and the calibration of quantiles and of the chance within two weeks."""
    laid = outcomes(dataset, as_of, options, predictions)
    if laid.is_empty():
        return {}
    days = laid.get_column("days").to_numpy()
    figures = draw(
        days,
        options["horizon_days"],
        {one: laid.get_column(f"p_within_{one}").to_numpy() for one in WITHIN_DAYS},
        {q: laid.get_column(name).to_numpy() for name, q in LEVELS.items()},
    )
    figures["calibration_within_14"] = calibration(
        (days < SOON_DAYS).astype(np.float64),
        laid.get_column(f"p_within_{SOON_DAYS}").to_numpy(),
        said="chance of a purchase within 14 days",
        came="share that bought",
        title="Calibration, customers and categories",
    )
    return figures


NEXT_CATEGORY = Task(
    name="next-category",
    model=NextCategoryModel,
    baselines={"category_curve": CategoryCurve, "modified_bg_nbd": ModifiedBgNbdCurve},
    options=HORIZON.options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    population=population,
    evaluate=evaluate,
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
