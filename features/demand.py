"""A dataset, a grain and an instant in, one row a series and future period with features out.

Read by the demand model when it is trained, scored and published: one function for all three.
The first word of a feature's name says what it tells: level, trend, season, holiday,
promotion, price or group.
"""

from collections.abc import Iterable

import narwhals as nw
import polars as pl
from narwhals.typing import IntoFrame

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.grain import Grain
from features.prices import planned_prices
from features.promotion_effects import promotion_effects, with_promotions
from features.promotions import kinds, promotion_shares
from features.recency import DECAYS, LOOKBACK_DAYS, WHOLE, lag_weights, weight_sums
from features.season import season
from features.series import GROUPS, THOUSANDTHS, Frame, all_series, held, units_by_period

PREFIXES = ("level_", "trend_", "season_", "holiday_", "promotion_", "price_", "group_")

# A booked plan is followed this far beyond the records, so that all origins share one table.
PLAN_DAYS = 371
# Forecasts are multiples of a series' level; a series that has stopped selling has this one.
LOWEST_LEVEL = 0.02

_WINDOWS = {"day": (7, 14, 28, 56, 112), "week": (1, 2, 4, 8, 13, 26)}
_SHARES = {"day": (28, 112), "week": (8, 26)}
_SPREAD = {"day": 56, "week": 13}
_TREND = {"day": (28, 112), "week": (4, 13)}
# Weight of the newest week in each mean of one weekday.
_WEEKDAY_DECAYS = {"fast": 0.5, "slow": 0.15}


def demand(
    dataset: Dataset,
    grain: Grain,
    as_of: AsOf,
    horizon_days: int,
    series: IntoFrame | None = None,
    *,
    country: str = "US",
) -> nw.LazyFrame[pl.LazyFrame]:
    """Describe what is known at `as_of` of the demand in each period of the horizon.

    Sales count up to the day before `as_of`; promotions and prices are plans, and count as
    far as they reach.

    Parameters
    ----------
    dataset, grain, as_of
        The records, what a series is, and the instant; period 0 begins on its day.
    horizon_days
        How far ahead, in days: a multiple of the grain's period.
    series
        The series wanted, in the grain's key columns; by default all that have sold.
    country
        ISO code of the country whose public holidays count.

    Returns
    -------
    narwhals.LazyFrame
        The grain's keys, `day` (first day of the period), `step` (0 is the first period),
        `age` (periods since the first sale), `sold_periods` (of the last year's) and
        `level_now` (units a period), then the features; sorted by keys and step. Series
        without a sale before `as_of` have no row.

    Raises
    ------
    InvalidInput
        If the horizon is not a multiple of the period.
    MissingData
        If the records lack a key of the grain.
    """
    origin, length, steps = to_day(as_of), grain.days, grain.periods(horizon_days)
    block = (origin - origin % length) // length
    index = _wanted(dataset, grain, origin, series)
    past = _past(dataset, grain, origin, index)
    known = _at_origin(grain, index, past)
    for group in _present(index, GROUPS):
        known = known.join(
            _group_trend(dataset, grain, origin, group), on=f"in_{group}", how="left"
        )
    names = kinds(dataset) if grain.product_keys else []
    if names:
        plan = promotion_shares(dataset, grain, origin, _plan_end(dataset, origin + horizon_days))
        plan = plan.join(known.select("series", "age", "level_now"), on="series", how="inner")
        effects = promotion_effects(grain, known, past, plan, block, names)
        known = known.join(effects, on="series", how="left")
    known = held(known)

    days = [origin + length * step for step in range(steps)]
    frame = known.join(_steps(days, length, block, country), how="cross")
    if grain.freq == "day":
        frame = _with_weekdays(dataset, grain, frame, past, origin)
    if names:
        frame = with_promotions(frame, plan.drop("age", "level_now"), names)
    if dataset.has("prices") and "product_id" in grain.keys:
        prices = planned_prices(dataset, grain, origin, steps, index)
        frame = frame.join(prices, on=["series", "step"], how="left")
    first = [*grain.keys, "day", "step", "age", "sold_periods", "level_now"]
    renamed = frame.rename({f"in_{g}": f"group_{g}" for g in _present(frame, GROUPS)})
    names = renamed.collect_schema().names()
    features = sorted(name for name in names if name.startswith(PREFIXES) and name not in first)
    return renamed.select(*first, *features).sort(*grain.keys, "step")


def _present(frame: Frame, groups: Iterable[str]) -> list[str]:
    columns = frame.collect_schema().names()
    return [group for group in groups if f"in_{group}" in columns]


def _plan_end(dataset: Dataset, end: int) -> int:
    return max(dataset.days[1] + 1 + PLAN_DAYS, end)


