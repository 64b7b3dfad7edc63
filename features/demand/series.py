"""Series: order lines or the table `sales` in, units by series and day out.

The dataset's own engine aggregates the records once; the result is small and held in memory.
Units are summed as whole thousandths, which makes sums independent of the order of rows and
features identical on every engine.
"""

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import AsOf, last_covered_day, to_day
from features.dataset import Dataset
from features.demand.grain import LOCATION_KEYS, PRODUCT_KEYS, Grain
from features.errors import MissingData
from features.frames import materialise
from features.memo import memo
from features.returns import has_returns, returned_lines
from features.typing import Floats, Frame

THOUSANDTHS = 1000
GROUPS = ("department", "category")
# The most values of an attribute of locations that groups them, and the fewest locations a value:
# an attribute with more values, or fewer locations, is a name or an address.
_MAX_VALUES, _MIN_LOCATIONS = 50, 2
# Series without a sale in this many days are excluded by default.
SELLING_DAYS = 182
# Series are steady by their sales of at most so many days.
_STEADY_DAYS = 364


@dataclass(frozen=True)
class Series:
    """All series with a sale, and their sales.

    Attributes
    ----------
    index
        One row per series: `series` (its number, valid for one snapshot), the grain's keys, its
        groups (`in_<group>`, null if unknown), the attributes of its location (`at_<attribute>`)
        and `first_day`.
    units
        One row per series and day with sales: `series`, `day`, `units` (int, thousandths).
    returned
        Units of these sales that were returned: `series`, `day` of the sale, `known_day` from whose
        start the return is known, `units`. None without returns.
    """

    index: Frame
    units: Frame
    returned: Frame | None = None

    def known_units(self, day: int) -> Frame:
        """Return `units` less what is known to be returned at the start of a day."""
        return _less_returned(self.units, self.returned, "day", day)


def all_series(dataset: Dataset, grain: Grain) -> Series:
    """Return the series of a dataset at a grain.

    Raises
    ------
    MissingData
        If the dataset lacks a column for a key of the grain.
    """
    return series_by_keys(dataset, grain.keys)


def unit_lines(dataset: Dataset) -> Frame:
    """Return the sold lines whose quantity counts units of a product.

    If the records have products, a line without one (fuel by volume, say) is a purchase without
    units. If they have none, every line counts.
    """
    frame = dataset.table(dataset.records).filter(nw.col("quantity") > 0)
    if dataset.has(dataset.records, "kind"):
        frame = frame.filter(nw.col("kind") == "sale")
    if dataset.has(dataset.records, "product_id"):
        frame = frame.filter(~nw.col("product_id").is_null())
    return frame


def units_by_period(
    dataset: Dataset, grain: Grain, day: int, known_day: int | None = None
) -> Frame:
    """Return units by series and `block`, the number of a period; one period begins at `day`.

    Blocks are numbered as `Grain.number` does. Units are net of the returns known at the
    start of `known_day`, by default `day`.
    """
    phase = grain.phase(day)
    units, returned = _units_by_period(dataset, grain, phase), all_series(dataset, grain).returned
    if returned is not None:
        returned = _with_block(returned, grain, phase)
    return _less_returned(units, returned, "block", day if known_day is None else known_day)


@memo("orders", "sales", "products", "locations")
def _units_by_period(dataset: Dataset, grain: Grain, phase: int) -> Frame:
    blocks = _with_block(all_series(dataset, grain).units, grain, phase)
    return materialise(blocks.group_by("series", "block").agg(nw.col("units").sum()))


def _with_block(units: Frame, grain: Grain, phase: int) -> Frame:
    return units.with_columns(grain.number(nw.col("day"), phase).alias("block"))


def _less_returned(units: Frame, returned: Frame | None, period: str, known_day: int) -> Frame:
    """Subtract from units by series and period what is known to be returned at a day."""
    if returned is None:
        return units
    key = ["series", period]
    known = returned.filter(nw.col("known_day") <= known_day)
    known = known.group_by(*key).agg(nw.col("units").sum().alias("returned"))
    left = (nw.col("units") - nw.col("returned").fill_null(0)).alias("units")
    net = units.join(known, on=key, how="left").with_columns(left).drop("returned")
    return net.filter(nw.col("units") > 0)


def returns_known(dataset: Dataset, grain: Grain, day: int) -> int | None:
    """Return the day by which returns are known, None if there are none: a key of results."""
    return None if all_series(dataset, grain).returned is None else day


