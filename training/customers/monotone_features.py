"""Features whose direction is known: what a further visit and what a longer silence do to them.

Customer features go in; columns with a sign come out. A model that rises in each column as its
sign says can never call a customer likelier to stay away for having come once more, or likelier
to come for having waited longer. Churn and next purchase rest on it.
"""

import polars as pl

from features.customers.visit_features import HALF_LIVES_DAYS, SPEND_HALF_LIVES_DAYS, WINDOWS_DAYS
from training.estimators.bg_nbd import ModifiedBgNbd, purchase_history

# Grow with silence and shrink with a visit: the first of these names, or names that begin so.
INCREASING = ("recency", "recency_of_visit_", "silence_", "silences_", "process_silence")
# Shrink with silence and grow with a visit. Spend is among them: as much silence after more
# spend is not worse. Offers sent are not: they come while a customer is silent.
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
# Names that begin like one of those but have no direction.
UNDIRECTED = ("recency_over_",)
# Visits of late as a share of those of long: (half-life of the part, of the whole), in days.
SHARES = ((7, 28), (14, 56), (28, 112))
# Weights are rounded (`features.customers.builder`): a smaller part is taken for none, so that
# rounding
# does not make its share rise with silence.
LEAST_PART = 2**-16


def monotone_features(
    features: pl.DataFrame, process: ModifiedBgNbd, horizon_days: int
) -> tuple[pl.DataFrame, list[int]]:
    """Return the columns that have a direction, and 1 (rises with silence) or -1 for each.

    Parameters
    ----------
    features
        Customer features.
    process
        Whose chance of silence for `horizon_days` is one of the columns.
    """
    silence = process.inactivity(*purchase_history(features), horizon_days)
    known = features.with_columns(
        pl.Series("process_silence", silence),
        *(
            pl.when(pl.col(f"visits_decayed_{part}") >= LEAST_PART)
            .then(pl.col(f"visits_decayed_{part}") / pl.col(f"visits_decayed_{whole}"))
            .otherwise(0.0)
            .alias(f"visits_share_{part}")
            for part, whole in SHARES
        ),
    )
    signs = {name: sign for name in known.columns if (sign := monotone_sign(name))}
    return known.select(pl.col(name).cast(pl.Float64) for name in signs), list(signs.values())


def monotone_sign(name: str) -> int:
    """Return 1 where a column rises with silence, -1 where it falls, 0 where neither is known."""
    if name.startswith(UNDIRECTED):
        return 0
    for names, sign in ((INCREASING, 1), (DECREASING, -1)):
        if any(name == one or (one.endswith("_") and name.startswith(one)) for one in names):
            return sign
    return 0
