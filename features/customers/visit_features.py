"""Expressions from visits to features of a customer: recency, frequency, gaps, inactivity, spend.

A visit is a day with a purchase. In: the columns of visits. Out: expressions of three steps:
measures per visit, aggregates per customer, features from aggregates.
"""

import math

import narwhals as nw

from features.customers.integer_sums import WEIGHT_UNIT, fixed_point, ratio

WINDOWS_DAYS = (7, 14, 28, 56, 84, 182, 365)
HALF_LIVES_DAYS = (7, 14, 28, 56, 112, 224)
# Half-lives of spend: from a short-term decline to the long-term level.
SPEND_HALF_LIVES_DAYS = (14, 28, 56, 112)
GAP_QUANTILES = (0.25, 0.75, 0.9)
# Further days of inactivity, of which the customer's own gaps give the probability.
INACTIVITY_AHEAD_DAYS = (7, 14, 28, 56)
# Lengths beyond which inactivity, past gaps and the present one alike, is summed and counted.
INACTIVITY_BEYOND_DAYS = (3, 7, 14, 28, 56)
# Numbers k of the k-th last visit whose age, and the longest gap since, are features.
LAST_VISITS = (2, 3, 5, 8, 12)
# Added to the tenure in rates, so that rates of new customers stay bounded.
SETTLING_DAYS = 7
# Window in which the end of a long gap marks a customer who came back.
COMEBACK_DAYS = 84


def visit_measures(columns: list[str]) -> list[nw.Expr]:
    """Return the columns of a visit that are aggregated over a customer's visits.

    Parameters
    ----------
    columns
        Columns of the visits; those of spend are left out where they lack `spend_units`.
    """
    measures = [*_window_measures(), *_gap_measures()]
    measures += [(nw.col("weekday") == k).cast(nw.Int64).alias(f"on_{k}") for k in range(7)]
    if "spend_units" in columns:
        measures += _spend_measures()
    return measures


def _window_measures() -> list[nw.Expr]:
    age = nw.col("age")
    measures = [(age <= days).cast(nw.Int64).alias(f"in_{days}") for days in WINDOWS_DAYS]
    measures += [fixed_point(_decay(days)).alias(f"decayed_{days}") for days in HALF_LIVES_DAYS]
    return measures


def _gap_measures() -> list[nw.Expr]:
    age, gap, recency = nw.col("age"), nw.col("gap"), nw.col("recency")
    measures = [
        (gap * gap).alias("gap_squared"),
        (gap > recency).cast(nw.Int64).alias("longer_0"),
        (gap >= recency).cast(nw.Int64).alias("as_long"),
        nw.when(age <= COMEBACK_DAYS).then(gap).alias("gap_ended_lately"),
        nw.when(age == recency).then(gap).alias("gap_last"),
        nw.when(age == recency).then(nw.col("lines")).alias("lines_last"),
    ]
    measures += [
        (gap > recency + days).cast(nw.Int64).alias(f"longer_{days}")
        for days in INACTIVITY_AHEAD_DAYS
    ]
    measures += [
        (gap - days).clip(lower_bound=0.0).alias(f"beyond_{days}")
        for days in INACTIVITY_BEYOND_DAYS
    ]
    measures += [
        (gap >= days).cast(nw.Int64).alias(f"over_{days}") for days in INACTIVITY_BEYOND_DAYS
    ]
    for k in LAST_VISITS:
        measures.append(nw.when(nw.col("visit") == k).then(age).alias(f"age_{k}"))
        measures.append(nw.when(nw.col("visit") < k).then(gap).alias(f"gap_of_{k}"))
    return measures


def _spend_measures() -> list[nw.Expr]:
    age, spend = nw.col("age"), nw.col("spend")
    measures = [fixed_point(spend).alias("spend_fixed")]
    measures += [
        fixed_point(nw.when(age <= days).then(spend).otherwise(0.0)).alias(f"spend_in_{days}")
        for days in WINDOWS_DAYS
    ]
    measures += [
        fixed_point(spend * _decay(days)).alias(f"spend_decayed_{days}")
        for days in SPEND_HALF_LIVES_DAYS
    ]
    return measures


