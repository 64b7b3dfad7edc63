"""Customer x product at an instant: what each customer bought, how often and how lately.

Order lines in, one row a customer and product out; the recommender finds its candidates
in it, learns from it, and answers from it.
"""

from datetime import timedelta
from math import log, log2
from typing import Any

import narwhals as nw

from features.calendar import AsOf, parse_as_of, to_day
from features.dataset import Dataset
from features.interactions.promoted_purchases import promoted_purchases

WINDOW_DAYS = (7, 14, 28, 56, 91)
LAST_BASKETS = (1, 2, 3, 5, 10, 20)
# Gaps between purchases are counted up to so many days.
GAP_DAYS = (3, 7, 14, 28, 56)
HALF_LIVES_DAYS = (14, 60)
BASKET_DECAY = 0.95

# Weights and money are added up as integers of this step: such sums are the same to the bit
# in whatever order an engine takes the rows, which sums of floats are not.
STEP = 2.0**-24
# Two counts in one integer; gaps are days and so far below this.
PACK = 2**20


def baskets(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Return each customer's baskets known at `as_of`, numbered.

    A basket is an order with something bought in it; returns make none, and orders
    without a customer are left out.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, order_id, ts (of its first line), day, baskets_ago (0 for the last one).
    """
    orders = (
        _sales(dataset, as_of)
        .group_by("customer_id", "order_id")
        .agg(nw.col("ts").min(), nw.col("day").min())
    )
    number = nw.col("order_id").cum_count().over("customer_id", order_by=["ts", "order_id"])
    orders = orders.with_columns(number.cast(nw.Int64).alias("number"))
    last = nw.col("number").max().over("customer_id")
    return orders.with_columns((last - nw.col("number")).alias("baskets_ago")).drop("number")


def next_baskets(dataset: Dataset, cut: AsOf, days: int) -> nw.LazyFrame[Any]:
    """Return what customers bought within `days` from `cut` on: labels and truth, no features.

    Returns
    -------
    narwhals.LazyFrame
        customer_id, product_id, one row a pair; null customers and products left out.
        is_next
            Whether it was in the customer's first basket of the window.
        worth
            For what was in the first basket 1 over the basket's ideal DCG at 10, else 0: what
            the first place of a list would have been worth. A hit counts for more where few
            products are bought.
    """
    start = parse_as_of(cut)
    window = _sales(dataset, start + timedelta(days=days)).filter(nw.col("ts") >= start)
    sizes = window.group_by("customer_id", "order_id").agg(
        nw.col("ts").min().alias("first_ts"), nw.col("product_id").n_unique().alias("size")
    )
    number = nw.col("order_id").cum_count().over("customer_id", order_by=["first_ts", "order_id"])
    places = (nw.when(nw.col("size") >= place).then(1 / log2(place + 1)) for place in range(1, 11))
    ideal = sum((place.otherwise(0.0) for place in places), nw.lit(0.0))
    orders = sizes.with_columns(
        (number == 1).cast(nw.Int8).alias("is_next"), ideal.alias("ideal")
    ).with_columns((nw.col("is_next") / nw.col("ideal")).alias("worth"))
    return (
        window.select("customer_id", "order_id", "product_id")
        .unique()
        .join(orders, on=["customer_id", "order_id"])
        .group_by("customer_id", "product_id")
        .agg(nw.col("is_next").max(), nw.col("worth").max())
        .with_columns(nw.col("is_next") == 1)
    )


def interactions(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
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
            Baskets weighted by age: halved every 14 and 60 days; times 0.95 a basket.
        decay_share
            As decay_basket, each basket split among its products: bought in small baskets
            counts for more.
        on_display, ...; by kind of promotion where the dataset has them
            Baskets in which the product was promoted where and when it was bought.
        recency_days, recency_baskets, first_days, first_baskets
            Since the last and the first purchase; 0 baskets for the customer's last one.
        gaps_3d, ...
            Gaps between successive purchases of at most so many days.
        gap_mean, gap_sd, gap_last, recency_over_gap
            Days between successive purchases, null with fewer than two; recency in own gaps.
    """
    today = to_day(as_of)
    lines = _sales(dataset, as_of)
    sums = {"lines": nw.lit(1), "units": nw.col("quantity")}
    for money, name in (("revenue", "spend"), ("discount", "discount")):
        if dataset.has("orders", money):
            sums[name] = nw.col(money).fill_null(0.0)
    promoted = promoted_purchases(dataset)
    in_steps = [(amount / STEP).round().cast(nw.Int64).alias(name) for name, amount in sums.items()]
    purchases = (
        lines.with_columns(*in_steps)
        .join(
            baskets(dataset, as_of).select("customer_id", "order_id", "baskets_ago"),
            on=["customer_id", "order_id"],
        )
        .group_by("customer_id", "product_id", "baskets_ago")
        .agg(nw.col("day").min(), nw.col("order_id").min(), *(nw.col(name).sum() for name in sums))
        .with_columns(nw.len().over("customer_id", "baskets_ago").alias("size"))
    )
    kinds = []
    if promoted is not None:
        kinds = [name for name in promoted.collect_schema().names() if name.startswith("on_")]
        promoted = promoted.select("order_id", "product_id", *kinds)
        purchases = purchases.join(promoted, on=["order_id", "product_id"], how="left")
        purchases = purchases.with_columns(*(nw.col(name).fill_null(0) for name in kinds))
    purchases = purchases.with_columns((-nw.col("baskets_ago")).alias("number"))
    before = nw.col("day").shift(1).over("customer_id", "product_id", order_by="number")
    age = (nw.lit(today) - nw.col("day")).cast(nw.Int64)
    gap = (nw.col("day") - before).cast(nw.Int64)
    purchases = purchases.with_columns(age.alias("age"), gap.alias("gap")).with_columns(
        *((nw.col("age") <= w).cast(nw.Int64).alias(f"baskets_{w}d") for w in WINDOW_DAYS),
        *(
            (nw.col("baskets_ago") < n).cast(nw.Int64).alias(f"baskets_last_{n}")
            for n in LAST_BASKETS
        ),
        *(_decayed("age", log(2) / days).alias(f"decay_{days}d") for days in HALF_LIVES_DAYS),
        _decayed("baskets_ago", -log(BASKET_DECAY)).alias("decay_basket"),
        _decayed("baskets_ago", -log(BASKET_DECAY), nw.col("size")).alias("decay_share"),
        *((nw.col("gap") <= days).cast(nw.Int64).alias(f"gaps_{days}d") for days in GAP_DAYS),
        (nw.col("gap") * nw.col("gap")).alias("gap_squared"),
        # The least of these holds the gap before the newest purchase.
        (nw.col("baskets_ago") * PACK + nw.col("gap")).alias("packed"),
    )
    decays = [f"decay_{days}d" for days in HALF_LIVES_DAYS]
    weights = [*sums, *decays, "decay_basket", "decay_share"]
    counts = [
        *(f"baskets_{w}d" for w in WINDOW_DAYS),
        *(f"baskets_last_{n}" for n in LAST_BASKETS),
        *(f"gaps_{days}d" for days in GAP_DAYS),
        *kinds,
    ]
    pairs = purchases.group_by("customer_id", "product_id").agg(
        nw.col("day").count().alias("baskets"),
        *(nw.col(name).sum() for name in (*weights, *counts)),
        nw.col("age").min().alias("recency_days"),
        nw.col("age").max().alias("first_days"),
        nw.col("baskets_ago").min().alias("recency_baskets"),
        nw.col("baskets_ago").max().alias("first_baskets"),
        nw.col("gap").sum().alias("gap_sum"),
        nw.col("gap_squared").sum(),
        (nw.col("packed").min() % PACK).alias("gap_last"),
    )
    ages = ("recency_days", "first_days", "recency_baskets", "first_baskets", "gap_last")
    floats = ("baskets", *counts, *ages)
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
            *(nw.col(name).cast(nw.Float64) for name in floats),
            *((nw.col(name).cast(nw.Float64) * STEP).alias(name) for name in weights),
        )
        .drop("gap_sum", "gap_squared")
    )


def _sales(dataset: Dataset, as_of: AsOf) -> nw.LazyFrame[Any]:
    """Lines bought by a known customer before `as_of`."""
    return dataset.known("orders", as_of).filter(
        nw.col("kind") == "sale",
        ~nw.col("customer_id").is_null(),
        ~nw.col("product_id").is_null(),
    )


def _decayed(age: str, rate: float, over: nw.Expr | float = 1.0) -> nw.Expr:
    return _steps((nw.col(age) * -rate).exp() / over)


def _steps(amount: nw.Expr) -> nw.Expr:
    return (amount / STEP).round().cast(nw.Int64)
