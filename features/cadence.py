"""How often things happen in a dataset's records; the one place where that is measured.

A dataset and an instant in, the periods and the season of its sales, the gaps between its
customers' visits and the horizons that suit them out. Tasks take their default questions from
here, and `foresell data show` prints the reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import narwhals as nw
import numpy as np
import polars as pl
from scipy import stats

from features.calendar import day_start, step_days, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import units_by_period
from features.memo import memo
from features.typing import Floats

# Horizons that people plan by: weeks up to six, two months, a quarter, half a year, ...
LADDER_WEEKS = (1, 2, 3, 4, 5, 6, 8, 13, 26, 39, 52)
# A horizon leaves room for so many judged windows of its own length.
FOLDS = 3
# The horizon holds the usual gap of so large a part of the customers who came back. A line at
# the 90th percentile of gaps is the common rule of thumb for when silence means leaving; of
# each customer's median, since of all gaps together those of the most frequent are the most.
USUAL_FOR = 0.9
# With fewer customers who came back there is no telling, and the horizon is four weeks.
MIN_RETURNED = 30
UNKNOWN_DAYS = 28
# A week's course is read from the last year, once there are so many weeks; a year's from the
# last three, once there are two.
WEEKDAYS, YEAR_WEEKS = 7, 52
FEWEST_WEEKS = 8
# A season is believed where chance would show one like it this seldom.
BY_CHANCE = 0.001


@dataclass(frozen=True)
class Cadence:
    """What was measured of the records before an instant.

    Attributes
    ----------
    history_days
        Days from the first record to the instant.
    customer_days
        Days from the first purchase of a known customer to it; 0 where there is none.
    period_days
        7 where records are dated by weeks, MONTH_DAYS where by months, else 1.
    usual_gap_days
        The gap between visits that nine in ten of those who came back usually do not exceed: the
        90th percentile, over customers, of the median of a customer's gaps. None where too few
        came back to tell.
    """

    history_days: int
    customer_days: int
    period_days: int
    usual_gap_days: float | None


@dataclass(frozen=True)
class Horizon:
    """A chosen horizon, and the sentence that says why."""

    days: int
    reason: str


@dataclass(frozen=True)
class Season:
    """What comes round in demand.

    Attributes
    ----------
    periods
        Periods of the grain after which it does: 7 days, 52 weeks, or 1 where nothing does.
    reason
        What in the records says so.
    """

    periods: int
    reason: str


def cadence(dataset: Dataset, as_of: datetime | None = None) -> Cadence:
    """Measure what was known at `as_of`, by default the dataset's end."""
    day = to_day(dataset.end if as_of is None else as_of)
    return _measure(dataset, day)


def purchase_horizon(
    known: Cadence,
    history: Callable[[int], int],
    *,
    gaps: int = 1,
    shortest_days: int = 7,
) -> Horizon:
    """Choose how far ahead to look at a customer: a step of the ladder that fits their gaps.

    Parameters
    ----------
    known
        The rhythm of the records.
    history
        Days of records that a model needs before the first judged window, by horizon.
    gaps
        How many usual gaps the horizon holds.
    shortest_days
        The shortest horizon that the question allows.

    Returns
    -------
    Horizon
        The least step of the ladder that holds so many usual gaps, but none that leaves too
        little history for training and three judged windows.
    """
    ladder = [7 * weeks for weeks in LADDER_WEEKS if 7 * weeks >= shortest_days]
    wanted = UNKNOWN_DAYS if known.usual_gap_days is None else _step_up(known.usual_gap_days)
    days = next((step for step in ladder if step >= gaps * wanted), ladder[-1])
    if known.usual_gap_days is None:
        reason = "too few customers came back to measure their gaps"
    else:
        reason = (
            f"nine in ten customers who came back usually do within {known.usual_gap_days:.0f} days"
        )
        if gaps > 1:
            reason += f", and {gaps} times the horizon that holds this is followed"
    fitting = [s for s in ladder if history(s) + FOLDS * s <= known.customer_days]
    if days > max(fitting, default=ladder[0]):
        reason += f"; {days} days would need more than {known.customer_days} days of history"
        days = max(fitting, default=ladder[0])
    return Horizon(days, reason)


def demand_season(dataset: Dataset, grain: Grain, as_of: datetime | None = None) -> Season:
    """Say what season the units sold before `as_of` show.

    In days it can be that of the week, in weeks that of the year; or there is none.
    """
    return _demand_season(dataset, grain, to_day(dataset.end if as_of is None else as_of))