def _decay(half_life_days: float) -> nw.Expr:
    return (nw.col("age") * (-math.log(2) / half_life_days)).exp()


def visit_aggregates(columns: list[str]) -> list[nw.Expr]:
    """Return sums, extremes and quantiles of visit measures, per customer.

    Parameters
    ----------
    columns
        Columns of the visits.
    """
    summed = [
        *(f"in_{days}" for days in WINDOWS_DAYS),
        *(f"decayed_{days}" for days in HALF_LIVES_DAYS),
        *(f"longer_{days}" for days in (0, *INACTIVITY_AHEAD_DAYS)),
        *(f"{kind}_{days}" for kind in ("beyond", "over") for days in INACTIVITY_BEYOND_DAYS),
        *(f"on_{k}" for k in range(7)),
        *("gap", "gap_squared", "lines", "as_long"),
        *(name for name in columns if name.startswith("new_") or name.endswith("_units")),
    ]
    # Equal in all rows of a customer, or known in one of them.
    constant = ["recency", "tenure", "all_lines", "returns", "gap_last", "lines_last"]
    constant += [f"{kind}_{k}" for kind in ("age", "gap_of") for k in LAST_VISITS]
    if "spend_units" in columns:
        constant += ["returned_spend"]
        summed += ["spend_fixed", *(f"spend_in_{days}" for days in WINDOWS_DAYS)]
        summed += [f"spend_decayed_{days}" for days in SPEND_HALF_LIVES_DAYS]
    return [
        nw.len().alias("visits"),
        nw.col("gap").count().alias("gaps"),
        *(nw.col(name).sum().alias(name) for name in summed),
        *(nw.col(name).max().alias(name) for name in constant),
        nw.col("gap").max().alias("gap_max"),
        nw.col("gap_ended_lately").max().alias(f"gap_max_{COMEBACK_DAYS}"),
        nw.col("gap").median().alias("gap_median"),
        *(
            nw.col("gap").quantile(q, interpolation="linear").alias(f"gap_q{round(100 * q)}")
            for q in GAP_QUANTILES
        ),
    ]


def visit_features(columns: list[str]) -> list[nw.Expr]:
    """Return the features of a customer, from aggregates as floats.

    Parameters
    ----------
    columns
        Columns of the visits.
    """
    return [
        *_frequency_features(),
        *_gap_features(),
        *_inactivity_features(),
        *_gap_comparisons(),
        *_line_features(),
        *((nw.col(f"on_{k}") / nw.col("visits")).alias(f"weekday_share_{k}") for k in range(7)),
        *(
            nw.col(name).alias(name.removeprefix("new_"))
            for name in columns
            if name.startswith("new_")
        ),
        *(_spend_features() if "spend_units" in columns else ()),
        *(_discount_features() if {"spend_units", "discount_units"} <= set(columns) else ()),
    ]


def _frequency_features() -> list[nw.Expr]:
    visits, tenure = nw.col("visits"), nw.col("tenure")
    return [
        nw.col("recency"),
        tenure,
        visits,
        *(nw.col(f"in_{days}").alias(f"visits_{days}") for days in WINDOWS_DAYS),
        *(
            (nw.col(f"decayed_{days}") / WEIGHT_UNIT).alias(f"visits_decayed_{days}")
            for days in HALF_LIVES_DAYS
        ),
        (visits / tenure.clip(lower_bound=1.0)).alias("visit_rate"),
        (3 * (nw.col("in_28") + 1) / (nw.col("in_84") + 3)).alias("visits_trend"),
    ]


def _gap_mean() -> nw.Expr:
    return ratio(nw.col("gap"), nw.col("gaps"))


def _gap_features() -> list[nw.Expr]:
    mean = _gap_mean()
    variance = ratio(nw.col("gap_squared"), nw.col("gaps")) - mean * mean
    return [
        mean.alias("gap_mean"),
        variance.clip(lower_bound=0.0).sqrt().alias("gap_sd"),
        nw.col("gap_median"),
        *(nw.col(f"gap_q{round(100 * q)}") for q in GAP_QUANTILES),
        nw.col("gap_max"),
        nw.col(f"gap_max_{COMEBACK_DAYS}"),
        nw.col("gap_last"),
    ]


