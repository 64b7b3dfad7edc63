"""Cold start: series without sales are forecast from analogues.

A dataset, a grain and an instant go in; expected units of new series come out. The analogues of a
new product are earlier new products of its category at the same age, or its own sales at other
locations. They are small, and are published for serving.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.panel import panel
from features.demand.series import GROUPS, THOUSANDTHS, all_series, units_sold
from features.typing import Floats, Ints

# A series that begins in the first days of the records is not new. Series that began long ago are
# not representative of today's assortment.
_BEGUN_DAYS = 28
_RECENT_DAYS = 364
# Number of new series by which the mean of a group is shrunk towards that of the wider group.
_SHRINKAGE = 5.0
# An age that fewer new series have reached takes the mean of the age before.
_LEAST_REACHED = 5
# Days from which a product's rate at other locations and a location's size are measured.
_RATE_DAYS = 56
_LEAST_MEAN = 1e-3
# Names of the files.
_TABLES = ("curves", "products", "locations")
_METADATA = "cold_start.json"


@dataclass(frozen=True)
class ColdStartSales:
    """Expected units of series without sales, and their variation between analogues.

    Attributes
    ----------
    rows
        Positions of the requested series with a forecast, ascending.
    mean, ratio
        Shape (series, periods): expected units, and variance over mean.
    """

    rows: Ints
    mean: Floats
    ratio: Floats


@dataclass(frozen=True)
class Analogues:
    """Statistics of series that began recently, and attributes of products and locations.

    Attributes
    ----------
    grain, steps
        Definition of a series, and number of periods to forecast.
    curves
        `department` and `category` (null: any), and as lists by age `mean` (units of new series)
        and `square` (their mean square).
    products
        The grain's product keys of all known products; their groups; `start`, the period in which
        the first price of the product begins; `rate` and `rate_square`, units per period at a
        location of mean size, if the product has sales.
    locations
        The grain's location keys of all known locations, and `size`: units relative to the mean
        location, null without sales.
    new_size
        Mean and mean square of the size of recently opened locations.
    """

    grain: Grain
    steps: int
    curves: pl.DataFrame
    products: pl.DataFrame
    locations: pl.DataFrame
    new_size: tuple[float, float]

    @classmethod
    def fit(cls, dataset: Dataset, grain: Grain, as_of: AsOf, steps: int) -> Self:
        """Measure the statistics from the records before `as_of`."""
        day = to_day(as_of)
        locations, new_size = _locations(dataset, grain, day)
        products = _products(dataset, grain, day)
        curves = _curves(_new_series(dataset, grain, day, steps), products, steps)
        return cls(grain, steps, curves, products, locations, new_size)

    def forecast(self, series: pl.DataFrame) -> ColdStartSales:
        """Forecast series that have not sold.

        A series begins at the instant, or later if its first price begins later. A product with
        sales at other locations sells its mean rate, scaled by the size of the new location. Any
        other product follows the new products of its category, or of its department or of the
        whole assortment if its category had few.

        Parameters
        ----------
        series
            The grain's keys. Products that are not in the catalogue also need `department` or
            `category`. Without them they are left out, as are unknown locations.
        """
        known = self._described(series)
        mean, square = self._curves_of(known)
        rate, rate_square, size, size_square = (
            known.get_column(name).cast(pl.Float64).to_numpy()[:, None]
            for name in ("rate", "rate_square", "size", "size_square")
        )
        has_rate = ~np.isnan(rate)
        mean = np.maximum(np.where(has_rate, rate, mean), _LEAST_MEAN)
        # The variance is at least that of a Poisson distribution. For a rate at other locations it
        # also includes a variation between locations as large as the squared mean.
        least = np.where(has_rate, 2.0, 1.0) * mean * mean + mean
        square = np.maximum(np.where(has_rate, rate_square, square), least)
        # Rate and size are assumed independent: the mean square of their product is the product
        # of their mean squares.
        variance = square * size_square - (mean * size) ** 2
        mean = mean * size
        age = np.arange(self.steps)[None, :] - known.get_column("start").to_numpy()[:, None]
        column = np.maximum(age, 0)
        ratio = np.take_along_axis(np.maximum(variance, mean) / mean, column, axis=1)
        mean = np.where(age >= 0, np.take_along_axis(mean, column, axis=1), 0.0)
        return ColdStartSales(known.get_column("row").to_numpy(), mean, np.maximum(ratio, 1.001))

    def _curves_of(self, series: pl.DataFrame) -> tuple[Floats, Floats]:
        """Return mean and mean square by age of the finest known group of each series."""
        table = {
            (department, category): (mean, square)
            for department, category, mean, square in self.curves.iter_rows()
        }
        mean, square = np.zeros((series.height, self.steps)), np.zeros((series.height, self.steps))
        groups = [series.get_column(group).to_list() for group in GROUPS]
        for row, (department, category) in enumerate(zip(*groups, strict=True)):
            finest_first = ((department, category), (None, category), (department, None))
            key = next((pair for pair in finest_first if pair in table), (None, None))
            mean[row], square[row] = table[key]
        return mean, square

    def _described(self, series: pl.DataFrame) -> pl.DataFrame:
        """Join what is known of each series; leave out those of which nothing is known."""
        given = [group for group in GROUPS if group in series.columns]
        rows = series.select(*self.grain.keys, *(g for g in given if g not in self.grain.keys))
        rows = rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        product_keys, location_keys = self.grain.product_keys, self.grain.location_keys
        if product_keys:
            has_group = pl.any_horizontal(
                pl.lit(value=False),
                *(pl.col(group).is_not_null() for group in given if group not in product_keys),
            )
            known = self.products.with_columns(known=pl.lit(value=True))
            rows = rows.join(
                known, on=product_keys, how="left", maintain_order="left", suffix="_known"
            )
            rows = rows.filter(pl.col("known").fill_null(value=False) | has_group)
            rows = rows.with_columns(
                pl.coalesce(group, f"{group}_known").alias(group)
                for group in given
                if f"{group}_known" in rows.columns
            )
        if location_keys:
            rows = rows.join(self.locations, on=location_keys, how="inner", maintain_order="left")
        for name in (*GROUPS, "start", "rate", "rate_square", "size"):
            if name not in rows.columns:
                rows = rows.with_columns(pl.lit(None).alias(name))
        mean, square = self.new_size if location_keys and product_keys else (1.0, 1.0)
        return rows.with_columns(
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


def _new_series(dataset: Dataset, grain: Grain, day: int, steps: int) -> pl.DataFrame:
    """Return units of new series by age, with their groups: one row per series and observed age.

    If fewer than `_LEAST_REACHED` series are new, the last periods of all series stand in.
    """
    index = all_series(dataset, grain).index.filter(nw.col("first_day") < day)
    known = index.collect().to_polars()
    first = max(dataset.days[0] + _BEGUN_DAYS, day - _RECENT_DAYS)
    begun = known.filter(pl.col("first_day").is_between(first, day - 2 * grain.days))
    few = begun.height < _LEAST_REACHED
    past = steps if few else max(grain.between(first, day), 1)
    arrays = panel(dataset, grain, day, past, 0, known if few else begun)
    # Age 0 is the first period with sales. It is incomplete, and has at least one unit.
    start = 0 if few else np.argmax(arrays.units > 0, axis=1)[:, None]
    column = np.broadcast_to(start + np.arange(steps), (arrays.index.height, steps))
    past_column = np.minimum(column, past - 1)
    available = np.take_along_axis(arrays.availability, past_column, axis=1) > 0
    row, age = np.nonzero((column < past) & available)
    return pl.DataFrame(
        {
            "age": age,
            # Sums of whole thousandths do not depend on the order of rows.
            "units": arrays.units[row, past_column[row, age]].astype(np.int64),
            **{
                group: arrays.index.get_column(f"in_{group}")[row]
                for group in GROUPS
                if f"in_{group}" in arrays.index.columns
            },
        }
    )


def _curves(new: pl.DataFrame, products: pl.DataFrame, steps: int) -> pl.DataFrame:
    """Compute mean and mean square by age, of all new series and of each group."""
    groups = [g for g in GROUPS if g in new.columns and g in products.columns]
    overall = _moments(new, products, [], None, steps)
    single = {group: _moments(new, products, [group], overall, steps) for group in groups}
    tables = [overall, *single.values()]
    if len(groups) == len(GROUPS):
        tables.append(_moments(new, products, groups, single[groups[0]], steps))
    rows = pl.concat(tables, how="diagonal")
    missing = [pl.lit(None, dtype=pl.String).alias(g) for g in GROUPS if g not in rows.columns]
    curves = rows.with_columns(missing).group_by(GROUPS)
    return curves.agg(pl.col("mean", "square").sort_by("age")).sort(GROUPS)


def _moments(
    new: pl.DataFrame,
    products: pl.DataFrame,
    path: list[str],
    wider: pl.DataFrame | None,
    steps: int,
) -> pl.DataFrame:
    """Compute mean and mean square by group and age, shrunk towards those of a wider group."""
    units = pl.col("units")
    sums = new.group_by(*path, "age").agg(
        pl.len().alias("n"),
        (units.sum() / THOUSANDTHS).alias("total"),
        ((units * units).sum() / THOUSANDTHS**2).alias("squares"),
    )
    cells = pl.DataFrame({"age": np.arange(steps)})
    if path:
        cells = products.select(path).drop_nulls().unique().join(cells, how="cross")
    cells = cells.join(sums, on=[*path, "age"], how="left").sort(*path, "age")
    n, sum_of = pl.col("n").fill_null(0), {"mean": "total", "square": "squares"}
    if wider is None:
        reached = n >= pl.min_horizontal(_LEAST_REACHED, n.max())
        cells = cells.with_columns(
            pl.when(reached & (n > 0))
            .then(pl.col(total) / n)
            .forward_fill()
            .fill_null(0.0)
            .alias(name)
            for name, total in sum_of.items()
        )
    else:
        keys = [column for column in wider.columns if column in (*path, "age")]
        cells = cells.join(wider.select(*keys, *sum_of), on=keys, how="left").with_columns(
            ((pl.col(total).fill_null(0.0) + _SHRINKAGE * pl.col(name)) / (n + _SHRINKAGE)).alias(
                name
            )
            for name, total in sum_of.items()
        )
    return cells.select(*path, "age", *sum_of)


def _products(dataset: Dataset, grain: Grain, day: int) -> pl.DataFrame:
    """Return known products by the product keys: groups, start and rate, see `Analogues`."""
    keys = list(grain.product_keys)
    if not keys:
        return pl.DataFrame()
    sources = ["products", *(("prices", "promotions") if keys == ["product_id"] else ())]
    known = _known(dataset, grain, day, keys, sources)
    groups = [g for g in GROUPS if g not in keys and dataset.has("products", g)]
    if groups and dataset.has("products", *keys):
        catalogue = dataset.table("products").group_by(*keys).agg(nw.col(*groups).min())
        group_names = catalogue.collect().to_polars().with_columns(pl.col(groups).cast(pl.String))
        known = known.join(group_names, on=keys, how="left", maintain_order="left")
    if "product_id" in keys and dataset.has("prices", "product_id", "from_day"):
        first = dataset.table("prices").group_by("product_id").agg(nw.col("from_day").min())
        phase, since = grain.phase(day), pl.col("from_day").clip(lower_bound=day)
        start = (grain.number(since, phase) - int(grain.number(day, phase))).alias("start")
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
        rates = rates.group_by(keys).agg(pl.col("rate", "rate_square").sort().mean())
        known = known.join(rates, on=keys, how="left", maintain_order="left")
    return known


def _locations(
    dataset: Dataset, grain: Grain, day: int
) -> tuple[pl.DataFrame, tuple[float, float]]:
    """Return the size of each known location, and moments of the size of new locations."""
    keys = list(grain.location_keys)
    if not keys:
        return pl.DataFrame(), (1.0, 1.0)
    sources = ["locations", *(("prices", "promotions") if keys == ["location_id"] else ())]
    known = _known(dataset, grain, day, keys, sources)
    recent = units_sold(dataset, grain, day, -_RATE_DAYS // grain.days).collect().to_polars()
    totals = recent.group_by(keys).agg(pl.col("units").sum().round(6))
    mean = totals.get_column("units").sort().mean()
    sizes = totals.select(*keys, size=pl.col("units") / mean)
    first = max(dataset.days[0] + _BEGUN_DAYS, day - _RECENT_DAYS)
    index = all_series(dataset, grain).index.group_by(*keys).agg(nw.col("first_day").min())
    opened = index.filter(nw.col("first_day") >= first, nw.col("first_day") < day)
    recently = sizes.join(opened.collect().to_polars(), on=keys, how="semi")
    new, everywhere = (frame.get_column("size").sort().to_numpy() for frame in (recently, sizes))
    mean_square = float((everywhere**2).mean()) if len(everywhere) else 1.0
    count = len(new) + _SHRINKAGE
    new_size = (
        float(new.sum() + _SHRINKAGE) / count,
        float((new**2).sum() + _SHRINKAGE * mean_square) / count,
    )
    return known.join(sizes, on=keys, how="left", maintain_order="left"), new_size


def _known(
    dataset: Dataset, grain: Grain, day: int, keys: list[str], tables: list[str]
) -> pl.DataFrame:
    """Return the values of some keys with a sale before a day or a row in one of the tables."""
    sold = all_series(dataset, grain).index.filter(nw.col("first_day") < day)
    frames = [sold, *(dataset.table(table) for table in tables if dataset.has(table, *keys))]
    parts = [frame.select(nw.col(*keys).cast(nw.String)).unique() for frame in frames]
    values = pl.concat(part.collect().to_polars() for part in parts)
    return values.drop_nulls().unique().sort(keys)