@memo("orders", "sales", "products", "locations")
def _demand_season(dataset: Dataset, grain: Grain, day: int) -> Season:
    units = units_by_period(dataset, grain, day).filter(nw.col("block") < day // grain.days)
    sums = units.group_by("block").agg(nw.col("units").sum()).collect().to_polars()
    if sums.is_empty():
        return Season(1, "no season: nothing was sold")
    block = sums.get_column("block").to_numpy()
    sold = np.zeros(day // grain.days - int(block.min()))
    sold[block - int(block.min())] = sums.get_column("units").to_numpy()
    return _weekly_course(sold) if grain.freq == "day" else _yearly_course(sold)


def _weekly_course(sold: Floats) -> Season:
    """Test whether weekdays differ (F test), each day taken against the week around it."""
    sold = sold[-YEAR_WEEKS * WEEKDAYS :]
    if len(sold) < FEWEST_WEEKS * WEEKDAYS:
        return Season(1, f"no season: {len(sold)} days cannot tell that of the week")
    around = np.convolve(sold, np.full(WEEKDAYS, 1 / WEEKDAYS), mode="valid")
    days = np.flatnonzero(around > 0)
    share = sold[days + WEEKDAYS // 2] / around[days]
    by_day = [share[days % WEEKDAYS == weekday] for weekday in range(WEEKDAYS)]
    within = sum(float(((one - one.mean()) ** 2).sum()) for one in by_day if len(one))
    explained = 1 - within / max(float(((share - share.mean()) ** 2).sum()), 1e-12)
    free = max(len(share) - WEEKDAYS, 1)
    ratio = explained / (WEEKDAYS - 1) / max((1 - explained) / free, 1e-12)
    told = f"weekdays explain {max(explained, 0.0):.0%} of how days differ"
    if stats.f.sf(ratio, WEEKDAYS - 1, free) < BY_CHANCE:
        return Season(WEEKDAYS, f"season of 7 days: {told}")
    return Season(1, f"no season: {told}, as chance would")


def _yearly_course(sold: Floats) -> Season:
    """Test whether weeks are like those of a year before, their common trend apart.

    Weeks that follow each other are alike, in both years and in what the former leaves of the
    latter, and count for fewer (Bartlett 1935).
    """
    sold = sold[-3 * YEAR_WEEKS :]
    if len(sold) < 2 * YEAR_WEEKS:
        return Season(1, f"no season: {len(sold)} weeks cannot tell that of the year")
    level, weeks = np.log1p(sold), np.arange(len(sold))
    rest = level - np.polyval(np.polyfit(weeks, level, 1), weeks)
    if rest.std() < 1e-9:
        return Season(1, "no season: all weeks are alike")
    now, before = rest[YEAR_WEEKS:], rest[:-YEAR_WEEKS]
    alike = float(np.corrcoef(now, before)[0, 1])
    left = now - np.polyval(np.polyfit(before, now, 1), before)
    near = max(_near(left) * _near(before), 0.0)
    count = max(len(now) * (1 - near) / (1 + near), 4.0)
    score = alike * np.sqrt((count - 2) / max(1 - alike**2, 1e-12))
    told = f"weeks resemble those of the year before with a correlation of {alike:.2f}"
    if stats.t.sf(score, count - 2) < BY_CHANCE:
        return Season(YEAR_WEEKS, f"season of 52 weeks: {told}")
    return Season(1, f"no season: {told}, as chance would")


def _near(values: Floats) -> float:
    """Correlation of neighbours; 0 where nothing varies."""
    if values.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


def _step_up(days: float) -> int:
    last = 7 * LADDER_WEEKS[-1]
    return next((7 * weeks for weeks in LADDER_WEEKS if 7 * weeks >= days), last)


@memo()
def _measure(dataset: Dataset, day: int) -> Cadence:
    records = dataset.known(dataset.records, day_start(day))
    days = records.select("day").unique().collect().to_polars().get_column("day")
    visits = _visits(dataset, day)
    first = visits.get_column("day").min()
    gaps = _median_gaps(visits)
    return Cadence(
        history_days=max(day - dataset.days[0], 0),
        customer_days=0 if first is None else day - int(first),  # type: ignore[arg-type]
        period_days=step_days(days.to_list()),
        usual_gap_days=gaps.quantile(USUAL_FOR, "linear") if gaps.len() >= MIN_RETURNED else None,
    )


def _visits(dataset: Dataset, day: int) -> pl.DataFrame:
    """Days on which known customers bought."""
    if not dataset.has("orders", "customer_id"):
        return pl.DataFrame(schema={"customer_id": pl.String, "day": pl.Int32})
    bought = dataset.known("orders", day_start(day)).filter(
        ~nw.col("customer_id").is_null(), nw.col("kind") != "return"
    )
    return bought.select("customer_id", "day").unique().collect().to_polars()


def _median_gaps(visits: pl.DataFrame) -> pl.Series:
    """Median days between the visits of each customer with two or more."""
    gap = pl.col("day") - pl.col("day").shift(1).over("customer_id")
    gaps = visits.sort("customer_id", "day").with_columns(gap=gap).drop_nulls("gap")
    return gaps.group_by("customer_id").agg(pl.col("gap").median()).get_column("gap")
