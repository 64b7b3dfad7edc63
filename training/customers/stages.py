"""Lifecycle stages of customers, from their churn probability and their visits.

In: customer features and churn probabilities at the horizon. Out: the name of each customer's
stage.
"""

import numpy as np
import polars as pl

from features.customers.visit_features import COMEBACK_DAYS
from features.typing import Floats
from training.customers.prediction import FEW_VISITS

NEW, GROWING, LOYAL = "new", "growing", "loyal"
SLIPPING, LAPSED, WON_BACK = "slipping", "lapsed", "won back"

# Churn probabilities between which either outcome is wrong in more than a third of cases.
UNCERTAIN = (1 / 3, 2 / 3)
# Daily visits of the last 28 days over those of the last 84, from which a customer is growing.
GROWTH = 4 / 3


def stages(features: pl.DataFrame, churn_probability: Floats, horizon_days: int) -> pl.Series:
    """Return each customer's lifecycle stage.

    Slipping and lapsed are read off the customer's own curve rather than off a multiple of past
    gaps: a customer of 300 visits with one longer gap still returns, and is not slipping. The first
    rule that holds names the stage:

    - new: fewer than three visits, the first of them within two horizons. A purchase within the
      horizon may be unlikely.
    - lapsed: no purchase within the horizon is at least twice as likely as one (2/3).
    - slipping: it is at least half as likely as one (1/3).
    - won back: returned within the last 84 days after a gap of over two horizons and over twice
      the 0.25 quantile of the customer's gaps.
    - growing: first visit within four horizons, or three visits or more in the last 28 days at a
      daily rate at least a third above that of the last 84.
    - loyal: all others.

    Parameters
    ----------
    features
        One row a customer, as `training.customers.cutoffs.customer_features` returns them.
    churn_probability
        Probability of no purchase within the horizon, one a row.
    horizon_days
        The horizon.
    """
    unlikely, likely = UNCERTAIN
    columns = (
        "tenure",
        "visits",
        "gap_q25",
        f"gap_max_{COMEBACK_DAYS}",
        "visits_28",
        "visits_trend",
    )
    tenure, visits, short_gap, ended_gap, visits_28, trend = (
        features.get_column(name).to_numpy() for name in columns
    )
    few = visits < FEW_VISITS
    # Comparisons with a missing gap are false.
    returned = (ended_gap > 2 * horizon_days) & (ended_gap > 2 * np.where(few, 0.0, short_gap))
    faster = (visits_28 >= FEW_VISITS) & (trend >= GROWTH)
    rules = {
        NEW: few & (tenure <= 2 * horizon_days),
        LAPSED: churn_probability >= likely,
        SLIPPING: churn_probability >= unlikely,
        WON_BACK: returned,
        GROWING: (tenure <= 4 * horizon_days) | faster,
    }
    names = np.select(list(rules.values()), list(rules), LOYAL)
    return pl.Series("stage", names.tolist(), pl.String)
