"""Members of the value model and their average: orders and spend of customers.

Customers at past cutoffs and their outcomes go in, boosters and weights of the members come out.
Members are the boosters, BG/NBD with Gamma-Gamma, and the customer's last period. Weights are not
negative and sum to one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from features.customers.visit_features import WINDOWS_DAYS
from features.typing import Floats
from training.estimators.boosting import Booster
from training.estimators.model_averaging import member_weights

# Observed or expected orders and spend of customers, in units of the typical spend.
OrdersAndSpend = tuple[Floats, Floats]

# Names of the boosters.
ORDERS, SPEND = "orders", "spend"
# Column of the unit of money: the typical spend of a visit at the instant.
TYPICAL_SPEND = "typical_spend"
# Prefixes of features that describe habits rather than amounts, or are in money.
UNUSED = ("weekday", "gap_max_", "returned", TYPICAL_SPEND)
# With fewer examples (customers at cutoffs) there are no boosters.
MIN_EXAMPLES = 1000

BOOSTERS, PROCESSES, LAST_PERIOD = "boosters", "bg_nbd_gamma_gamma", "last_period"
# Weights before the members are compared, and the examples that these count as.
PRIOR_WEIGHTS = {BOOSTERS: 0.5, PROCESSES: 0.5, LAST_PERIOD: 0.0}
PRIOR_EXAMPLES = 300


def fit_boosters(
    frames: Sequence[pl.DataFrame],
    outcomes: Sequence[OrdersAndSpend],
    params: Mapping[str, Mapping[str, Any]],
    rounds: int,
    *,
    threads: int,
    seed: int,
) -> dict[str, Booster]:
    """Fit the boosters of orders and of spend to the outcomes after some cutoffs.

    Parameters
    ----------
    frames, outcomes
        Features of each cutoff, and what the customers ordered and spent after it.
    params, rounds, threads, seed
        LightGBM's parameters by booster, and its other options.

    Returns
    -------
    dict
        Empty if there are too few examples or nobody bought again.
    """
    if sum(frame.height for frame in frames) < MIN_EXAMPLES:
        return {}
    orders, spend = (np.concatenate(values) for values in zip(*outcomes, strict=True))
    if orders.sum() <= 0 or spend.sum() <= 0:
        return {}
    features = pl.concat(frames)
    inputs = features.select(
        name for name in features.columns if name != "customer_id" and not name.startswith(UNUSED)
    )
    return {
        name: Booster.fit(inputs, label, params[name], rounds, threads=threads, seed=seed)
        for name, label in ((ORDERS, orders), (SPEND, spend))
    }


def last_period(features: pl.DataFrame, days: int) -> OrdersAndSpend:
    """Return the orders and the spend of as many days, at the rate of the closest known window."""
    window = min(WINDOWS_DAYS, key=lambda known: abs(known - days))
    orders, spend = (
        features.get_column(f"{name}_{window}").to_numpy() * (days / window)
        for name in ("visits", "spend")
    )
    return orders, spend


def fit_weights(members: Mapping[str, OrdersAndSpend], spent: Floats) -> dict[str, float]:
    """Weigh the members by the mean absolute error of the spend after a cutoff.

    The members must be fitted to what was known at the cutoff. Where nothing was spent, the prior
    is returned.
    """
    mean = float(spent.mean())
    if mean <= 0:
        return PRIOR_WEIGHTS
    spend = np.stack([members[name][1] for name in PRIOR_WEIGHTS], axis=1)

    def loss(weights: Floats) -> float:
        return float(np.abs(spend @ weights - spent).mean()) / mean

    return member_weights(loss, PRIOR_WEIGHTS, PRIOR_EXAMPLES / 2 / len(spent))


def average(members: Mapping[str, OrdersAndSpend], weights: Mapping[str, float]) -> OrdersAndSpend:
    """Return the weighted means of orders and spend."""
    orders, spend = (
        np.sum([weight * members[name][k] for name, weight in weights.items()], axis=0)
        for k in (0, 1)
    )
    return orders, spend
