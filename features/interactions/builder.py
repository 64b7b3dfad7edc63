"""Customer x product features at an instant: how often, how recently and how regularly bought.

In: order lines. Out: one row per customer and product; also the baskets of each customer, and the
labels of a window after an instant.
"""

from datetime import timedelta
from math import log

import narwhals as nw

from features.calendar import AsOf, parse_as_of, to_day
from features.columns import CUSTOMER_ID, DAY, ORDER_ID, PRODUCT_ID
from features.dataset import Dataset
from features.interactions.promoted_purchases import promoted_purchases
from features.returns import net_purchases
from features.typing import Frame

WINDOW_DAYS = (7, 14, 28, 56, 91)
LAST_BASKETS = (1, 2, 3, 5, 10, 20)
# Upper limits of the counted gaps between purchases, in days.
GAP_DAYS = (3, 7, 14, 28, 56)
HALF_LIVES_DAYS = (14, 60)
BASKET_DECAY = 0.95

# Weights and money are summed as integer multiples of this step. Integer sums do not depend on the
# order in which an engine adds rows; sums of floats do.
STEP = 2.0**-24
# Factor that packs two counts into one integer; gaps in days are smaller.
PACK = 2**20

PAIR = (CUSTOMER_ID, PRODUCT_ID)
BASKET = (CUSTOMER_ID, ORDER_ID)
DECAYS = tuple(f"decay_{days}d" for days in HALF_LIVES_DAYS)
WINDOW_COUNTS = (
    *(f"baskets_{days}d" for days in WINDOW_DAYS),
    *(f"baskets_last_{count}" for count in LAST_BASKETS),
    *(f"gaps_{days}d" for days in GAP_DAYS),
)
AGES = ("recency_days", "first_days", "recency_baskets", "first_baskets", "gap_last")


def baskets(dataset: Dataset, as_of: AsOf) -> Frame:
    """Return each customer's baskets known at `as_of`, numbered.

    A basket is an order of which something was kept. Orders without a customer are left out.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, order_id, ts (of its first line), day, baskets_ago (0 for the last one).
    """
    orders = _sales(dataset, as_of).group_by(*BASKET).agg(nw.col("ts").min(), nw.col(DAY).min())
    number = nw.col(ORDER_ID).cum_count().over(CUSTOMER_ID, order_by=["ts", ORDER_ID])
    orders = orders.with_columns(number.cast(nw.Int64).alias("number"))
    last = nw.col("number").max().over(CUSTOMER_ID)
    return orders.with_columns((last - nw.col("number")).alias("baskets_ago")).drop("number")


def next_baskets(dataset: Dataset, cutoff: AsOf, days: int) -> Frame:
    """Return what customers bought in the `days` from `cutoff` on: labels, not features.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, product_id, one row per pair; null customers and products are left out.
        is_next
            Whether the product was in the customer's first basket of the window.
    """
    start = parse_as_of(cutoff)
    window = _sales(dataset, start + timedelta(days=days)).filter(nw.col("ts") >= start)
    starts = window.group_by(*BASKET).agg(nw.col("ts").min().alias("first_ts"))
    number = nw.col(ORDER_ID).cum_count().over(CUSTOMER_ID, order_by=["first_ts", ORDER_ID])
    orders = starts.with_columns((number == 1).cast(nw.Int8).alias("is_next"))
    return (
        window.select(*BASKET, PRODUCT_ID)
        .unique()
        .join(orders, on=list(BASKET))
        .group_by(*PAIR)
        .agg(nw.col("is_next").max())
        .with_columns(nw.col("is_next") == 1)
    )