def units_sold(
    dataset: Dataset, grain: Grain, day: int, periods: int, known_day: int | None = None
) -> Frame:
    """Return units sold in `periods` periods from `day` on (before it, if negative).

    Returns
    -------
    narwhals.LazyFrame
        The grain's keys, `step` (0 begins at `day`) and `units`, net of the returns known at
        `known_day`, by default the end of these periods; no row without sales.
    """
    block = grain.number(day, grain.phase(day))
    step = (nw.col("block") - block).cast(nw.Int64)
    low, high = min(periods, 0), max(periods, 0)
    known_day = grain.shift(day, high) if known_day is None else known_day
    units = units_by_period(dataset, grain, day, known_day)
    units = units.with_columns(step.alias("step"))
    units = units.filter(nw.col("step") >= low, nw.col("step") < high)
    keyed = units.join(all_series(dataset, grain).index, on="series", how="inner")
    return keyed.select(*grain.keys, "step", (nw.col("units") / THOUSANDTHS).alias("units"))


def units_matrix(
    dataset: Dataset,
    grain: Grain,
    day: int,
    periods: int,
    series: pl.DataFrame,
    known_day: int | None = None,
) -> Floats:
    """Return `units_sold` as an array, shape (series, periods), with zeros for no sales.

    Rows are in the order of `series`, columns in the order of time.
    """
    units = np.zeros((series.height, abs(periods)))
    rows = series.select(grain.keys).with_row_index("row")
    sold = units_sold(dataset, grain, day, periods, known_day).collect().to_polars()
    cells = sold.join(rows, on=grain.keys, how="inner")
    columns = cells.get_column("step").to_numpy() - min(periods, 0)
    units[cells.get_column("row").to_numpy(), columns] = cells.get_column("units").to_numpy()
    return units


