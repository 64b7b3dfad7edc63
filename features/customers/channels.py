"""Channels that each customer buys through, and how their shares change.

In: order lines. Out: one row per customer. Values of the column `channel` are taken as they are:
features are shares of the customer's own channels and do not depend on the channels of others.
"""

import narwhals as nw

from features.calendar import AsOf, day_start, to_day
from features.columns import CUSTOMER_ID, DAY
from features.dataset import Dataset
from features.frames import materialise
from features.memo import memo
from features.returns import has_returns, net_purchases
from features.typing import Frame

# Window of recent purchases.
RECENT_DAYS = 84


def several_channels(dataset: Dataset) -> bool:
    """Whether customers of the records buy through more than one channel."""
    if dataset.population is not None:
        return dataset.population.several_channels
    return dataset.has("orders", CUSTOMER_ID, "channel") and _several_channels(dataset)


@memo("orders")
def _several_channels(dataset: Dataset) -> bool:
    orders = dataset.table("orders").filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col("channel").is_null()
    )
    return bool(orders.select("channel").unique().head(2).collect().shape[0] > 1)


def channel_mix(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe each customer's channels from the days before that of `as_of`.

    A day counts once for each channel that was bought through. The main channel is the one with
    the most days; among equals, the one used last.

    Returns
    -------
    narwhals.LazyFrame
        customer_id and, as float64, channel_main_share (share of days), channel_main_share_lately
        (of the days of the last 84; null without any), channel_spread (effective number of
        channels: the inverse of the sum of squared shares), channel_last_is_main, and
        channel_other_recency (days since a channel other than the main one; null if never).
    """
    ranked = _ranked_channels(dataset, to_day(as_of))
    main = nw.col("rank") == 1
    sums = (
        ranked.with_columns(
            nw.when(main).then(nw.col("days")).alias("days_main"),
            nw.when(main).then(nw.col("recent")).alias("recent_main"),
            nw.when(main).then(nw.col("age")).alias("age_main"),
            nw.when(~main).then(nw.col("age")).alias("age_other"),
        )
        .group_by(CUSTOMER_ID)
        .agg(
            nw.col("days", "squared", "recent").sum(),
            nw.col("days_main", "recent_main", "age_main").max(),
            nw.col("age", "age_other").min(),
        )
    )
    numbers = [name for name in sums.collect_schema().names() if name != CUSTOMER_ID]
    sums = sums.with_columns(nw.col(*numbers).cast(nw.Float64))
    recent_share = nw.col("recent_main") / nw.col("recent")
    return sums.select(
        CUSTOMER_ID,
        (nw.col("days_main") / nw.col("days")).alias("channel_main_share"),
        nw.when(nw.col("recent") > 0).then(recent_share).alias("channel_main_share_lately"),
        (nw.col("days") * nw.col("days") / nw.col("squared")).alias("channel_spread"),
        (nw.col("age_main") <= nw.col("age")).cast(nw.Float64).alias("channel_last_is_main"),
        nw.col("age_other").alias("channel_other_recency"),
    )


def _ranked_channels(dataset: Dataset, today: int) -> Frame:
    """Return each customer's channels with their days before `today`, ranked, 1 the main one."""
    known_day = today if has_returns(dataset) else dataset.days[1] + 1
    used = _channel_days(dataset, known_day).filter(nw.col(DAY) < today)
    used = used.with_columns(age=nw.lit(today) - nw.col(DAY))
    recent = (nw.col("age") <= RECENT_DAYS).cast(nw.Int64).alias("recent")
    return (
        used.with_columns(recent)
        .group_by(CUSTOMER_ID, "channel")
        .agg(
            nw.len().cast(nw.Int64).alias("days"),
            nw.col("age").min().cast(nw.Int64),
            nw.col("recent").sum(),
        )
        .with_columns(
            (-nw.col("days")).alias("order"), (nw.col("days") * nw.col("days")).alias("squared")
        )
        .with_columns(
            nw.col("order")
            .cum_count()
            .over(CUSTOMER_ID, order_by=["order", "age", "channel"])
            .alias("rank")
        )
    )


@memo("orders")
def _channel_days(dataset: Dataset, day: int) -> Frame:
    """Return the distinct customers, channels and days of purchases before a day."""
    bought = net_purchases(dataset, day_start(day)).filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col("channel").is_null()
    )
    days = bought.select(CUSTOMER_ID, "channel", DAY).unique()
    return materialise(days)
