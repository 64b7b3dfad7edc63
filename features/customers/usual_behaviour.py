"""Customer: how each one usually shops, apart from the visit that was last and from the clock.

Visits go in, one row a customer comes out; `customers` joins it. A routine is read off the visits
before the last one, and nothing in it is counted from today: waiting longer does not change it,
nor does what was bought last. Models may therefore read it in any direction and yet be bound to
rise with silence (`training.customers.monotone_inputs`).
"""

import narwhals as nw

from features.columns import CUSTOMER_ID
from features.typing import Frame

PREFIX = "routine_"
# The routine as it was before the last visit but one: of those who came within the last day.
BEFORE = "before_routine_"
LAST_DAY = 1

# Visits of so many lines or more, as shares of all: from a pint of milk to the month's shopping.
LINES = (2, 4, 8, 16, 32)
# Spend of a visit over the customer's own mean: small, large and very large trips.
SMALL, LARGE, VERY_LARGE = 0.5, 1.5, 3.0
# A routine as it was of late: the last so many visits of it.
LATE, LATER, LATEST = 15, 7, 3
GAP_QUANTILES = (0.75, 0.9)
WEIGHT_UNIT = 2**30


def usual_behaviour(visits: Frame) -> Frame:
    """Describe the routine of each customer, and what it was a visit earlier where it is young.

    Parameters
    ----------
    visits
        One row a customer and day with a purchase: customer_id, visit (1 is the last), day,
        weekday, gap (days since the visit before; null at the first), lines, recency and, where
        they are known, spend_units and discount_units, whole numbers.

    Returns
    -------
    narwhals.LazyFrame
        customer_id; `routine_...`, of all visits but the last, for who came more than once;
        `before_routine_...`, the same of all but the last two, for those of them whose last
        visit was a day ago or less: theirs is the routine that this visit has just changed.
    """
    place = nw.col("visit")
    now = _routine(visits.filter(place >= 2).with_columns((place - 1).alias("place")), PREFIX)
    fresh = visits.filter(place >= 3, nw.col("recency") <= LAST_DAY)
    before = _routine(fresh.with_columns((place - 2).alias("place")), BEFORE)
    return now.join(before, on=CUSTOMER_ID, how="left")


def _routine(visits: Frame, prefix: str) -> Frame:
    columns = visits.collect_schema().names()
    money = "spend_units" in columns
    if money:
        total = nw.col("spend_units").sum().over(CUSTOMER_ID)
        mean = total / nw.col("spend_units").count().over(CUSTOMER_ID)
        relative = nw.when(total > 0).then(nw.col("spend_units") / mean).otherwise(1.0)
        visits = visits.with_columns(relative.alias("relative"))
    sums, features = _of_gaps_and_lines()
    if money:
        of_money = _of_money(discounted="discount_units" in columns)
        sums, features = {**sums, **of_money[0]}, {**features, **of_money[1]}
    measured = (
        visits.with_columns(expression.alias(name) for name, expression in sums.items())
        .group_by(CUSTOMER_ID)
        .agg(
            nw.len().alias("count"),
            nw.col("gap").count().alias("gaps"),
            *(nw.col(name).sum() for name in sums if not name.startswith("most_")),
            *(nw.col(name).max() for name in sums if name.startswith("most_")),
            nw.col("gap").median().alias("gap_median"),
            *(
                nw.col("gap").quantile(q, interpolation="linear").alias(f"gap_q{round(100 * q)}")
                for q in GAP_QUANTILES
            ),
            nw.col("day").min().alias("first_day"),
            nw.col("day").max().alias("last_day"),
        )
    )
    numbers = [name for name in measured.collect_schema().names() if name != CUSTOMER_ID]
    return measured.with_columns(nw.col(*numbers).cast(nw.Float64)).select(
        CUSTOMER_ID, *(expression.alias(prefix + name) for name, expression in features.items())
    )


