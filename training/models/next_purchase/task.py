"""Next-purchase task: evaluation, baselines, figures and tuning ranges of the model.

The evaluated population is the customers who bought within the last two horizons. Days count from
`as_of`, a purchase at the middle of its day; outcome and prediction are clipped at the horizon.
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
from training.customers.cutoffs import customer_features, days_to_next
from training.customers.evaluation import is_active, main_features, slices
from training.customers.horizon import FOLLOW_UP
from training.customers.published import (
    describe_ensemble,
    erase_customers,
    member_weights,
)
from training.customers.survival import WITHIN_DAYS
from training.customers.survival_evaluation import (
    draw,
    join_outcomes,
    pinball,
    pinball_losses,
)
from training.models.next_purchase.baselines import (
    BgNbdCurve,
    MedianGap,
    PopulationCurve,
    cox,
    lognormal_aft,
    weibull_aft,
)
from training.models.next_purchase.model import NextPurchaseModel
from training.models.next_purchase.publish import publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return the ids of the customers who bought within the last two horizons."""
    active = is_active(options["horizon_days"])
    return customer_features(dataset, as_of).filter(active).select("customer_id")


def outcomes(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> pl.DataFrame:
    """Join outcomes (`days`, `bought`), predictions and slices, one row a customer.

    See `training.customers.survival_evaluation.join_outcomes`.
    """
    horizon = options["horizon_days"]
    ids = population(dataset, as_of, options)
    features = customer_features(dataset, as_of).join(
        ids, on="customer_id", how="semi", maintain_order="left"
    )
    day, customers = to_day(as_of), features.get_column("customer_id")
    following = days_to_next(dataset, dataset.end, day, customers, day + horizon)
    entities = features.select("customer_id", *slices(features))
    return join_outcomes(entities, ["customer_id"], following, predictions, horizon)


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Measure on all customers, and the pinball loss by tenure and spending level."""
    joined = outcomes(dataset, as_of, options, predictions)
    if joined.is_empty():
        return []
    scores = [Score("all", name, value, joined.height) for name, value in measure(joined).items()]
    for column in ("tenure", "spending"):
        if column in joined.columns:
            for (value,), part in joined.sort(column).group_by(column, maintain_order=True):
                scores.append(Score(f"{column}={value}", "pinball", pinball(part), part.height))
    return scores


def per_case_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return the pinball loss of each customer."""
    return {"pinball": pinball_losses(outcomes(dataset, as_of, options, predictions))}


def measure(joined: pl.DataFrame) -> dict[str, float]:
    """Measure joined outcomes and predictions.

    `ibs` is the Brier score of the survival curve, averaged over 7, 14 and 30 days; `mae` is that
    of the median. `below_q10` and `above_q90` are the shares outside the 80 % interval.
    """
    column = {
        name: joined.get_column(name).cast(pl.Float64).to_numpy()
        for name in joined.columns
        if name not in ("customer_id", "tenure", "spending")
    }
    days, bought = column["days"], column["bought"]
    probabilities = np.stack([column[f"p_within_{day}"] for day in WITHIN_DAYS], axis=1)
    return {
        "pinball": pinball(joined),
        "mae": float(np.abs(days - column["q50"]).mean()),
        "coverage_80": metrics.coverage(days, column["q10"], column["q90"]),
        # Medians beyond the horizon are equal; the probability of none within 30 days ranks them.
        "concordance": metrics.concordance(days, bought, column["q50"] + 1 - column["p_within_30"]),
        "ibs": metrics.integrated_brier(days, bought, 1 - probabilities, WITHIN_DAYS),
        "below_q10": float((days < column["q10"]).mean()),
        "above_q90": float((days > column["q90"]).mean()),
        "auc_within_14": metrics.roc_auc(days < 14, column["p_within_14"]),
        "ece_within_14": metrics.ece(days < 14, column["p_within_14"]),
    }


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw survival curves and the calibration of quantiles."""
    joined = outcomes(dataset, as_of, options, predictions)
    return {} if joined.is_empty() else draw(joined, options["horizon_days"])


NEXT_PURCHASE = Task(
    name="next-purchase",
    model=NextPurchaseModel,
    baselines={
        "kaplan_meier": PopulationCurve,
        "own_median_gap": MedianGap,
        "bg_nbd": BgNbdCurve,
        "cox": cox,
        "weibull_aft": weibull_aft,
        "lognormal_aft": lognormal_aft,
    },
    options=FOLLOW_UP.options,
    reason=FOLLOW_UP.reason,
    needed_days=FOLLOW_UP.needed_days,
    least_days=FOLLOW_UP.least_days,
    population=population,
    evaluate=evaluate,
    per_case_metrics=per_case_metrics,
    main_features=main_features,
    plots=plots,
    model_scores=member_weights,
    extra_artifacts={"ensemble": describe_ensemble},
    publish=publish,
    erase=erase_customers,
    primary="pinball",
    tunable={
        "rounds": Space(50, 300, log=True, integer=True),
        "num_leaves": Space(4, 31, integer=True),
        "min_data_in_leaf": Space(50, 1000, log=True, integer=True),
        "feature_fraction": Space(0.2, 0.8),
        "cutoffs": Space(4, 14, integer=True),
    },
)
