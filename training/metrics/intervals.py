"""Confidence intervals of mean metrics over cases.

In: one value per case. Out: the bounds of an interval.
"""

import numpy as np

from features.typing import Floats

# Resampled values in memory at a time. Of the sizes between 3e4 and 4e6 that were measured with 1e2
# to 2e5 cases and 1,000 resamples, the fastest: 0.03 s for 2,000 cases, 2.5 s for 200,000.
BATCH_VALUES = 200_000


def bootstrap_interval(
    values: Floats, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean; of differences, a paired interval.

    Parameters
    ----------
    values
        One per case; NaN for cases that are not evaluated.
    level
        Confidence level.
    draws
        Number of resamples. Time is proportional to draws times cases.
    seed
        The same seed gives the same interval.

    Returns
    -------
    tuple
        Lower and upper bound; NaN without cases.

    Notes
    -----
    Efron (1979), by `scipy.stats.bootstrap`.
    """
    from scipy.stats import bootstrap

    known = values[~np.isnan(values)]
    if len(known) == 0:
        return float("nan"), float("nan")
    if len(known) == 1:  # SciPy asks for two cases
        return float(known[0]), float(known[0])
    interval = bootstrap(
        (known,),
        np.mean,
        n_resamples=draws,
        batch=max(BATCH_VALUES // len(known), 1),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
