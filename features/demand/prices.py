"""Price changes: the table of prices in, changes of each series' price out.

Future prices are plans and are read in full.
"""

import narwhals as nw

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, materialise, with_attributes
from features.memo import memo
from features.typing import Frame


def price_changes(dataset: Dataset, grain: Grain) -> Frame:
    """Return the grain's keys, `from_day` and `price`; prices of several locations are averaged.

    A price without a location applies to all locations, except those with a price of their own
    from the same day.
    """
    return _changes(dataset, grain.keys)


@memo("prices", "orders", "sales", "products", "locations")
def _changes(dataset: Dataset, keys: tuple[str, ...]) -> Frame:
    grain = Grain(keys, "day")
    prices = dataset.table("prices")
    if not grain.location_keys:
        return _means(dataset, prices, grain.keys)
    located = "location_id" in dataset.columns("prices")
    anywhere = prices.filter(nw.col("location_id").is_null()) if located else prices
    general = _means(dataset, anywhere, grain.product_keys).join(
        all_series(dataset, grain).index.select(*grain.keys), on=list(grain.product_keys)
    )
    general = general.select(*grain.keys, "from_day", "price")
    if not located:
        return materialise(general)
    specific = _means(dataset, prices.filter(~nw.col("location_id").is_null()), grain.keys)
    rest = general.join(specific, on=[*grain.keys, "from_day"], how="anti")
    return materialise(nw.concat([specific, rest]))


def _means(dataset: Dataset, prices: Frame, keys: tuple[str, ...]) -> Frame:
    prices = with_attributes(dataset, prices, keys)
    # Sums of whole hundredths of cents do not depend on the order of rows.
    hundredths = (nw.col("price") * 10_000).round().cast(nw.Int64)
    means = (
        prices.with_columns(hundredths.alias("hundredths"))
        .group_by(*keys, "from_day")
        .agg(nw.col("hundredths").sum(), nw.len().alias("n"))
    )
    price = (nw.col("hundredths") / nw.col("n") / 10_000).alias("price")
    return materialise(means.select(*keys, "from_day", price))
