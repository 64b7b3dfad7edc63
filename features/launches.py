"""Former launches in, what a series without a past can be expected to sell out.

Asked by the demand model for products and locations that have not sold yet. A look-alike is a
former launch of the same category at the same age, or the same product at other locations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.grain import Grain
from features.panel import panel
from features.series import GROUPS, THOUSANDTHS, all_series, units_sold, with_attributes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# What began with the records was no launch; what began long ago met another assortment.
_BEGUN_DAYS = 28
_RECENT_DAYS = 364
# Launches that a group's mean is shrunk by, towards the wider group's.
_SHRINKAGE = 5.0
# Periods by which a product's rate elsewhere, and a location's size, are told.
_RATE_DAYS = 56
_LEAST_MEAN = 1e-3


@dataclass(frozen=True)
class LookAlikes:
    """Expected units of series without a past, and how much they can vary.

    Attributes
    ----------
    keys
        The series: those of the wanted ones that are in the catalogue or in a plan.
    mean, ratio
        Shape (series, periods): expected units, and variance over mean between look-alikes.
    """

    keys: pl.DataFrame
    mean: Floats
    ratio: Floats


def look_alikes(
    dataset: Dataset, grain: Grain, as_of: AsOf, steps: int, series: pl.DataFrame
) -> LookAlikes:
    """Say what series that have not sold before `as_of` can be expected to sell.

    A series is taken to begin at `as_of`, or where its first price or promotion is booked to
    begin later. A product that sells elsewhere is expected to sell at a new location what it
    sells at others, by the location's size; any other follows the launches of its category, or
    of its department or of all where those were few. What is in no catalogue and in no plan is
    left out.
    """
    day = to_day(as_of)
    keys, groups = _described(dataset, grain, series)
    launched = _Launches.read(dataset, grain, day, steps)
    start = _starts(dataset, grain, day, keys)
    ages = np.arange(steps)[None, :] - start[:, None]
    mean, ratio = launched.curves(groups, np.maximum(ages, 0))
    size = _sizes(dataset, grain, day, keys)
    mean = mean * size[:, None]
    elsewhere, spread = _elsewhere(dataset, grain, day, keys)
    found = ~np.isnan(elsewhere)
    mean[found] = (elsewhere * size)[found, None]
    ratio[found] = np.maximum(spread[found, None], 1 + mean[found])
    mean = np.where(ages >= 0, mean, 0.0)
    return LookAlikes(keys, mean, np.maximum(ratio, 1.001))


def _described(
    dataset: Dataset, grain: Grain, series: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, list[str | None]]]:
    """Keep series that something is known of, and name their groups."""
    keys = series.select(grain.keys).unique().sort(grain.keys)
    for column, tables in (
        ("product_id", ("products", "prices", "promotions")),
        ("location_id", ("locations", "prices", "promotions", dataset.records)),
    ):
        if column in grain.keys:
            known = [
                dataset.table(t).select(nw.col(column).cast(nw.String)).collect().to_polars()
                for t in tables
                if dataset.has(t, column)
            ]
            if known:
                keys = keys.join(pl.concat(known).unique(), on=column, how="semi")
    keys = keys.sort(grain.keys)
    named = {g: g for g in GROUPS if dataset.has("products", g)}
    groups: dict[str, list[str | None]] = {}
    frame = keys.with_row_index("row")
    if named and grain.product_keys:
        lazy = nw.from_native(frame.lazy())
        wanted = tuple(g for g in named if g not in grain.keys)
        if "product_id" in grain.keys:
            frame = with_attributes(dataset, lazy, wanted).collect().to_polars().sort("row")
        groups = {g: frame.get_column(g).to_list() for g in named if g in frame.columns}
    return keys, groups


@dataclass(frozen=True)
class _Launches:
    """Units of former launches by age, shape (launches, ages), NaN where not seen yet."""

    units: Floats
    groups: dict[str, list[str | None]]

    @classmethod
    def read(cls, dataset: Dataset, grain: Grain, day: int, steps: int) -> "_Launches":
        index = all_series(dataset, grain).index.collect().to_polars()
        first = max(dataset.days[0] + _BEGUN_DAYS, day - _RECENT_DAYS)
        begun = index.filter(pl.col("first_day").is_between(first, day - 2 * grain.days))
        past = max((day - first) // grain.days, 1)
        laid_out = panel(dataset, grain, day, past, 0, begun)
        column = np.argmax(laid_out.units > 0, axis=1)[:, None] + np.arange(steps)[None, :]
        inside = column < past
        at = np.minimum(column, past - 1)
        units = np.take_along_axis(laid_out.units, at, axis=1) / THOUSANDTHS
        is_open = np.take_along_axis(laid_out.open, at, axis=1)
        units = np.where(inside & (is_open > 0), units, np.nan)
        groups = {
            g: laid_out.index.get_column(f"in_{g}").to_list()
            for g in GROUPS
            if f"in_{g}" in laid_out.index.columns
        }
        return cls(units, groups)

    def curves(self, groups: dict[str, list[str | None]], ages: Ints) -> tuple[Floats, Floats]:
        """Mean units, and variance over mean, at each age for series of some groups."""
        steps = ages.shape[1]
        whole = self._moments(np.ones(len(self.units), dtype=bool), np.zeros((2, steps)), 0.0)
        tables = [whole]
        which = np.zeros(len(ages), dtype=np.int64)
        for group in GROUPS:  # from wide to narrow
            if group not in groups or group not in self.groups:
                continue
            of = np.array(self.groups[group], dtype=object)
            wider = which.copy()
            for value in sorted({v for v in groups[group] if v is not None}):
                rows = np.array([v == value for v in groups[group]])
                for parent in np.unique(wider[rows]):
                    tables.append(self._moments(of == value, tables[parent], _SHRINKAGE))
                    which[rows & (wider == parent)] = len(tables) - 1
        stacked = np.stack(tables)[which]
        mean = np.take_along_axis(stacked[:, 0], np.minimum(ages, steps - 1), axis=1)
        square = np.take_along_axis(stacked[:, 1], np.minimum(ages, steps - 1), axis=1)
        mean = np.maximum(mean, _LEAST_MEAN)
        return mean, np.maximum(square - mean * mean, mean) / mean

    def _moments(self, rows: NDArray[np.bool_], wider: Floats, shrinkage: float) -> Floats:
        """Mean and mean square by age, shrunk to the wider group's."""
        own = self.units[rows]
        seen = ~np.isnan(own)
        count = seen.sum(axis=0)
        # The first period is a part of one and sells for sure: a launch is known by its sale.
        total = np.where(seen, own, 0.0)
        sums = np.stack([total.sum(axis=0), (total * total).sum(axis=0)])
        found: Floats = (sums + shrinkage * wider) / np.maximum(count + shrinkage, 1.0)
        return found