def _inactivity_features() -> list[nw.Expr]:
    """Return measures of inactivity that count the present gap as one of the customer's gaps.

    Each of them falls or stays with a further visit and rises with waiting (the counts of gaps as
    long as the present one the other way round). Averages of past gaps do not have this property.
    """
    recency, tenure = nw.col("recency"), nw.col("tenure")
    # Days from the first to the last visit: does not change while a customer is inactive.
    active = tenure - recency
    settled = active + 2 * SETTLING_DAYS
    features = []
    for days in INACTIVITY_BEYOND_DAYS:
        excess = (recency - days).clip(lower_bound=0.0)
        over = (recency >= days).cast(nw.Float64)
        features.append(
            ((nw.col(f"beyond_{days}") + excess) / settled).alias(f"inactivity_beyond_{days}")
        )
        features.append(
            ((nw.col(f"over_{days}") + over) / settled).alias(f"inactivity_spells_over_{days}")
        )
    for k in LAST_VISITS:
        # With fewer visits, the k-th last one is taken to lie a year before the first.
        age = nw.when(nw.col("visits") >= k).then(nw.col(f"age_{k}")).otherwise(tenure + 365)
        features.append(age.alias(f"recency_of_visit_{k}"))
        features.append(
            nw.max_horizontal(f"gap_of_{k}", "recency").alias(f"inactivity_longest_of_{k}")
        )
    features += [
        nw.max_horizontal("gap_max", "recency").alias("inactivity_longest"),
        (recency * nw.col("visits") / (active + SETTLING_DAYS)).alias("inactivity_over_usual"),
        nw.col("as_long").alias("gaps_as_long"),
        ((nw.col("as_long") + 0.5) / (nw.col("gaps") + 1)).alias("gaps_as_long_share"),
        active.alias("tenure_at_last_visit"),
    ]
    return features


def _gap_comparisons() -> list[nw.Expr]:
    """Return features that compare the present gap with the customer's past ones."""
    recency = nw.col("recency")
    return [
        ratio(nw.col("longer_0"), nw.col("gaps")).alias("gaps_longer"),
        *(
            ((nw.col(f"longer_{days}") + 0.5) / (nw.col("longer_0") + 1)).alias(
                f"inactive_{days}_more"
            )
            for days in INACTIVITY_AHEAD_DAYS
        ),
        ratio(recency, _gap_mean()).alias("recency_over_gap_mean"),
        ratio(recency, nw.col("gap_median")).alias("recency_over_gap_median"),
        ratio(recency, nw.col("gap_q90")).alias("recency_over_gap_q90"),
    ]


def _line_features() -> list[nw.Expr]:
    visits, lines = nw.col("visits"), nw.col("lines")
    settled = nw.col("tenure") + SETTLING_DAYS
    return [
        (visits / settled).alias("visits_a_day"),
        (lines / settled).alias("lines_a_day"),
        (lines / visits).alias("lines_per_visit"),
        (nw.col("lines_last") * visits / lines).alias("lines_last_relative"),
        (nw.col("returns") / nw.col("all_lines")).alias("return_share"),
    ]


def _spend_features() -> list[nw.Expr]:
    total = nw.col("spend_fixed") / WEIGHT_UNIT
    per_visit = total / nw.col("visits")
    recent = nw.col("spend_in_84") / WEIGHT_UNIT / nw.col("in_84").clip(lower_bound=1.0)
    return [
        total.alias("spend_total"),
        nw.col("returned_spend"),
        *((nw.col(f"spend_in_{n}") / WEIGHT_UNIT).alias(f"spend_{n}") for n in WINDOWS_DAYS),
        (total / (nw.col("tenure") + SETTLING_DAYS)).alias("spend_a_day"),
        per_visit.alias("spend_per_visit"),
        ratio(recent, per_visit).alias("spend_trend"),
        *(
            (nw.col(f"spend_decayed_{days}") / WEIGHT_UNIT).alias(f"spend_decayed_{days}")
            for days in SPEND_HALF_LIVES_DAYS
        ),
    ]


def _discount_features() -> list[nw.Expr]:
    undiscounted = nw.col("discount_units") + nw.col("spend_units")
    return [ratio(nw.col("discount_units"), undiscounted).alias("discount_share")]