def _of_gaps_and_lines() -> tuple[dict[str, nw.Expr], dict[str, nw.Expr]]:
    """Return what is summed over (or, named so, the most of) visits, and what is made of it."""
    gap, lines, place = nw.col("gap"), nw.col("lines"), nw.col("place")
    sums = {
        "gap_sum": gap,
        "gap_squares": gap * gap,
        "most_gap": gap,
        "most_gap_last": nw.when(place == 1).then(gap),
        "lines_sum": lines,
    }
    for name, last in (("late", LATE), ("later", LATER), ("latest", LATEST)):
        lately = nw.when(place <= last)
        sums[f"gap_{name}"] = lately.then(gap)
        sums[f"gaps_{name}"] = lately.then((~gap.is_null()).cast(nw.Int64))
        sums[f"most_gap_{name}"] = lately.then(gap)
        sums[f"lines_{name}"] = lately.then(lines)
        sums[f"count_{name}"] = lately.then(nw.lit(1))
    sums |= {f"lines_over_{n}": (lines >= n).cast(nw.Int64) for n in LINES}
    sums |= {f"on_{k}": (nw.col("weekday") == k).cast(nw.Int64) for k in range(7)}

    count = nw.col("count")
    mean = share(nw.col("gap_sum"), nw.col("gaps"))
    variance = share(nw.col("gap_squares"), nw.col("gaps")) - mean * mean
    deviation = variance.clip(lower_bound=0.0).sqrt()
    late, later, latest = (
        share(nw.col(f"gap_{name}"), nw.col(f"gaps_{name}")) for name in ("late", "later", "latest")
    )
    features = {
        "gap_mean": mean,
        "gap_sd": deviation,
        "gap_cv": share(deviation, mean),
        "gap_median": nw.col("gap_median"),
        **{f"gap_q{round(100 * q)}": nw.col(f"gap_q{round(100 * q)}") for q in GAP_QUANTILES},
        "gap_max": nw.col("most_gap"),
        "gap_last": nw.col("most_gap_last"),
        "gap_late": late,
        "gap_later": later,
        "gap_latest": latest,
        "gap_max_late": nw.col("most_gap_late"),
        "gap_max_later": nw.col("most_gap_later"),
        "gap_trend": share(later, mean),
        "gap_trend_late": share(latest, late),
        "lines": nw.col("lines_sum") / count,
        "lines_late": nw.col("lines_late") / nw.col("count_late"),
        "lines_latest": nw.col("lines_latest") / nw.col("count_latest"),
        **{f"lines_share_{n}": nw.col(f"lines_over_{n}") / count for n in LINES},
        **{f"weekday_{k}": nw.col(f"on_{k}") / count for k in range(7)},
        "weekday_most": nw.max_horizontal(*(f"on_{k}" for k in range(7))) / count,
        "visits": count,
        "tenure": nw.col("last_day") - nw.col("first_day"),
    }
    return sums, features


def _of_money(*, discounted: bool) -> tuple[dict[str, nw.Expr], dict[str, nw.Expr]]:
    """Return as above what is made of money: always relative to the customer's own.

    The population's yardstick moves when others buy, which is not the customer's routine.
    """
    relative, count = nw.col("relative"), nw.col("count")
    late = nw.when(nw.col("place") <= LATE)
    sums = {
        "small": (relative < SMALL).cast(nw.Int64),
        "large": (relative > LARGE).cast(nw.Int64),
        "very_large": (relative > VERY_LARGE).cast(nw.Int64),
        "relative_squares": _fixed(relative * relative),
        "relative_late": late.then(_fixed(relative)),
    }
    variance = nw.col("relative_squares") / WEIGHT_UNIT / count - 1
    features = {
        **{f"spend_{name}": nw.col(name) / count for name in ("small", "large", "very_large")},
        "spend_cv": variance.clip(lower_bound=0.0).sqrt(),
        "spend_late": nw.col("relative_late") / WEIGHT_UNIT / nw.col("count_late"),
    }
    if discounted:
        spend, discount = nw.col("spend_units"), nw.col("discount_units")
        sums |= {
            "spend_sum": spend,
            "discount_sum": discount,
            "spend_sum_late": late.then(spend),
            "discount_sum_late": late.then(discount),
        }
        for name in ("", "_late"):
            off, paid = nw.col(f"discount_sum{name}"), nw.col(f"spend_sum{name}")
            features[f"discount{name}"] = share(off, off + paid)
    return sums, features


def share(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """Divide where there is something to divide by, else null."""
    return nw.when(whole > 0).then(part / whole)


def _fixed(expression: nw.Expr) -> nw.Expr:
    """Turn a float into an integer count of 2^-30, so that sums do not depend on their order."""
    return (expression * WEIGHT_UNIT).round(0).cast(nw.Int64)
