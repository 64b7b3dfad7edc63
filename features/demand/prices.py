"""Price changes: the table of prices in, changes of each series' price out.

Future prices are plans and are read in full. Without a table of prices, prices paid stand in for it
where a plan names prices (`paid_prices`); no other feature reads them.
"""

import narwhals as nw

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series, unit_lines, with_attributes
from features.frames import materialise
from features.memo import memo
from features.typing import Frame


def has_paid_prices(dataset: Dataset) -> bool:
    """Whether the records tell what was paid for a unit of a product."""
    amount = "revenue" if dataset.records == "orders" else "price"
    return dataset.has(dataset.records, "product_id", amount)


def paid_prices(dataset: Dataset, grain: Grain, day: int) -> Frame:
    """Return changes of the price paid before a day, with the columns of the table of prices.

    The price of a period that ends before the day is the median over the order lines of a product
    in it, at each location if the grain has locations; of `sales`, over their prices. Thereafter
    the last price holds.
    """
    lines = unit_lines(dataset).filter(nw.col("day") < day)
    if dataset.records == "orders":
        lines = lines.with_columns((nw.col("revenue") / nw.col("quantity")).alias("price"))
    keys = ["product_id"]
    if grain.location_keys and dataset.has(dataset.records, "location_id"):
        keys.append("location_id")
    phase = grain.phase(day)
    start = grain.start(grain.number(nw.col("day"), phase), phase)
    # Zero is a gift or a missing value.
    paid = lines.filter(nw.col("price") > 0).with_columns(start.cast(nw.Int32).alias("from_day"))
    prices = paid.group_by(*keys, "from_day").agg(nw.col("price").median().round(4))
    before = nw.col("price").shift(1).over(*keys, order_by="from_day")
    changes = prices.filter((before.is_null()) | (before != nw.col("price")))
    return materialise(changes.select(*keys, "from_day", "price"))


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
