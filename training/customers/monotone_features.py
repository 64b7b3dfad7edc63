"""Monotone features: columns with a known direction in inactivity.

In: customer features. Out: columns and signs. A model that is monotone in each column as its sign
says cannot predict a higher probability of churn for one more visit, or a lower one for longer
inactivity.
"""

from functools import cache

import numpy as np
import polars as pl

from features.customers.visit_features import HALF_LIVES_DAYS, SPEND_HALF_LIVES_DAYS, WINDOWS_DAYS
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history

# Names, or prefixes that end in "_", of columns that rise with inactivity and fall with a visit.
INCREASING = ("recency", "recency_of_visit_", "inactivity_", "process_inactivity")
# Columns that fall with inactivity and rise with a visit. Spend is one: equal inactivity after
# more spend is no worse. Offers sent are not: they are sent while a customer is inactive.
DECREASING = (
    "visits",
    *(f"visits_{days}" for days in WINDOWS_DAYS),
    *(f"visits_decayed_{days}" for days in HALF_LIVES_DAYS),
    "visits_a_day",
    "lines_a_day",
    "spend_a_day",
    *(f"spend_decayed_{days}" for days in SPEND_HALF_LIVES_DAYS),
    "gaps_as_long",
    "gaps_as_long_share",
    "tenure_at_last_visit",
    "visits_share_",
)
# Prefixes of columns without a direction, in spite of the prefixes above.
UNDIRECTED = ("recency_over_",)
# Recent visits as a share of long-term ones: half-lives of numerator and denominator, in days.
SHARES = ((7, 28), (14, 56), (28, 112))
# Smaller numerators count as 0: with weights rounded to 2^-30, the share would otherwise rise with
# inactivity by rounding errors.
MIN_NUMERATOR = 2**-16


def monotone_features(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int
) -> tuple[pl.DataFrame, list[int]]:
    """Return the columns with a direction, and the sign of each.

    Parameters
    ----------
    features
        Customer features.
    process
        Its probability of inactivity for `horizon_days` is one of the columns.

    Returns
    -------
    tuple
        The columns; and 1 for each that rises with inactivity, -1 for each that falls.
    """
    columns = {name: features.get_column(name) for name in features.columns if monotone_sign(name)}
    inactivity = process.inactivity(*purchase_history(features), horizon_days)
    columns["process_inactivity"] = pl.Series("process_inactivity", inactivity)
    for short, long in SHARES:
        name, part = (
            f"visits_share_{short}",
            features.get_column(f"visits_decayed_{short}").to_numpy(),
        )
        total = np.maximum(features.get_column(f"visits_decayed_{long}").to_numpy(), MIN_NUMERATOR)
        columns[name] = pl.Series(name, np.where(part >= MIN_NUMERATOR, part / total, 0.0))
    return pl.DataFrame(columns), [monotone_sign(name) for name in columns]


@cache
def monotone_sign(name: str) -> int:
    """Return 1 for a column that rises with inactivity, -1 for one that falls, else 0."""
    if name.startswith(UNDIRECTED):
        return 0
    for names, sign in ((INCREASING, 1), (DECREASING, -1)):
        if any(
            name == known or (known.endswith("_") and name.startswith(known)) for known in names
        ):
            return sign
    return 0