def _wanted(dataset: Dataset, grain: Grain, origin: int, series: IntoFrame | None) -> Frame:
    index = all_series(dataset, grain).index.filter(nw.col("first_day") < origin)
    if series is not None:
        native = nw.from_native(series).lazy().collect().to_polars().lazy()
        wanted = nw.from_native(native).select(*grain.keys).unique()
        index = index.join(wanted, on=list(grain.keys), how="semi")
    return held(
        index.with_columns(((origin - nw.col("first_day") - 1) // grain.days + 1).alias("age"))
    )


def _past(dataset: Dataset, grain: Grain, origin: int, index: Frame) -> Frame:
    """Select sales of the last year: `series`, `lag` (1 is the last period), `units`."""
    block = (origin - origin % grain.days) // grain.days
    units = units_by_period(dataset, grain, origin)
    lag = (block - nw.col("block")).cast(nw.Int64)
    recent = units.with_columns(lag.alias("lag")).filter(
        nw.col("lag") >= 1, nw.col("lag") <= LOOKBACK_DAYS // grain.days
    )
    return held(recent.drop("block").join(index.select("series"), on="series", how="semi"))


def _at_origin(grain: Grain, index: Frame, past: Frame) -> Frame:
    """Describe each series at the origin: levels, trends, spread, gaps."""
    windows, freq = _WINDOWS[grain.freq], grain.freq
    units, lag = nw.col("units"), nw.col("lag")
    sums = past.join(lag_weights(grain), on="lag", how="left")
    sums = sums.with_columns(
        (units * units // THOUSANDTHS).alias("squares"),
        *((units * nw.col(f"weight_{d}")).alias(f"weight_{d}") for d in DECAYS[freq]),
    )
    sums = sums.with_columns(
        *(nw.when(lag <= w).then(units).otherwise(0).alias(f"_sum_{w}") for w in windows),
        *(nw.when(lag <= w).then(1).otherwise(0).alias(f"_sold_{w}") for w in _SHARES[freq]),
        *(nw.when(lag == k).then(units).otherwise(0).alias(f"_last_{k}") for k in (1, 2, 3)),
        nw.when(lag <= _SPREAD[freq]).then(nw.col("squares")).otherwise(0).alias("_squares"),
        nw.when(lag <= _SPREAD[freq]).then(units).otherwise(0).alias("_spread"),
        nw.lit(1).alias("sold_periods"),
    )
    added = [c for c in sums.collect_schema().names() if c.startswith("_")]
    sums = sums.group_by("series").agg(
        nw.col(*added, "sold_periods").sum(),
        nw.col(*(f"weight_{d}" for d in DECAYS[freq])).sum(),
        lag.min().alias("_gap"),
    )
    frame = index.join(sums, on="series", how="left").with_columns(
        nw.col("sold_periods", *added, *(f"weight_{d}" for d in DECAYS[freq])).fill_null(0)
    )
    frame = frame.join(weight_sums(grain, frame), on="age", how="left")
    means = {
        f"_mean_{name}": nw.col(f"weight_{name}") / nw.col(f"all_{name}") / THOUSANDTHS
        for name in DECAYS[freq]
    }
    frame = frame.with_columns(expression.alias(name) for name, expression in means.items())
    level = (nw.col("_mean_middle") + nw.col("_mean_slow")) / 2
    lowest = nw.when(level < LOWEST_LEVEL).then(LOWEST_LEVEL).otherwise(level)
    frame = frame.with_columns(lowest.alias("level_now"))

    def relative(total: nw.Expr, periods: int) -> nw.Expr:
        seen = nw.when(nw.col("age") < periods).then(nw.col("age")).otherwise(periods)
        return total / seen / THOUSANDTHS / nw.col("level_now")

    spread = _SPREAD[freq]
    mean, square = relative(nw.col("_spread"), spread), relative(nw.col("_squares"), spread)
    variance = square / nw.col("level_now") - mean * mean
    gap = nw.col("_gap").fill_null(LOOKBACK_DAYS // grain.days + 1)
    return frame.with_columns(
        *(relative(nw.col(f"_sum_{w}"), w).alias(f"trend_mean_{w}") for w in windows),
        *(relative(nw.col(f"_last_{k}"), 1).alias(f"trend_last_{k}") for k in (1, 2, 3)),
        *(
            (nw.col(f"_mean_{name}") / nw.col("level_now")).alias(f"trend_{name}")
            for name in DECAYS[freq]
        ),
        *(
            (
                nw.col(f"_sold_{w}") / nw.when(nw.col("age") < w).then(nw.col("age")).otherwise(w)
            ).alias(f"level_sold_{w}")
            for w in _SHARES[freq]
        ),
        nw.when(variance > 0).then(variance).otherwise(0.0).sqrt().alias("level_spread"),
        gap.cast(nw.Float64).alias("trend_gap"),
        nw.col("age").cast(nw.Float64).alias("trend_age"),
        nw.col("level_now").log().alias("level_log"),
    )


def _group_trend(dataset: Dataset, grain: Grain, origin: int, group: str) -> Frame:
    """Compare a group's sales of the last weeks with those of the last months."""
    short, long = _TREND[grain.freq]
    block = (origin - origin % grain.days) // grain.days
    totals = _group_totals(dataset, grain, origin, group).filter(
        nw.col("block") < block, nw.col("block") >= block - long
    )
    recent = nw.when(nw.col("block") >= block - short).then(nw.col("units")).otherwise(0)
    sums = (
        totals.with_columns(recent.alias("recent"))
        .group_by(f"in_{group}")
        .agg(nw.col("recent").sum(), nw.col("units").sum(), nw.col("block").min().alias("first"))
    )
    seen = block - nw.col("first")
    return sums.select(
        f"in_{group}",
        (
            (nw.col("recent") / nw.when(seen < short).then(seen).otherwise(short))
            / (nw.col("units") / seen)
        ).alias(f"trend_{group}"),
    )


def _group_totals(dataset: Dataset, grain: Grain, origin: int, group: str) -> Frame:
    def build() -> Frame:
        units = units_by_period(dataset, grain, origin)
        members = all_series(dataset, grain).index.select("series", f"in_{group}")
        joined = units.join(members, on="series", how="inner")
        return held(joined.group_by(f"in_{group}", "block").agg(nw.col("units").sum()))

    return dataset.derive(("group_totals", str(grain), origin % grain.days, group), build)


def _steps(days: list[int], length: int, block: int, country: str) -> Frame:
    calendar = season(days, length, country).with_row_index("step")
    frame = calendar.select(
        pl.col("step").cast(pl.Int64),
        "day",
        (pl.col("step").cast(pl.Int64) + block).alias("block"),
        pl.col("step").cast(pl.Float64).alias("season_step"),
        *(pl.col(c).cast(pl.Float64).alias(f"season_{c}") for c in ("week", "month_day")),
        *([pl.col("weekday").cast(pl.Float64).alias("season_weekday")] if length == 1 else []),
        pl.col("to_holiday").cast(pl.Float64).alias("holiday_ahead"),
        pl.col("since_holiday").cast(pl.Float64).alias("holiday_behind"),
    )
    return nw.from_native(frame.lazy())


def _with_weekdays(dataset: Dataset, grain: Grain, frame: Frame, past: Frame, origin: int) -> Frame:
    """Add what sold on the target's weekday: own means, the last two, the group's index."""
    weeks = (nw.col("lag") - 1) // 7  # 0 is the week before the origin
    own = past.with_columns(((7 - nw.col("lag") % 7) % 7).alias("phase"), weeks.alias("weeks"))
    table = {"weeks": list(range(LOOKBACK_DAYS // 7))}
    for name, decay in _WEEKDAY_DECAYS.items():
        table[f"w_{name}"] = [round(WHOLE * decay * (1 - decay) ** k) for k in table["weeks"]]
    own = own.join(nw.from_native(pl.LazyFrame(table)), on="weeks", how="left")
    own = own.with_columns(
        *((nw.col("units") * nw.col(f"w_{d}")).alias(f"_day_{d}") for d in _WEEKDAY_DECAYS),
        *(
            nw.when(nw.col("weeks") == k).then(nw.col("units")).otherwise(0).alias(f"_day_{k}")
            for k in (0, 1)
        ),
    )
    columns = [f"_day_{d}" for d in (*_WEEKDAY_DECAYS, 0, 1)]
    sums = own.group_by("series", "phase").agg(nw.col(*columns).sum())
    frame = frame.with_columns((nw.col("step") % 7).alias("phase"))
    frame = frame.join(held(sums), on=["series", "phase"], how="left")
    scale = {f"_day_{d}": WHOLE * THOUSANDTHS for d in _WEEKDAY_DECAYS}
    scale |= {f"_day_{k}": THOUSANDTHS for k in (0, 1)}
    frame = frame.with_columns(
        (nw.col(c).fill_null(0) / by / nw.col("level_now")).alias(f"season{c}")
        for c, by in scale.items()
    )
    groups = _present(frame, GROUPS[:1])
    if groups:
        group = groups[0]
        totals = _group_totals(dataset, grain, origin, group)
        recent = totals.filter(nw.col("block") < origin, nw.col("block") >= origin - 56)
        phase = (nw.col("block") - origin) % 7
        by_day = recent.with_columns(phase.cast(nw.Int64).alias("phase"))
        by_day = by_day.group_by(f"in_{group}", "phase").agg(nw.col("units").sum().alias("_own"))
        everything = recent.group_by(f"in_{group}").agg(nw.col("units").sum().alias("_all"))
        found = by_day.join(everything, on=f"in_{group}", how="left").select(
            f"in_{group}",
            "phase",
            (7 * nw.col("_own") / nw.col("_all")).alias("season_weekday_index"),
        )
        frame = frame.join(held(found), on=[f"in_{group}", "phase"], how="left")
    return frame.drop("phase")
