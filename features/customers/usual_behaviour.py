"""Usual behaviour of each customer: gaps, lines, weekdays and spend of all visits but the last.

In: visits. Out: one row per customer. The last visit is left out and nothing is counted from the
instant of the features, so that neither inactivity nor the content of the last visit changes them.
Models may use them in either direction and still be monotone in inactivity
(`training.customers.monotone_inputs`).
"""

from typing import Any

import narwhals as nw

from features.columns import CUSTOMER_ID, DAY
from features.customers.integer_sums import WEIGHT_UNIT, fixed_point, ratio
from features.typing import Frame

PREFIX = "usual_"
# Prefix of the usual behaviour as it was before the last visit but one, for customers whose last
# visit was at most LAST_DAY days ago.
BEFORE = "before_usual_"
LAST_DAY = 1

# Numbers of lines; features are the shares of visits with at least so many.
LINES = (2, 4, 8, 16, 32)
# Spend of a visit over the customer's mean, below and above which visits are counted.
SMALL, LARGE, VERY_LARGE = 0.5, 1.5, 3.0
# Windows of recent behaviour, in visits, by the suffix of their columns.
RECENT_VISITS = {"late": 15, "later": 7, "latest": 3}
GAP_QUANTILES = (0.75, 0.9)

# Expressions by name: aggregated over visits, by sum or (`most_...`) by maximum; and features.
Expressions = dict[str, nw.Expr]


def usual_behaviour(visits: Frame) -> Frame:
    """Describe the usual behaviour of each customer, and the one before a very recent visit.

    Parameters
    ----------
    visits
        One row per customer and day with a purchase: customer_id, visit (1 is the last), day,
        weekday, gap (days since the visit before; null at the first), lines, recency and, where
        they are known, spend_units and discount_units, integers.

    Returns
    -------
    narwhals.LazyFrame
        customer_id; `usual_...`, from all visits but the last, for customers with two or more;
        `before_usual_...`, from all but the last two, for those of them whose last visit was at
        most a day ago: the last visit has just changed their usual behaviour.
    """
    visit = nw.col("visit")
    earlier = visits.filter(visit >= 2).with_columns((visit - 1).alias("number"))
    recent = visits.filter(visit >= 3, nw.col("recency") <= LAST_DAY)
    before = _features(recent.with_columns((visit - 2).alias("number")), BEFORE)
    return _features(earlier, PREFIX).join(before, on=CUSTOMER_ID, how="left")


def _features(visits: Frame, prefix: str) -> Frame:
    columns = visits.collect_schema().names()
    aggregated = {**_gap_values(), **_line_values()}
    features = {**_gap_features(), **_line_features(), **_visit_features()}
    if "spend_units" in columns:
        total = nw.col("spend_units").sum().over(CUSTOMER_ID)
        mean = total / nw.col("spend_units").count().over(CUSTOMER_ID)
        relative = nw.when(total > 0).then(nw.col("spend_units") / mean).otherwise(1.0)
        visits = visits.with_columns(relative.alias("relative"))
        aggregated |= _spend_values()
        features |= _spend_features()
        if "discount_units" in columns:
            aggregated |= _discount_values()
            features |= _discount_features()
    aggregates = (
        visits.with_columns(expression.alias(name) for name, expression in aggregated.items())
        .group_by(CUSTOMER_ID)
        .agg(
            nw.len().alias("count"),
            nw.col("gap").count().alias("gaps"),
            *(nw.col(name).sum() for name in aggregated if not name.startswith("most_")),
            *(nw.col(name).max() for name in aggregated if name.startswith("most_")),
            nw.col("gap").median().alias("gap_median"),
            *(
                nw.col("gap").quantile(q, interpolation="linear").alias(f"gap_q{round(100 * q)}")
                for q in GAP_QUANTILES
            ),
            nw.col(DAY).min().alias("first_day"),
            nw.col(DAY).max().alias("last_day"),
        )
    )
    numbers = [name for name in aggregates.collect_schema().names() if name != CUSTOMER_ID]
    return aggregates.with_columns(nw.col(*numbers).cast(nw.Float64)).select(
        CUSTOMER_ID, *(expression.alias(prefix + name) for name, expression in features.items())
    )


