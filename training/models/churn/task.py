"""Churn task: evaluation, baselines, figures and tuning ranges of the churn model.

The evaluated population is every customer with a purchase. The primary metric is read on active
customers, who bought within the last two horizons.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training import metrics
from training.contract import Companion, Score, Space, Task
from training.customers import histories, profile
from training.customers.cutoffs import customer_features, days_to_next
from training.customers.evaluation import activity, main_features, population, slices
from training.customers.horizon import HORIZON
from training.customers.published import (
    describe_ensemble,
    erase_customers,
    member_weights,
)
from training.models.churn.baselines import BgNbdChurn, lightgbm_rfm, recency_only, rfm_logistic
from training.models.churn.model import ChurnModel
from training.models.churn.publish import publish
from training.models.churn.segment_counts import segment_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = {
    "log_loss": metrics.log_loss,
    "roc_auc": metrics.roc_auc,
    "pr_auc": metrics.pr_auc,
    "brier": metrics.brier,
    "ece": metrics.ece,
    "lift_10": metrics.lift,
}
# Measured on every slice; the other metrics on all and on active customers only.
SLICE_METRICS = ("log_loss", "roc_auc")
# Ranking metrics, defined only where both outcomes occur.
RANKING_METRICS = ("roc_auc", "pr_auc", "lift_10")


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Join outcomes (`churned`, 0 or 1), predictions (`p`) and slices, one row a customer.

    A customer without a prediction gets the opposite of the outcome.
    """
    horizon = options["horizon_days"]
    features = customer_features(dataset, as_of)
    ids = features.get_column("customer_id")
    following = days_to_next(dataset, dataset.end, to_day(as_of), ids).fill_null(horizon)
    predicted = predictions.select("customer_id", pl.col("churn_probability").alias("p"))
    joined = features.with_columns((following >= horizon).cast(pl.Float64).alias("churned")).join(
        predicted, on="customer_id", how="left", maintain_order="left"
    )
    return joined.select(
        "churned",
        pl.col("p").fill_null(1 - pl.col("churned")),
        activity(horizon),
        *slices(features),
    )


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all customers, on active ones, and by tenure and spending level."""
    joined = outcomes(dataset, as_of, options, predictions)
    active = joined.filter(pl.col("activity") == "active")
    scores = [
        *_measure("all", joined, METRICS),
        *_measure("activity=active", active, METRICS),
    ]
    for column in joined.columns[3:]:
        for (value,), part in joined.sort(column).group_by(column, maintain_order=True):
            scores += _measure(f"{column}={value}", part, SLICE_METRICS)
    return scores


def per_case_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return the log loss of each active customer."""
    joined = outcomes(dataset, as_of, options, predictions).filter(pl.col("activity") == "active")
    y, p = (joined.get_column(name).to_numpy() for name in ("churned", "p"))
    return {"log_loss": metrics.log_losses(y, p)}


def _measure(name: str, part: pl.DataFrame, chosen: Iterable[str]) -> list[Score]:
    y = part.get_column("churned").to_numpy()
    p = part.get_column("p").to_numpy()
    if len(y) == 0:
        return []
    both = 0 < y.mean() < 1
    defined = [metric for metric in chosen if both or metric not in RANKING_METRICS]
    return [Score(name, metric, METRICS[metric](y, p), len(y)) for metric in defined]


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw calibration and lift of active customers."""
    from training.models.churn.plots import draw  # matplotlib is slow to import

    joined = outcomes(dataset, as_of, options, predictions)
    active = joined.filter(pl.col("activity") == "active")
    if active.is_empty():
        return {}
    return draw(active.get_column("churned").to_numpy(), active.get_column("p").to_numpy())


CHURN = Task(
    name="churn",
    model=ChurnModel,
    baselines={
        "recency": recency_only,
        "rfm_logistic": rfm_logistic,
        "bg_nbd": BgNbdChurn,
        "lightgbm_rfm": lightgbm_rfm,
    },
    options=HORIZON.options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    least_days=HORIZON.least_days,
    population=population,
    evaluate=evaluate,
    per_case_metrics=per_case_metrics,
    main_features=main_features,
    plots=plots,
    model_scores=member_weights,
    extra_artifacts={"segments": segment_counts, "ensemble": describe_ensemble},
    publish=publish,
    erase=erase_customers,
    companions={
        "profile": Companion(profile.publish, profile.erase),
        "histories": Companion(histories.publish, histories.erase),
    },
    primary="log_loss",
    primary_slice="activity=active",
    tunable={
        "learning_rate": Space(0.02, 0.1, log=True),
        "num_leaves": Space(4, 31, integer=True),
        "min_data_in_leaf": Space(20, 300, log=True, integer=True),
        "feature_fraction": Space(0.1, 0.8),
        "lambda_l2": Space(0.5, 50, log=True),
    },
)