def interactions(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe every pair of a customer and a product bought before `as_of`.

    Orders without a customer and returns are left out.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, product_id, and as float64:

        baskets, lines, units; spend and discount where the dataset records them
            Totals, in baskets, lines, units and the dataset's currency.
        baskets_7d, ...; baskets_last_1, ...
            Baskets with the product within the last days; among the customer's last baskets.
        decay_14d, decay_60d, decay_basket
            Baskets weighted by age: halved every 14 and 60 days; times 0.95 per basket.
        decay_share
            As decay_basket, with each basket's weight split among its products.
        on_display, ...; by kind of promotion where the dataset has them
            Baskets in which the product was promoted where and when it was bought.
        recency_days, recency_baskets, first_days, first_baskets
            Since the last and the first purchase; 0 baskets for the customer's last one.
        gaps_3d, ...
            Gaps between successive purchases of at most so many days.
        gap_mean, gap_sd, gap_last, recency_over_gap
            Days between successive purchases, null with fewer than two; recency in mean gaps.
    """
    purchases, sums = _purchases(dataset, as_of)
    purchases, promotion_kinds = _with_promotions(purchases, dataset)
    purchases = _with_measures(purchases, to_day(as_of))
    weights = (*sums, *DECAYS, "decay_basket", "decay_share")
    counts = (*WINDOW_COUNTS, *promotion_kinds)
    pairs = purchases.group_by(*PAIR).agg(
        nw.col(DAY).count().alias("baskets"),
        *(nw.col(name).sum() for name in (*weights, *counts)),
        nw.col("age").min().alias("recency_days"),
        nw.col("age").max().alias("first_days"),
        nw.col("baskets_ago").min().alias("recency_baskets"),
        nw.col("baskets_ago").max().alias("first_baskets"),
        nw.col("gap").sum().alias("gap_sum"),
        nw.col("gap_squared").sum(),
        (nw.col("packed").min() % PACK).alias("gap_last"),
    )
    gaps = nw.when(nw.col("baskets") > 1).then(nw.col("baskets") - 1).cast(nw.Float64)
    mean = nw.col("gap_sum") / gaps
    variance = nw.col("gap_squared") / gaps - mean * mean
    return (
        pairs.with_columns(
            mean.alias("gap_mean"),
            nw.when(variance > 0).then(variance).otherwise(mean * 0.0).sqrt().alias("gap_sd"),
            (nw.col("recency_days") / (mean + 1.0)).alias("recency_over_gap"),
        )
        .with_columns(
            *(nw.col(name).cast(nw.Float64) for name in ("baskets", *counts, *AGES)),
            *((nw.col(name).cast(nw.Float64) * STEP).alias(name) for name in weights),
        )
        .drop("gap_sum", "gap_squared")
    )


def _purchases(dataset: Dataset, as_of: AsOf) -> tuple[Frame, tuple[str, ...]]:
    """Collapse order lines to one row per customer, product and basket.

    Returns
    -------
    tuple
        The purchases, with the basket's number of products as `size`; and the names of the summed
        columns, in units of `STEP`.
    """
    sums = {"lines": nw.lit(1), "units": nw.col("quantity")}
    for column, name in (("revenue", "spend"), ("discount", "discount")):
        if dataset.has("orders", column):
            sums[name] = nw.col(column).fill_null(0.0)
    numbered = baskets(dataset, as_of).select(*BASKET, "baskets_ago")
    purchases = (
        _sales(dataset, as_of)
        .with_columns(*(_steps(amount).alias(name) for name, amount in sums.items()))
        .join(numbered, on=list(BASKET))
        .group_by(*PAIR, "baskets_ago")
        .agg(nw.col(DAY).min(), nw.col(ORDER_ID).min(), *(nw.col(name).sum() for name in sums))
        .with_columns(nw.len().over(CUSTOMER_ID, "baskets_ago").alias("size"))
    )
    return purchases, tuple(sums)


def _with_promotions(purchases: Frame, dataset: Dataset) -> tuple[Frame, tuple[str, ...]]:
    """Join a column per kind of promotion: 1 where the product was promoted when bought, else 0."""
    promoted = promoted_purchases(dataset)
    if promoted is None:
        return purchases, ()
    names = tuple(name for name in promoted.collect_schema().names() if name.startswith("on_"))
    key = [ORDER_ID, PRODUCT_ID]
    purchases = purchases.join(promoted.select(*key, *names), on=key, how="left")
    return purchases.with_columns(*(nw.col(name).fill_null(0) for name in names)), names


def _with_measures(purchases: Frame, today: int) -> Frame:
    """Add to each purchase its age, its gap to the one before, and the integers that are summed."""
    purchases = purchases.with_columns((-nw.col("baskets_ago")).alias("number"))
    before = nw.col(DAY).shift(1).over(*PAIR, order_by="number")
    age = (nw.lit(today) - nw.col(DAY)).cast(nw.Int64)
    gap = (nw.col(DAY) - before).cast(nw.Int64)
    return purchases.with_columns(age.alias("age"), gap.alias("gap")).with_columns(
        *((nw.col("age") <= days).cast(nw.Int64).alias(f"baskets_{days}d") for days in WINDOW_DAYS),
        *(
            (nw.col("baskets_ago") < count).cast(nw.Int64).alias(f"baskets_last_{count}")
            for count in LAST_BASKETS
        ),
        *(_decayed("age", log(2) / days).alias(f"decay_{days}d") for days in HALF_LIVES_DAYS),
        _decayed("baskets_ago", -log(BASKET_DECAY)).alias("decay_basket"),
        _decayed("baskets_ago", -log(BASKET_DECAY), nw.col("size")).alias("decay_share"),
        *((nw.col("gap") <= days).cast(nw.Int64).alias(f"gaps_{days}d") for days in GAP_DAYS),
        (nw.col("gap") * nw.col("gap")).alias("gap_squared"),
        # The minimum of these holds the gap before the newest purchase.
        (nw.col("baskets_ago") * PACK + nw.col("gap")).alias("packed"),
    )


def _sales(dataset: Dataset, as_of: AsOf) -> Frame:
    """Return sales of known products to known customers before `as_of`."""
    return net_purchases(dataset, as_of).filter(
        ~nw.col(CUSTOMER_ID).is_null(), ~nw.col(PRODUCT_ID).is_null()
    )


def _decayed(age: str, rate: float, divisor: nw.Expr | float = 1.0) -> nw.Expr:
    return _steps((nw.col(age) * -rate).exp() / divisor)


def _steps(amount: nw.Expr) -> nw.Expr:
    return (amount / STEP).round().cast(nw.Int64)