def _gap_values() -> Expressions:
    gap, number = nw.col("gap"), nw.col("number")
    values = {
        "gap_sum": gap,
        "gap_squares": gap * gap,
        "most_gap": gap,
        "most_gap_last": nw.when(number == 1).then(gap),
    }
    for name, count in RECENT_VISITS.items():
        recent = nw.when(number <= count)
        values[f"gap_{name}"] = recent.then(gap)
        values[f"gaps_{name}"] = recent.then((~gap.is_null()).cast(nw.Int64))
        values[f"most_gap_{name}"] = recent.then(gap)
    return values


def _gap_features() -> Expressions:
    mean = ratio(nw.col("gap_sum"), nw.col("gaps"))
    variance = ratio(nw.col("gap_squares"), nw.col("gaps")) - mean * mean
    deviation = variance.clip(lower_bound=0.0).sqrt()
    recent = {name: ratio(nw.col(f"gap_{name}"), nw.col(f"gaps_{name}")) for name in RECENT_VISITS}
    return {
        "gap_mean": mean,
        "gap_sd": deviation,
        "gap_cv": ratio(deviation, mean),
        "gap_median": nw.col("gap_median"),
        **{f"gap_q{round(100 * q)}": nw.col(f"gap_q{round(100 * q)}") for q in GAP_QUANTILES},
        "gap_max": nw.col("most_gap"),
        "gap_last": nw.col("most_gap_last"),
        **{f"gap_{name}": value for name, value in recent.items()},
        "gap_max_late": nw.col("most_gap_late"),
        "gap_max_later": nw.col("most_gap_later"),
        "gap_trend": ratio(recent["later"], mean),
        "gap_trend_late": ratio(recent["latest"], recent["late"]),
    }


def _line_values() -> Expressions:
    lines, number = nw.col("lines"), nw.col("number")
    values = {"lines_sum": lines}
    for name, count in RECENT_VISITS.items():
        recent = nw.when(number <= count)
        values[f"lines_{name}"] = recent.then(lines)
        values[f"count_{name}"] = recent.then(nw.lit(1))
    values |= {f"lines_over_{n}": (lines >= n).cast(nw.Int64) for n in LINES}
    values |= {f"on_{k}": (nw.col("weekday") == k).cast(nw.Int64) for k in range(7)}
    return values


def _line_features() -> Expressions:
    count = nw.col("count")
    return {
        "lines": nw.col("lines_sum") / count,
        "lines_late": nw.col("lines_late") / nw.col("count_late"),
        "lines_latest": nw.col("lines_latest") / nw.col("count_latest"),
        **{f"lines_share_{n}": nw.col(f"lines_over_{n}") / count for n in LINES},
    }


def _visit_features() -> Expressions:
    count = nw.col("count")
    return {
        **{f"weekday_{k}": nw.col(f"on_{k}") / count for k in range(7)},
        "weekday_most": nw.max_horizontal(*(f"on_{k}" for k in range(7))) / count,
        "visits": count,
        "tenure": nw.col("last_day") - nw.col("first_day"),
    }


def _spend_values() -> Expressions:
    """Return values of spend relative to the customer's mean.

    Spend relative to the population's typical spend would change with the purchases of others.
    """
    relative = nw.col("relative")
    return {
        "small": (relative < SMALL).cast(nw.Int64),
        "large": (relative > LARGE).cast(nw.Int64),
        "very_large": (relative > VERY_LARGE).cast(nw.Int64),
        "relative_squares": fixed_point(relative * relative),
        "relative_late": _late().then(fixed_point(relative)),
    }


def _spend_features() -> Expressions:
    count = nw.col("count")
    variance = nw.col("relative_squares") / WEIGHT_UNIT / count - 1
    return {
        **{f"spend_{name}": nw.col(name) / count for name in ("small", "large", "very_large")},
        "spend_cv": variance.clip(lower_bound=0.0).sqrt(),
        "spend_late": nw.col("relative_late") / WEIGHT_UNIT / nw.col("count_late"),
    }


def _discount_values() -> Expressions:
    spend, discount = nw.col("spend_units"), nw.col("discount_units")
    return {
        "spend_sum": spend,
        "discount_sum": discount,
        "spend_sum_late": _late().then(spend),
        "discount_sum_late": _late().then(discount),
    }


def _discount_features() -> Expressions:
    features = {}
    for suffix in ("", "_late"):
        discount, paid = nw.col(f"discount_sum{suffix}"), nw.col(f"spend_sum{suffix}")
        features[f"discount{suffix}"] = ratio(discount, discount + paid)
    return features


def _late() -> Any:
    return nw.when(nw.col("number") <= RECENT_VISITS["late"])
