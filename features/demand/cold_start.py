"""Former launches in, what a series without a past can be expected to sell out.

Asked by the demand model and by serving for products and locations that have not sold yet. A
look-alike is a former launch of the same category at the same age, or the same product at other
locations; what serving needs of them is small, and is published.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.panel import panel
from features.demand.series import GROUPS, THOUSANDTHS, all_series, units_sold
from features.typing import Floats

# What began with the records was no launch; what began long ago met another assortment.
_BEGUN_DAYS = 28
_RECENT_DAYS = 364
# Launches that a group's mean is shrunk by, towards the wider group's.
_SHRINKAGE = 5.0
# An age that fewer launches have reached tells nothing: the age before it goes on.
_LEAST_REACHED = 5
# Periods by which a product's rate elsewhere, and a location's size, are told.
_RATE_DAYS = 56
_LEAST_MEAN = 1e-3
# Names of the files.
_TABLES = ("curves", "products", "locations")
_METADATA = "metadata.json"


@dataclass(frozen=True)
class ColdStartSales:
    """Expected units of series without a past, and how much they can vary.

    Attributes
    ----------
    rows
        Which of the wanted series these are: those that something is known of, ascending.
    mean, ratio
        Shape (series, periods): expected units, and variance over mean between look-alikes.
    """

    rows: NDArray[np.int64]
    mean: Floats
    ratio: Floats


@dataclass(frozen=True)
class Analogues:
    """What was learned of series that began before an instant.

    Attributes
    ----------
    grain, steps
        What a series is, and how many periods are looked ahead.
    curves
        `department` and `category` (null: of any), and as lists by age `mean` units of such
        launches and `square`, their mean square.
    products
        The grain's product keys of all that is known, sold or not; its groups; `start`, the
        period in which its first price is booked to begin; `rate` and `rate_square` of units a
        period at a location of mean size, where it sells.
    locations
        The grain's location keys of all that is known, and `size`: units over those of the mean
        location, null where nothing was sold.
    new_size
        Mean and mean square of the size of locations that opened lately.
    """

    grain: Grain
    steps: int
    curves: pl.DataFrame
    products: pl.DataFrame
    locations: pl.DataFrame
    new_size: tuple[float, float]

    @classmethod
    def fit(cls, dataset: Dataset, grain: Grain, as_of: AsOf, steps: int) -> Self:
        """Learn from what was known at `as_of`."""
        day = to_day(as_of)
        locations, new_size = _locations(dataset, grain, day)
        products = _products(dataset, grain, day)
        curves = _curves(_launched(dataset, grain, day, steps), products, steps)
        return cls(grain, steps, curves, products, locations, new_size)

    def forecast(self, series: pl.DataFrame) -> ColdStartSales:
        """Say what series that have not sold can be expected to sell.

        A series is taken to begin at the instant, or where its first price is booked to begin
        later. A product that sells elsewhere is expected to sell at a new location what it sells
        at others, by the location's size; any other follows the launches of its category, or of
        its department or of all where those were few.

        Parameters
        ----------
        series
            The grain's keys; and `department` or `category` of products that are in no
            catalogue, which else are left out, as are unknown locations.
        """
        known = self._described(series)
        table = {
            (department, category): (mean, square)
            for department, category, mean, square in self.curves.iter_rows()
        }
        mean, square = np.zeros((known.height, self.steps)), np.zeros((known.height, self.steps))
        groups = [known.get_column(group).to_list() for group in GROUPS]
        for row, (department, category) in enumerate(zip(*groups, strict=True)):
            near = ((department, category), (None, category), (department, None))
            key = next((pair for pair in near if pair in table), (None, None))
            mean[row], square[row] = table[key]
        rate, rate_square, size, size_square = (
            known.get_column(name).cast(pl.Float64).to_numpy()[:, None]
            for name in ("rate", "rate_square", "size", "size_square")
        )
        sells = ~np.isnan(rate)
        mean = np.maximum(np.where(sells, rate, mean), _LEAST_MEAN)
        # No narrower than chance; another location differs from those known as those do.
        least = np.where(sells, 2.0, 1.0) * mean * mean + mean
        square = np.maximum(np.where(sells, rate_square, square), least)
        # Rate and size are taken to be independent: so the mean square is a product too.
        variance = square * size_square - (mean * size) ** 2
        mean = mean * size
        age = np.arange(self.steps)[None, :] - known.get_column("start").to_numpy()[:, None]
        at = np.maximum(age, 0)
        ratio = np.take_along_axis(np.maximum(variance, mean) / mean, at, axis=1)
        mean = np.where(age >= 0, np.take_along_axis(mean, at, axis=1), 0.0)
        return ColdStartSales(known.get_column("row").to_numpy(), mean, np.maximum(ratio, 1.001))

    def _described(self, series: pl.DataFrame) -> pl.DataFrame:
        """Keep series that something is known of; say what, with a column for all there is."""
        asked = [group for group in GROUPS if group in series.columns]
        found = series.select(*self.grain.keys, *(g for g in asked if g not in self.grain.keys))
        found = found.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        what, where = self.grain.product_keys, self.grain.location_keys
        if what:
            given = pl.any_horizontal(
                pl.lit(value=False), *(pl.col(g).is_not_null() for g in asked if g not in what)
            )
            known = self.products.with_columns(known=pl.lit(value=True))
            found = found.join(known, on=what, how="left", maintain_order="left", suffix="_known")
            found = found.filter(pl.col("known").fill_null(value=False) | given)
            found = found.with_columns(
                pl.coalesce(g, f"{g}_known").alias(g)
                for g in asked
                if f"{g}_known" in found.columns
            )
        if where:
            found = found.join(self.locations, on=where, how="inner", maintain_order="left")
        for name in (*GROUPS, "start", "rate", "rate_square", "size"):
            if name not in found.columns:
                found = found.with_columns(pl.lit(None).alias(name))
        mean, square = self.new_size if where and what else (1.0, 1.0)
        return found.with_columns(
            pl.col("start").cast(pl.Int64).fill_null(0),
            pl.col("size").cast(pl.Float64).fill_null(mean),
            (pl.col("size").cast(pl.Float64) ** 2).fill_null(square).alias("size_square"),
        )

    def save(self, folder: Path) -> None:
        """Write three tables and their metadata into a folder."""
        for name in _TABLES:
            getattr(self, name).write_parquet(folder / f"{name}.parquet", compression="zstd")
        metadata = {"grain": str(self.grain), "steps": self.steps, "new_size": self.new_size}
        (folder / _METADATA).write_text(json.dumps(metadata))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        metadata = json.loads((folder / _METADATA).read_text())
        curves, products, locations = (
            pl.read_parquet(folder / f"{name}.parquet") for name in _TABLES
        )
        grain, (mean, square) = Grain.parse(metadata["grain"]), metadata["new_size"]
        return cls(grain, metadata["steps"], curves, products, locations, (mean, square))


def _launched(dataset: Dataset, grain: Grain, day: int, steps: int) -> pl.DataFrame:
    """Units of former launches, a row a launch and age that was seen; their groups.

    Where hardly anything was launched, what all series sold last stands in for it.
    """
    index = all_series(dataset, grain).index.filter(nw.col("first_day") < day)
    known = index.collect().to_polars()
    first = max(dataset.days[0] + _BEGUN_DAYS, day - _RECENT_DAYS)
    begun = known.filter(pl.col("first_day").is_between(first, day - 2 * grain.days))
    few = begun.height < _LEAST_REACHED
    past = steps if few else max((day - first) // grain.days, 1)
    laid_out = panel(dataset, grain, day, past, 0, known if few else begun)
    # The first period is a part of one and sells for sure: a launch is known by its sale.
    start = 0 if few else np.argmax(laid_out.units > 0, axis=1)[:, None]
    column = np.broadcast_to(start + np.arange(steps), (laid_out.index.height, steps))
    at = np.minimum(column, past - 1)
    seen = (column < past) & (np.take_along_axis(laid_out.availability, at, axis=1) > 0)
    row, age = np.nonzero(seen)
    return pl.DataFrame(
        {
            "age": age,
            # Whole thousandths: sums do not depend on the order of rows.
            "units": laid_out.units[row, at[row, age]].astype(np.int64),
            **{
                group: laid_out.index.get_column(f"in_{group}")[row]
                for group in GROUPS
                if f"in_{group}" in laid_out.index.columns
            },
        }
    )


def _curves(launched: pl.DataFrame, wanted: pl.DataFrame, steps: int) -> pl.DataFrame:
    """Mean and mean square by age of all launches and of each group, shrunk to the wider one."""
    groups = [g for g in GROUPS if g in launched.columns and g in wanted.columns]
    whole = _moments(launched, wanted, [], None, steps)
    single = {group: _moments(launched, wanted, [group], whole, steps) for group in groups}
    tables = [whole, *single.values()]
    if len(groups) == len(GROUPS):
        tables.append(_moments(launched, wanted, groups, single[groups[0]], steps))
    found = pl.concat(tables, how="diagonal")
    missing = [pl.lit(None, dtype=pl.String).alias(g) for g in GROUPS if g not in found.columns]
    curves = (
        found.with_columns(missing).group_by(GROUPS).agg(pl.col("mean", "square").sort_by("age"))
    )
    return curves.sort(GROUPS)


def _moments(
    launched: pl.DataFrame,
    wanted: pl.DataFrame,
    path: list[str],
    wider: pl.DataFrame | None,
    steps: int,
) -> pl.DataFrame:
    """Mean and mean square by group and age."""
    units = pl.col("units")
    sums = launched.group_by(*path, "age").agg(
        pl.len().alias("n"),
        (units.sum() / THOUSANDTHS).alias("total"),
        ((units * units).sum() / THOUSANDTHS**2).alias("squares"),
    )
    cells = pl.DataFrame({"age": np.arange(steps)})
    if path:
        cells = wanted.select(path).drop_nulls().unique().join(cells, how="cross")
    cells = cells.join(sums, on=[*path, "age"], how="left").sort(*path, "age")
    n, parts = pl.col("n").fill_null(0), {"mean": "total", "square": "squares"}
    if wider is None:
        reached = n >= pl.min_horizontal(_LEAST_REACHED, n.max())
        cells = cells.with_columns(
            pl.when(reached & (n > 0))
            .then(pl.col(of) / n)
            .forward_fill()
            .fill_null(0.0)
            .alias(name)
            for name, of in parts.items()
        )
    else:
        on = [column for column in wider.columns if column in (*path, "age")]
        cells = cells.join(wider.select(*on, *parts), on=on, how="left").with_columns(
            ((pl.col(of).fill_null(0.0) + _SHRINKAGE * pl.col(name)) / (n + _SHRINKAGE)).alias(name)
            for name, of in parts.items()
        )
    return cells.select(*path, "age", *parts)


def _products(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame:
    """Describe what is known by the product keys: groups, start, rate where it sells."""
    what = list(grain.product_keys)
    if not what:
        return pl.DataFrame()
    sources = ["products", *(("prices", "promotions") if what == ["product_id"] else ())]
    known = _known(dataset, grain, day, what, sources)
    groups = [g for g in GROUPS if g not in what and dataset.has("products", g)]
    if groups and dataset.has("products", *what):
        catalogue = dataset.table("products").group_by(*what).agg(nw.col(*groups).min())
        named = catalogue.collect().to_polars().with_columns(pl.col(groups).cast(pl.String))
        known = known.join(named, on=what, how="left", maintain_order="left")
    if "product_id" in what and dataset.has("prices", "product_id", "from_day"):
        first = dataset.table("prices").group_by("product_id").agg(nw.col("from_day").min())
        start = ((pl.col("from_day") - day).clip(lower_bound=0) // grain.days).alias("start")
        starts = first.collect().to_polars().select("product_id", start)
        known = known.join(starts, on="product_id", how="left", maintain_order="left")
    if grain.location_keys:
        periods = _RATE_DAYS // grain.days
        recent = units_sold(dataset, grain, day, -periods).collect().to_polars()
        units = pl.col("units")
        rates = recent.group_by(grain.keys).agg(
            (units.sum().round(6) / periods).alias("rate"),
            ((units * units).sum().round(6) / periods).alias("rate_square"),
        )
        rates = rates.group_by(what).agg(pl.col("rate", "rate_square").sort().mean())
        known = known.join(rates, on=what, how="left", maintain_order="left")
    return known


def _locations(
    dataset: Dataset, grain: Grain, day: int
) -> tuple[pl.DataFrame, tuple[float, float]]:
    """Say how large each known location is, and how large those are that opened lately."""
    where = list(grain.location_keys)
    if not where:
        return pl.DataFrame(), (1.0, 1.0)
    sources = ["locations", *(("prices", "promotions") if where == ["location_id"] else ())]
    known = _known(dataset, grain, day, where, sources)
    recent = units_sold(dataset, grain, day, -_RATE_DAYS // grain.days).collect().to_polars()
    totals = recent.group_by(where).agg(pl.col("units").sum().round(6))
    mean = totals.get_column("units").sort().mean()
    sizes = totals.select(*where, size=pl.col("units") / mean)
    first = max(dataset.days[0] + _BEGUN_DAYS, day - _RECENT_DAYS)
    index = all_series(dataset, grain).index.group_by(*where).agg(nw.col("first_day").min())
    opened = index.filter(nw.col("first_day") >= first, nw.col("first_day") < day)
    recently = sizes.join(opened.collect().to_polars(), on=where, how="semi")
    of_new, of_all = (frame.get_column("size").sort().to_numpy() for frame in (recently, sizes))
    usual = float((of_all**2).mean()) if len(of_all) else 1.0
    count = len(of_new) + _SHRINKAGE
    new_size = (
        float(of_new.sum() + _SHRINKAGE) / count,
        float((of_new**2).sum() + _SHRINKAGE * usual) / count,
    )
    return known.join(sizes, on=where, how="left", maintain_order="left"), new_size


def _known(
    dataset: Dataset, grain: Grain, day: int, keys: list[str], tables: list[str]
) -> pl.DataFrame:
    """Name the values of some keys that sold before a day or stand in one of the tables."""
    sold = all_series(dataset, grain).index.filter(nw.col("first_day") < day)
    frames = [sold, *(dataset.table(table) for table in tables if dataset.has(table, *keys))]
    parts = [frame.select(nw.col(*keys).cast(nw.String)).unique() for frame in frames]
    found = pl.concat(part.collect().to_polars() for part in parts)
    return found.drop_nulls().unique().sort(keys)
