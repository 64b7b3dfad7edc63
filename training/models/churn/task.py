"""Churn as a question: who is judged, how, and against what.

The population is every customer with a purchase; the primary figure is read on the active ones,
who bought within the last two horizons.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from features.calendar import to_day
from features.dataset import Dataset
from training import metrics
from training.contract import Companion, Score, Space, Task
from training.customers import profile
from training.customers.cutoffs import customer_features, days_to_next
from training.customers.horizon import CustomerHorizon
from training.customers.segment_counts import groups
from training.models.churn.baselines import BgNbdSilence, lightgbm_rfm, recency_only, rfm_logistic
from training.models.churn.model import ChurnModel
from training.models.churn.plots import draw
from training.models.churn.publish import erase, publish

METRICS = {
    "log_loss": metrics.log_loss,
    "roc_auc": metrics.roc_auc,
    "pr_auc": metrics.pr_auc,
    "brier": metrics.brier,
    "ece": metrics.ece,
    "lift_10": metrics.lift,
}
# What is measured on every slice; the others on `all` and on the active only.
ON_SLICES = ("log_loss", "roc_auc")
# What says how well those who stay are told from those who leave, and so needs both.
OF_BOTH = ("roc_auc", "pr_auc", "lift_10")
# Silence for longer than customers' usual gap is out of the ordinary. The newest cut needs its
# window, and as many days before it.
HORIZON = CustomerHorizon(needed=lambda days: 2 * days)


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:  # noqa: ARG001
    """Every customer with a purchase before `as_of`."""
    return customer_features(dataset, as_of).select("customer_id")


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Lay what happened (`churned`, 0 or 1) beside what was said (`p`), with slices.

    A customer without a prediction is taken to have been told the opposite of what happened.
    """
    horizon = options["horizon_days"]
    features = customer_features(dataset, as_of)
    ids = features.get_column("customer_id")
    end = as_of + timedelta(days=horizon)
    following = days_to_next(dataset, end, to_day(as_of), ids).fill_null(horizon)
    said = predictions.select("customer_id", pl.col("churn_probability").alias("p"))
    laid = features.with_columns((following >= horizon).cast(pl.Float64).alias("churned")).join(
        said, on="customer_id", how="left", maintain_order="left"
    )
    active = pl.col("recency") <= 2 * horizon
    return laid.select(
        "churned",
        pl.col("p").fill_null(1 - pl.col("churned")),
        pl.when(active).then(pl.lit("active")).otherwise(pl.lit("silent")).alias("activity"),
        *slices(features),
    )


def slices(features: pl.DataFrame) -> list[pl.Expr]:
    """Return tenure and spending level, as slices of a report."""
    long = pl.col("tenure") >= 182
    found = [
        pl.when(long).then(pl.lit("over_half_a_year")).otherwise(pl.lit("newer")).alias("tenure")
    ]
    if "spend_decayed_56" in features.columns:
        spend = pl.col("spend_decayed_56")
        low, high = spend.quantile(1 / 3), spend.quantile(2 / 3)
        level = pl.when(spend <= low).then(pl.lit("low")).when(spend <= high).then(pl.lit("middle"))
        found.append(level.otherwise(pl.lit("high")).alias("spending"))
    return found


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all, on active customers, and by tenure and spending level."""
    laid = outcomes(dataset, as_of, options, predictions)
    active = laid.filter(pl.col("activity") == "active")
    scores = [
        *_measure("all", laid, METRICS),
        *_measure("activity=active", active, METRICS),
    ]
    for column in laid.columns[3:]:
        for (value,), part in laid.sort(column).group_by(column, maintain_order=True):
            scores += _measure(f"{column}={value}", part, ON_SLICES)
    return scores


def _measure(
    name: str, part: pl.DataFrame, chosen: Mapping[str, Any] | tuple[str, ...]
) -> list[Score]:
    y = part.get_column("churned").to_numpy()
    p = part.get_column("p").to_numpy()
    if len(y) == 0:
        return []
    both = 0 < y.mean() < 1
    told = [metric for metric in chosen if both or metric not in OF_BOTH]
    return [Score(name, metric, METRICS[metric](y, p), len(y)) for metric in told]


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Figure]:
    """Draw the calibration curve and the lift of active customers."""
    laid = outcomes(dataset, as_of, options, predictions)
    active = laid.filter(pl.col("activity") == "active")
    if active.is_empty():
        return {}
    return draw(active.get_column("churned").to_numpy(), active.get_column("p").to_numpy())


CHURN = Task(
    name="churn",
    model=ChurnModel,
    baselines={
        "recency": recency_only,
        "rfm_logistic": rfm_logistic,
        "bg_nbd": BgNbdSilence,
        "lightgbm_rfm": lightgbm_rfm,
    },
    options=HORIZON.options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    least_days=HORIZON.least_days,
    population=population,
    evaluate=evaluate,
    plots=plots,
    extra_artifacts={"segments": groups},
    publish=publish,
    erase=erase,
    companions={"profile": Companion(profile.publish, profile.erase)},
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
