"""Customer x as_of: through which channels a customer buys, and how that changes.

Order lines go in, one row a customer comes out; `customers` joins it where there is more than one
channel. Channels are whatever the records call so: no name is known here, so that a customer's
features do not depend on which channels others use.
"""

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID
from features.dataset import Dataset
from features.memo import memo
from features.typing import Frame

LATELY_DAYS = 84


def several_channels(dataset: Dataset) -> bool:
    """Whether customers of the records buy through more than one channel."""
    if dataset.population is not None:
        return dataset.population.several_channels
    return dataset.has("orders", CUSTOMER_ID, "channel") and _several_channels(dataset)


@memo("orders")
def _several_channels(dataset: Dataset) -> bool:
    named = dataset.table("orders").filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col("channel").is_null()
    )
    return bool(named.select("channel").unique().head(2).collect().shape[0] > 1)


def channel_mix(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe each customer's channels by the days before that of `as_of`.

    A day counts once for each channel that was bought through. The main channel is that of most
    days, of equals the one used last.

    Returns
    -------
    narwhals.LazyFrame
        customer_id and, as numbers, channel_main_share (of days), channel_main_share_lately (of
        those of the last 84; null without any), channel_spread (how many equally used channels it
        would be: the inverse of the sum of squared shares), channel_last_is_main, and
        channel_other_recency (days since another than the main was used; null if never).
    """
    today = to_day(as_of)
    used = (
        _days(dataset).filter(nw.col("day") < today).with_columns(age=nw.lit(today) - nw.col("day"))
    )
    lately = (nw.col("age") <= LATELY_DAYS).cast(nw.Int64).alias("lately")
    each = (
        used.with_columns(lately)
        .group_by(CUSTOMER_ID, "channel")
        .agg(
            nw.len().cast(nw.Int64).alias("days"),
            nw.col("age").min().cast(nw.Int64),
            nw.col("lately").sum(),
        )
        .with_columns(
            (-nw.col("days")).alias("fewest"), (nw.col("days") * nw.col("days")).alias("squared")
        )
        .with_columns(
            nw.col("fewest")
            .cum_count()
            .over(CUSTOMER_ID, order_by=["fewest", "age", "channel"])
            .alias("place")
        )
    )
    main = nw.col("place") == 1
    sums = (
        each.with_columns(
            nw.when(main).then(nw.col("days")).alias("days_main"),
            nw.when(main).then(nw.col("lately")).alias("lately_main"),
            nw.when(main).then(nw.col("age")).alias("age_main"),
            nw.when(~main).then(nw.col("age")).alias("age_other"),
        )
        .group_by(CUSTOMER_ID)
        .agg(
            nw.col("days", "squared", "lately").sum(),
            nw.col("days_main", "lately_main", "age_main").max(),
            nw.col("age", "age_other").min(),
        )
    )
    sums = sums.with_columns(
        nw.col(name).cast(nw.Float64)
        for name in sums.collect_schema().names()
        if name != CUSTOMER_ID
    )
    share = nw.col("lately_main") / nw.col("lately")
    return sums.select(
        CUSTOMER_ID,
        (nw.col("days_main") / nw.col("days")).alias("channel_main_share"),
        nw.when(nw.col("lately") > 0).then(share).alias("channel_main_share_lately"),
        (nw.col("days") * nw.col("days") / nw.col("squared")).alias("channel_spread"),
        (nw.col("age_main") <= nw.col("age")).cast(nw.Float64).alias("channel_last_is_main"),
        nw.col("age_other").alias("channel_other_recency"),
    )


@memo("orders")
def _days(dataset: Dataset) -> Frame:
    """Return customers, channels and days of purchases, each once."""
    bought = dataset.table("orders").filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col("channel").is_null(), nw.col("kind") != "return"
    )
    days = bought.select(CUSTOMER_ID, "channel", "day").unique()
    return nw.from_native(days.collect().to_polars().lazy())
