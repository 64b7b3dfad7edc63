"""Metrics of predictions: pure functions on arrays.

In: aligned arrays; `y` holds the actual values. Out: one number, or one per series or list.
"""

from training.metrics.beyond_accuracy import (
    catalogue_coverage,
    intra_list_distance,
    long_tail,
    long_tail_share,
    novelty,
    popularity_lift,
    price_gap,
)
from training.metrics.classification import (
    brier,
    ece,
    lift,
    log_loss,
    log_losses,
    pr_auc,
    roc_auc,
)
from training.metrics.demand import (
    bias,
    coverage,
    interval_width,
    pinball,
    pinball_losses,
    rmsse,
    squared_step,
    wape,
    wql,
)
from training.metrics.drift import psi, psi_by_column
from training.metrics.intervals import bootstrap_interval
from training.metrics.ranking import (
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)
from training.metrics.spend import decile_error, normalised_gini
from training.metrics.survival import concordance, integrated_brier

__all__ = [
    "bias",
    "bootstrap_interval",
    "brier",
    "catalogue_coverage",
    "concordance",
    "coverage",
    "decile_error",
    "ece",
    "hit_rate_at_k",
    "integrated_brier",
    "interval_width",
    "intra_list_distance",
    "lift",
    "log_loss",
    "log_losses",
    "long_tail",
    "long_tail_share",
    "ndcg_at_k",
    "normalised_gini",
    "novelty",
    "pinball",
    "pinball_losses",
    "popularity_lift",
    "pr_auc",
    "precision_at_k",
    "price_gap",
    "psi",
    "psi_by_column",
    "recall_at_k",
    "rmsse",
    "roc_auc",
    "squared_step",
    "wape",
    "wql",
]