def _starts(dataset: Dataset, grain: Grain, day: int, keys: pl.DataFrame) -> Ints:
    """Period in which each series begins: that of its first booked price or promotion."""
    starts = np.zeros(keys.height, dtype=np.int64)
    if "product_id" not in grain.keys:
        return starts
    firsts = []
    for table in ("prices", "promotions"):
        if dataset.has(table, "product_id", "from_day"):
            own = dataset.table(table).group_by("product_id").agg(nw.col("from_day").min())
            firsts.append(own.collect().to_polars())
    if firsts:
        both = pl.concat(firsts).group_by("product_id").agg(pl.col("from_day").min())
        joined = keys.join(both, on="product_id", how="left", maintain_order="left")
        first = joined.get_column("from_day").fill_null(day).to_numpy().astype(np.int64)
        starts = np.maximum(first - day, 0) // grain.days
    return starts


def _sizes(dataset: Dataset, grain: Grain, day: int, keys: pl.DataFrame) -> Floats:
    """Size of each series' location over the mean of all; 1 for one that has not sold."""
    if "location_id" not in grain.keys:
        return np.ones(keys.height)
    recent = units_sold(dataset, grain, day, -_RATE_DAYS // grain.days).collect().to_polars()
    totals = recent.group_by("location_id").agg(pl.col("units").sum().round(6))
    scaled = totals.with_columns(size=pl.col("units") / totals.get_column("units").sort().mean())
    joined = keys.join(scaled, on="location_id", how="left", maintain_order="left")
    found: Floats = joined.get_column("size").fill_null(1.0).to_numpy()
    return found


def _elsewhere(
    dataset: Dataset, grain: Grain, day: int, keys: pl.DataFrame
) -> tuple[Floats, Floats]:
    """Units a period of each series' product per location of mean size, and their spread."""
    nothing = np.full(keys.height, np.nan)
    others: Sequence[str] = [k for k in grain.keys if k not in ("location_id", "region", "channel")]
    if not others or len(others) == len(grain.keys):
        return nothing, nothing
    periods = _RATE_DAYS // grain.days
    recent = units_sold(dataset, grain, day, -periods).collect().to_polars()
    rates = recent.group_by(grain.keys).agg(
        pl.col("units").sum().round(6) / periods, (pl.col("units") ** 2).sum().alias("squares")
    )
    means = rates.group_by(others).agg(
        pl.col("units").sort().mean().alias("mean"),
        (pl.col("squares").sort().mean() / periods).alias("square"),
    )
    joined = keys.join(means, on=others, how="left", maintain_order="left")
    mean = joined.get_column("mean").cast(pl.Float64).to_numpy()
    square = joined.get_column("square").cast(pl.Float64).to_numpy()
    return mean, np.maximum(square - mean * mean, mean) / np.maximum(mean, _LEAST_MEAN)
