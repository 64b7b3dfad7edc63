"""Next purchase as a question: who is judged, how, and against what.

The population is the customers who bought within the last two horizons. Days count from as_of, a
purchase at its day's middle; truth and forecast are both clipped at the horizon.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.calendar import to_day
from features.dataset import Dataset
from training import metrics
from training.contract import Score, Space, Task
from training.customers.cutoffs import customer_features, days_to_next
from training.customers.horizon import CustomerHorizon
from training.customers.survival import QUANTILES, WITHIN_DAYS
from training.customers.survival_plots import draw
from training.models.churn.task import slices
from training.models.next_purchase.baselines import (
    BgNbdCurve,
    OwnMedianGap,
    PopulationCurve,
    cox,
    lognormal_aft,
    weibull_aft,
)
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.publish import erase, publish

LEVELS = {f"q{round(100 * q)}": q for q in QUANTILES}
# Customers are followed for twice the horizon that holds their usual gap, never for so short that
# an answered chance is beyond it. The newest cut needs days to be followed for.
HORIZON = CustomerHorizon(
    needed=lambda days: days + NextPurchaseModel.cut_step_days,
    gaps=2,
    shortest_days=max(WITHIN_DAYS),
)


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return the customers who bought within the last two horizons."""
    active = pl.col("recency") <= 2 * options["horizon_days"]
    return customer_features(dataset, as_of).filter(active).select("customer_id")


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Lay what happened (`days`, `bought`) beside what was said, with slices.

    A customer without a prediction is taken to have been told the opposite of what happened.
    """
    horizon = options["horizon_days"]
    ids = population(dataset, as_of, options)
    features = customer_features(dataset, as_of).join(
        ids, on="customer_id", how="semi", maintain_order="left"
    )
    end = as_of + timedelta(days=horizon)
    following = days_to_next(dataset, end, to_day(as_of), features.get_column("customer_id"))
    entities = features.select("customer_id", *slices(features))
    return beside(entities, ["customer_id"], following, predictions, horizon)


def beside(
    entities: pl.DataFrame,
    keys: Sequence[str],
    following: pl.Series,
    predictions: pl.DataFrame,
    horizon: int,
) -> pl.DataFrame:
    """Lay the days until each entity's next purchase beside what was said of it.

    Parameters
    ----------
    entities
        Those that are judged, one row each.
    keys
        The columns that name them.
    following
        Whole days until each one's next purchase, in their order; null if there was none.
    """
    laid = entities.with_columns(
        (following + 0.5).fill_null(horizon).alias("days"),
        following.is_not_null().alias("bought"),
    )
    chances = [f"p_within_{days}" for days in WITHIN_DAYS]
    said = predictions.select(*keys, "expected_days", *LEVELS, *chances)
    laid = laid.join(said, on=keys, how="left", maintain_order="left")
    wrong = pl.when(pl.col("days") < horizon / 2).then(float(horizon)).otherwise(0.0)
    return laid.with_columns(
        *(pl.col(name).fill_null(wrong).clip(0, horizon) for name in ("expected_days", *LEVELS)),
        *(
            pl.col(f"p_within_{days}").fill_null((pl.col("days") > days).cast(pl.Float64))
            for days in WITHIN_DAYS
        ),
    )


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all, and pinball loss by tenure and spending level."""
    laid = outcomes(dataset, as_of, options, predictions)
    if laid.is_empty():
        return []
    scores = [Score("all", name, value, laid.height) for name, value in measure(laid).items()]
    for column in ("tenure", "spending"):
        if column in laid.columns:
            for (value,), part in laid.sort(column).group_by(column, maintain_order=True):
                scores.append(Score(f"{column}={value}", "pinball", pinball(part), part.height))
    return scores


def pinball(laid: pl.DataFrame) -> float:
    """Mean pinball loss over the quantiles, in days."""
    days = laid.get_column("days").to_numpy()
    losses = [
        metrics.pinball(days, laid.get_column(name).to_numpy(), q) for name, q in LEVELS.items()
    ]
    return float(np.mean(losses))


def measure(laid: pl.DataFrame) -> dict[str, float]:
    """Measure outcomes.

    `ibs` is the Brier score of the survival curve at 7, 14 and 30 days, averaged; `mae` is that
    of the median. `below_q10` and `above_q90` are the tails beside what `coverage_80` covers.
    """
    column = {
        name: laid.get_column(name).cast(pl.Float64).to_numpy()
        for name in laid.columns
        if name not in ("customer_id", "tenure", "spending")
    }
    days, bought = column["days"], column["bought"]
    chances = np.stack([column[f"p_within_{day}"] for day in WITHIN_DAYS], axis=1)
    return {
        "pinball": pinball(laid),
        "mae": float(np.abs(days - column["q50"]).mean()),
        "coverage_80": metrics.coverage(days, column["q10"], column["q90"]),
        "concordance": metrics.concordance(days, bought, column["expected_days"]),
        "ibs": metrics.integrated_brier(days, bought, 1 - chances, WITHIN_DAYS),
        "below_q10": float((days < column["q10"]).mean()),
        "above_q90": float((days > column["q90"]).mean()),
        "auc_within_14": metrics.roc_auc(days < 14, column["p_within_14"]),
        "ece_within_14": metrics.ece(days < 14, column["p_within_14"]),
    }


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw survival curves and the calibration of quantiles."""
    laid = outcomes(dataset, as_of, options, predictions)
    if laid.is_empty():
        return {}
    return draw(
        laid.get_column("days").to_numpy(),
        options["horizon_days"],
        {days: laid.get_column(f"p_within_{days}").to_numpy() for days in WITHIN_DAYS},
        {q: laid.get_column(name).to_numpy() for name, q in LEVELS.items()},
    )


NEXT_PURCHASE = Task(
    name="next-purchase",
    model=NextPurchaseModel,
    baselines={
        "kaplan_meier": PopulationCurve,
        "own_median_gap": OwnMedianGap,
        "bg_nbd": BgNbdCurve,
        "cox": cox,
        "weibull_aft": weibull_aft,
        "lognormal_aft": lognormal_aft,
    },
    options=HORIZON.options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    least_days=HORIZON.least_days,
    population=population,
    evaluate=evaluate,
    plots=plots,
    publish=publish,
    erase=erase,
    primary="pinball",
    tunable={
        "rounds": Space(50, 300, log=True, integer=True),
        "num_leaves": Space(4, 31, integer=True),
        "min_data_in_leaf": Space(50, 1000, log=True, integer=True),
        "feature_fraction": Space(0.2, 0.8),
        "cuts": Space(4, 14, integer=True),
    },
)
