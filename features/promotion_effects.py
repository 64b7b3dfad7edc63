"""Past sales and the promotion plan in, what promotions do to each series out; used by `demand`."""

import narwhals as nw

from features.grain import Grain
from features.recency import LOOKBACK_DAYS, WHOLE, lag_weights
from features.series import THOUSANDTHS, Frame, held

# Promoted periods that a series' own effect of promotions is shrunk by, towards none.
_SHRINKAGE = 0.5


def _any(names: list[str]) -> nw.Expr:
    return nw.max_horizontal(*(nw.col(f"share_{kind}") for kind in names))


def promotion_effects(
    grain: Grain, known: Frame, past: Frame, plan: Frame, block: int, names: list[str]
) -> Frame:
    """Measure, on each series' own past, how much more it sold the more it was promoted.

    The effect of a kind is the slope of a least-squares line of units on share, over the
    level; `_usual` is the promotion that the level contains, weighted as the level is.
    """
    longest = LOOKBACK_DAYS // grain.days
    lag = (block - nw.col("block")).cast(nw.Int64)
    cells = plan.with_columns(lag.alias("lag"), _any(names).alias("share_any")).filter(
        nw.col("lag") >= 1, nw.col("lag") <= longest, nw.col("lag") <= nw.col("age")
    )
    cells = cells.join(past, on=["series", "lag"], how="left").join(
        lag_weights(grain), on="lag", how="left"
    )
    kinds_ = [*names, "any"]
    cells = cells.with_columns(
        (nw.col(f"share_{k}") * WHOLE).round().cast(nw.Int64).alias(f"share_{k}") for k in kinds_
    ).with_columns(nw.col("units").fill_null(0))
    for kind in kinds_:
        share = nw.col(f"share_{kind}")
        cells = cells.with_columns(
            (share * share // WHOLE).alias(f"_squares_{kind}"),
            (share * nw.col("units") // THOUSANDTHS).alias(f"_product_{kind}"),
            (share * nw.col("weight_middle") // WHOLE).alias(f"_middle_{kind}"),
            (share * nw.col("weight_slow") // WHOLE).alias(f"_slow_{kind}"),
            nw.when(nw.col("lag") == 1).then(share).otherwise(0).alias(f"_last_{kind}"),
        )
    parts = [
        f"{p}_{k}"
        for k in kinds_
        for p in ("share", "_squares", "_product", "_middle", "_slow", "_last")
    ]
    sums = cells.group_by("series").agg(nw.col(*parts).sum())
    seen = nw.when(nw.col("age") < longest).then(nw.col("age")).otherwise(longest)
    own = known.select("series", "age", "level_now", "all_middle", "all_slow")
    sold = past.group_by("series").agg(nw.col("units").sum().alias("_sold"))
    frame = own.join(sums, on="series", how="inner").join(sold, on="series", how="left")
    mean = nw.col("_sold").fill_null(0) / THOUSANDTHS / seen
    frame = frame.with_columns(mean.alias("_mean"), seen.alias("_seen"))
    columns = []
    for kind in kinds_:
        total = nw.col(f"share_{kind}") / WHOLE
        product, square = (nw.col(f"{p}_{kind}") / WHOLE for p in ("_product", "_squares"))
        variation = square - total * total / nw.col("_seen") + _SHRINKAGE
        slope = (product - total * nw.col("_mean")) / variation / nw.col("level_now")
        usual = (
            nw.col(f"_middle_{kind}") / nw.col("all_middle")
            + nw.col(f"_slow_{kind}") / nw.col("all_slow")
        ) / 2
        columns += [
            slope.alias(f"promotion_effect_{kind}"),
            usual.alias(f"promotion_usual_{kind}"),
            (nw.col(f"_last_{kind}") / WHOLE).alias(f"promotion_last_{kind}"),
        ]
        if kind == "any":
            with_any = product / (total + _SHRINKAGE) / nw.col("level_now")
            rest = nw.col("_seen") - total
            without = (nw.col("_mean") * nw.col("_seen") - product) / (rest + _SHRINKAGE)
            columns += [
                with_any.alias("promotion_mean_with"),
                (without / nw.col("level_now")).alias("promotion_mean_without"),
                total.alias("promotion_periods"),
            ]
    return held(frame.select("series", *columns))


def with_promotions(frame: Frame, plan: Frame, names: list[str]) -> Frame:
    """Add the target period's planned shares and what they have meant for the series before."""
    planned = plan.with_columns(_any(names).alias("share_any"))
    frame = frame.join(planned, on=["series", "block"], how="left")
    kinds_ = [*names, "any"]
    frame = frame.with_columns(
        *(nw.col(f"share_{k}").fill_null(0.0).alias(f"promotion_planned_{k}") for k in kinds_),
        *(
            nw.col(f"promotion_{f}_{k}").fill_null(0.0)
            for k in kinds_
            for f in ("usual", "last", "effect")
        ),
    )
    change = {k: nw.col(f"promotion_planned_{k}") - nw.col(f"promotion_usual_{k}") for k in kinds_}
    frame = frame.with_columns(
        *(change[k].alias(f"promotion_change_{k}") for k in kinds_),
        *(
            (change[k] * nw.col(f"promotion_effect_{k}")).alias(f"promotion_gain_{k}")
            for k in kinds_
        ),
    )
    return frame.drop(*(f"share_{k}" for k in kinds_))
