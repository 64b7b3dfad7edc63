"""Value task: evaluation, baselines, figures and tuning ranges of the value model.

The evaluated population is every customer with a purchase. The primary metric is read on active
customers, who bought within the last two horizons.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.typing import Floats
from training import metrics
from training.contract import Score, Space, Task
from training.customers.cutoffs import customer_features, orders_and_spend, typical_spend
from training.customers.evaluation import activity, main_features, population, slices
from training.customers.horizon import HORIZON
from training.customers.published import erase_customers
from training.models.value.baselines import LastPeriod, bg_nbd_gamma_gamma, bg_nbd_mean_basket
from training.models.value.model import ValueModel
from training.models.value.publish import publish
from training.models.value.revenue import check_revenue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = {
    "mae_over_mean": metrics.wape,
    "normalised_gini": metrics.normalised_gini,
    "decile_error": metrics.decile_error,
    "bias": metrics.bias,
}


def options(
    dataset: Dataset,
    *,
    grain: str | None = None,
    horizon_days: int | None = None,
    as_of: datetime | None = None,
    country: str | None = None,  # noqa: ARG001
) -> dict[str, Any]:
    """Return the horizon: `horizon_days`, or one that suits the records.

    Raises
    ------
    MissingData
        If no purchase by a known customer has revenue.
    """
    check_revenue(dataset, as_of or dataset.end)
    return HORIZON.options(dataset, grain=grain, horizon_days=horizon_days, as_of=as_of)


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Join spend and orders of the horizon, predictions and slices, one row a customer.

    Money is in the dataset's currency. A customer without a prediction gets 0, or, after a
    horizon without spend, the typical spend of one visit; likewise 0 or 1 orders.
    """
    horizon = options["horizon_days"]
    features = customer_features(dataset, as_of)
    day, ids = to_day(as_of), features.get_column("customer_id")
    unit = typical_spend(dataset, dataset.end, day)
    orders, spend = orders_and_spend(dataset, dataset.end, day, horizon, ids)
    predicted = predictions.select(
        "customer_id",
        pl.col(f"value_{horizon}").alias("value"),
        pl.col(f"orders_{horizon}").alias("orders"),
        *(
            pl.col(f"value_{horizon}_{q}").alias(q)
            for q in ("q10", "q90")
            if f"value_{horizon}_{q}" in predictions.columns
        ),
    )
    joined = features.with_columns(
        pl.Series("spent", spend * unit), pl.Series("ordered", orders)
    ).join(predicted, on="customer_id", how="left", maintain_order="left")
    wrong = pl.when(pl.col("spent") > 0).then(0.0).otherwise(unit)
    return joined.select(
        "spent",
        "ordered",
        pl.col("value").fill_null(wrong),
        pl.col("orders").fill_null((pl.col("ordered") == 0).cast(pl.Float64)),
        *(pl.col(q).fill_null(-1.0) for q in ("q10", "q90") if q in joined.columns),
        activity(horizon),
        *slices(features),
    )


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all customers, on active ones, and by tenure and spending level."""
    joined = outcomes(dataset, as_of, options, predictions)
    scores = [
        *_measure("all", joined),
        *_measure("activity=active", joined.filter(pl.col("activity") == "active")),
    ]
    for column in ("tenure", "spending"):
        for (value,), part in joined.sort(column).group_by(column, maintain_order=True):
            scores += _measure(f"{column}={value}", part)
    return scores


def per_case_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return the absolute error of each active customer over their mean spend."""
    joined = outcomes(dataset, as_of, options, predictions).filter(pl.col("activity") == "active")
    spent, value = (joined.get_column(name).to_numpy() for name in ("spent", "value"))
    mean = max(float(spent.sum()), 1e-9) / max(len(spent), 1)
    return {"mae_over_mean": np.abs(spent - value) / mean}


def member_weights(model: ValueModel) -> list[Score]:
    """Return the weights of the members as rows of a report."""
    return [Score(f"member={name}", "weight", value, 1) for name, value in model.weights_.items()]


def describe_ensemble(
    model: ValueModel,
    dataset: Dataset,  # noqa: ARG001
    as_of: datetime,  # noqa: ARG001
) -> dict[str, Any]:
    """Return the weights of the members."""
    return {"weights": dict(model.weights_)}


def _measure(name: str, part: pl.DataFrame) -> list[Score]:
    spent, value = (part.get_column(c).to_numpy() for c in ("spent", "value"))
    ordered, orders = (part.get_column(c).to_numpy() for c in ("ordered", "orders"))
    if spent.sum() <= 0:
        return []
    scores = [
        Score(name, metric, measure(spent, value), len(spent))
        for metric, measure in METRICS.items()
    ]
    scores.append(Score(name, "orders_mae_over_mean", metrics.wape(ordered, orders), len(spent)))
    if "q10" in part.columns:
        low, high = (part.get_column(c).to_numpy() for c in ("q10", "q90"))
        scores.append(Score(name, "coverage_80", metrics.coverage(spent, low, high), len(spent)))
    return scores


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw value by decile and the concentration of revenue, active customers."""
    from training.models.value.plots import draw  # matplotlib is slow to import

    joined = outcomes(dataset, as_of, options, predictions)
    active = joined.filter(pl.col("activity") == "active")
    if active.is_empty():
        return {}
    return draw(active.get_column("spent").to_numpy(), active.get_column("value").to_numpy())


VALUE = Task(
    name="value",
    model=ValueModel,
    baselines={
        "bg_nbd_gamma_gamma": bg_nbd_gamma_gamma,
        "bg_nbd_mean_basket": bg_nbd_mean_basket,
        "last_period": LastPeriod,
    },
    options=options,
    reason=HORIZON.reason,
    needed_days=HORIZON.needed_days,
    least_days=HORIZON.least_days,
    population=population,
    evaluate=evaluate,
    per_case_metrics=per_case_metrics,
    main_features=main_features,
    plots=plots,
    model_scores=member_weights,
    extra_artifacts={"ensemble": describe_ensemble},
    publish=publish,
    erase=erase_customers,
    primary="mae_over_mean",
    primary_slice="activity=active",
    tunable={
        "rounds": Space(100, 500, log=True, integer=True),
        "learning_rate": Space(0.02, 0.1, log=True),
        "num_leaves": Space(4, 31, integer=True),
        "min_data_in_leaf": Space(20, 300, log=True, integer=True),
        "feature_fraction": Space(0.2, 0.8),
        "tweedie_power": Space(1.2, 1.7),
    },
)
