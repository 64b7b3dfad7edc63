"""Offers sent to and redeemed by each customer in windows before an instant.

In: the table `touchpoints`. Out: one row per customer with any.
"""

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID, DAY
from features.dataset import Dataset
from features.typing import Frame

WINDOWS_DAYS = (28, 84)
# Columns by the kind of touchpoint and the window that they count.
COUNTS = {
    f"touches_{kind}_{days}": (kind, days) for kind in ("sent", "redeemed") for days in WINDOWS_DAYS
}


def touchpoint_counts(dataset: Dataset, as_of: AsOf) -> Frame:
    """Count each customer's touchpoints known at `as_of` by kind and window.

    Returns
    -------
    narwhals.LazyFrame
        customer_id and the columns of `COUNTS`.
    """
    age = nw.lit(to_day(as_of)) - nw.col(DAY)
    counts = [
        ((nw.col("kind") == kind) & (age <= days)).cast(nw.Int64).alias(name)
        for name, (kind, days) in COUNTS.items()
    ]
    return (
        dataset.known("touchpoints", as_of)
        .with_columns(*counts)
        .group_by(CUSTOMER_ID)
        .agg(*(nw.col(name).sum() for name in COUNTS))
    )