def steady_series(
    dataset: Dataset, grain: Grain, day: int, per_period: float = 1.0, periods: int = 28
) -> Frame:
    """Return the keys of series with a mean of at least `per_period` units before `day`.

    The mean is over the last `periods` periods of a year, or as many as the records have.
    """
    periods = min(periods, _STEADY_DAYS // grain.days)
    observed = max(min(periods, grain.between(dataset.days[0], day)), 1)
    block = grain.number(day, grain.phase(day))
    recent = units_by_period(dataset, grain, day).filter(
        nw.col("block") < block, nw.col("block") >= block - observed
    )
    sums = recent.group_by("series").agg(nw.col("units").sum())
    steady = sums.filter(nw.col("units") >= round(per_period * observed * THOUSANDTHS))
    index = all_series(dataset, grain).index.join(steady, on="series", how="semi")
    return index.select(*grain.keys).sort(*grain.keys)


def begun_series(dataset: Dataset, grain: Grain, as_of: AsOf) -> pl.DataFrame:
    """Return the keys of the series with a sale before `as_of`."""
    begun = all_series(dataset, grain).index.filter(nw.col("first_day") < to_day(as_of))
    return begun.select(*grain.keys).collect().to_polars()


def selling_series(dataset: Dataset, grain: Grain, as_of: AsOf) -> pl.DataFrame:
    """Return the keys of the series with a sale in the last 26 weeks before `as_of`."""
    sold = units_sold(dataset, grain, to_day(as_of), -SELLING_DAYS // grain.days)
    return sold.select(*grain.keys).unique().collect().to_polars().sort(grain.keys)


def with_attributes(dataset: Dataset, frame: Frame, columns: tuple[str, ...]) -> Frame:
    """Join attributes of products and locations that the frame lacks.

    Raises
    ------
    MissingData
        If no table has a column; names table and column.
    """
    for table, entity, keys in (
        ("products", "product_id", PRODUCT_KEYS),
        ("locations", "location_id", LOCATION_KEYS),
    ):
        present = frame.collect_schema().names()
        missing = [key for key in columns if key in keys and key not in present]
        for column in missing:
            if entity not in present or not dataset.has(table, column):
                raise MissingData(
                    f"The grain needs the column {column!r}, but dataset {dataset.name} has it "
                    f"neither in its records nor in the table {table!r} with {entity!r}. "
                    "Import it, or choose another grain.",
                    field=f"{table}.{column}",
                )
        if missing:
            attributes = dataset.table(table).select(entity, *missing).unique(entity)
            frame = frame.join(attributes, on=entity, how="left")
    return frame


@memo("orders", "sales", "products", "locations")
def series_by_keys(dataset: Dataset, keys: tuple[str, ...]) -> Series:
    """Build the series of some keys; they do not depend on the length of periods."""
    return _build(dataset, Grain(keys, "day"))


def _build(dataset: Dataset, grain: Grain) -> Series:
    groups = tuple(group for group in _group_levels(grain) if dataset.has("products", group))
    units = _sales(dataset, grain)
    keys = nw.col(*grain.keys)
    thousandths = (nw.col("quantity") * THOUSANDTHS).round().cast(nw.Int64)
    lines = with_attributes(dataset, units, grain.keys).filter(
        ~nw.any_horizontal(*(nw.col(key).is_null() for key in grain.keys), ignore_nulls=False)
    )
    daily = materialise(
        lines.with_columns(thousandths.alias("units"))
        .group_by(keys, "day")
        .agg(nw.col("units").sum())
    )
    index = daily.group_by(keys).agg(nw.col("day").min().alias("first_day"))
    index = index.sort(*grain.keys).with_row_index("series", order_by=grain.keys)
    index = index.with_columns(nw.col("series").cast(nw.Int64))
    if groups:
        index = index.join(_groups(dataset, grain, groups), on=list(grain.product_keys), how="left")
    if "location_id" in grain.keys and dataset.has("locations"):
        index = index.join(_attributes(dataset, grain), on="location_id", how="left")
    index = materialise(index.sort("series"))
    codes = index.select("series", *grain.keys)
    daily = daily.join(codes, on=list(grain.keys), how="inner").select("series", "day", "units")
    units = materialise(daily.sort("series", "day"))
    if dataset.records == "sales" or not has_returns(dataset):
        return Series(index, units)
    returned = with_attributes(dataset, returned_lines(unit_lines(dataset), dataset), grain.keys)
    returned = returned.join(codes, on=list(grain.keys), how="inner")
    returned = returned.with_columns(thousandths.alias("units"))
    returned = returned.group_by("series", "day", "known_day").agg(nw.col("units").sum())
    return Series(index, units, materialise(returned.sort("series", "day", "known_day")))


def _sales(dataset: Dataset, grain: Grain) -> Frame:
    """Select the columns of sold lines that the series need."""
    frame = unit_lines(dataset)
    columns = dataset.columns(dataset.records)
    # Attributes come from their own tables, which may be corrected after the sale; only the
    # channel is an attribute of the order.
    names = ["product_id", "location_id", "day", "quantity"]
    if "channel" in grain.keys:
        names.append("channel")
    if dataset.records == "sales" and dataset.period_days > 1:
        # Sales of a week or month are known when it has ended: they count on its last day.
        last = last_covered_day(nw.col("day"), dataset.period_days)
        frame = frame.with_columns(last.cast(nw.Int32).alias("day"))
    return frame.select([name for name in names if name in columns])


def _group_levels(grain: Grain) -> tuple[str, ...]:
    """Return the levels of the assortment above the grain's product keys."""
    if {"product_id", "subcategory"} & set(grain.keys):
        return tuple(group for group in GROUPS if group not in grain.keys)
    return ("department",) if "category" in grain.keys and "department" not in grain.keys else ()


def _groups(dataset: Dataset, grain: Grain, groups: tuple[str, ...]) -> Frame:
    """Return the groups of each value of the product keys; of several the first by name."""
    products = dataset.table("products")
    return materialise(
        products.group_by(*grain.product_keys).agg(
            *(nw.col(group).min().alias(f"in_{group}") for group in groups)
        )
    ).with_columns(nw.col(f"in_{group}").cast(nw.String) for group in groups)


def _attributes(dataset: Dataset, grain: Grain) -> Frame:
    """Return the attributes that group locations, such as region, format or assortment, as text."""
    rows = dataset.table("locations").collect().to_polars().unique("location_id")
    kinds = pl.selectors.string() | pl.selectors.boolean() | pl.selectors.integer()
    names = rows.select(kinds.exclude("location_id", *grain.keys)).columns
    values = {name: rows.get_column(name).drop_nulls().n_unique() for name in names}
    kept = [
        name
        for name, count in values.items()
        if 2 <= count <= min(_MAX_VALUES, rows.height // _MIN_LOCATIONS)
    ]
    texts = (pl.col(name).cast(pl.String).alias(f"at_{name}") for name in kept)
    return nw.from_native(rows.select("location_id", *texts).lazy())
