"""The price list in, changes of each series' price out; read by `panel`.

Prices that are booked for the future are plans: they are read whole.
"""

import narwhals as nw

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, materialise, with_attributes
from features.memo import memo
from features.typing import Frame


def price_changes(dataset: Dataset, grain: Grain) -> Frame:
    """Return the grain's keys, `from_day` and `price`; prices of several locations are averaged.

    A price without a location holds everywhere, until a location has one of its own.
    """
    return _changes(dataset, grain.keys)


@memo()
def _changes(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    grain = Grain(keys, "day")
    prices = dataset.table("prices")
    if not grain.location_keys:
        return _means(dataset, prices, grain.keys)
    located = "location_id" in dataset.columns("prices")
    anywhere = prices.filter(nw.col("location_id").is_null()) if located else prices
    spread = _means(dataset, anywhere, grain.product_keys).join(
        all_series(dataset, grain).index.select(*grain.keys), on=list(grain.product_keys)
    )
    spread = spread.select(*grain.keys, "from_day", "price")
    if not located:
        return materialise(spread)
    own = _means(dataset, prices.filter(~nw.col("location_id").is_null()), grain.keys)
    rest = spread.join(own, on=[*grain.keys, "from_day"], how="anti")
    return materialise(nw.concat([own, rest]))


def _means(dataset: Dataset, prices: Frame, keys: tuple[str, ...]) -> Frame:
    prices = with_attributes(dataset, prices, keys)
    # Prices in hundredths of cents: the mean does not depend on the order of rows.
    whole = (nw.col("price") * 10_000).round().cast(nw.Int64)
    means = (
        prices.with_columns(whole.alias("whole"))
        .group_by(*keys, "from_day")
        .agg(nw.col("whole").sum(), nw.len().alias("n"))
    )
    price = (nw.col("whole") / nw.col("n") / 10_000).alias("price")
    return materialise(means.select(*keys, "from_day", price))
