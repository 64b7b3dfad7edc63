"""The price list in, changes of each series' price out; read by `panel`.

Prices that are booked for the future are plans: they are read whole.
"""

import narwhals as nw

from features.dataset import Dataset
from features.grain import Grain
from features.series import Frame, held, with_attributes


def price_changes(dataset: Dataset, grain: Grain) -> Frame:
    """Return the grain's keys, `from_day` and `price`; prices of several locations are averaged."""
    return dataset.derive(("prices", grain.keys), lambda: _changes(dataset, grain))


def _changes(dataset: Dataset, grain: Grain) -> Frame:
    prices = with_attributes(dataset, dataset.table("prices"), grain.keys)
    # Prices in hundredths of cents: the mean does not depend on the order of rows.
    whole = (nw.col("price") * 10_000).round().cast(nw.Int64)
    means = (
        prices.with_columns(whole.alias("whole"))
        .group_by(*grain.keys, "from_day")
        .agg(nw.col("whole").sum(), nw.len().alias("n"))
    )
    price = (nw.col("whole") / nw.col("n") / 10_000).alias("price")
    return held(means.select(*grain.keys, "from_day", price))
