"""Order lines or ready sales in, units sold by series and day out; read by `demand`.

The records are reduced in the dataset's own engine, once a snapshot; what is left is small
and held in memory. Units are summed as whole thousandths: sums of whole numbers do not
depend on the order of rows, so features are the same to the last bit on every engine.
"""

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand.grain import LOCATION_KEYS, PRODUCT_KEYS, Grain
from features.errors import MissingData
from features.memo import memo
from features.typing import Frame

THOUSANDTHS = 1000
GROUPS = ("department", "category")
# Series without a sale for this long are left out unless they are asked for.
SELLING_DAYS = 182


@dataclass(frozen=True)
class Series:
    """Every series with a sale, and its sales.

    Attributes
    ----------
    index
        One row a series: `series` (a number that means nothing beyond this snapshot), the
        grain's keys, the groups it belongs to where known, and `first_day`.
    units
        One row a series and day with sales: `series`, `day`, `units` (int, thousandths).
    """

    index: Frame
    units: Frame


def materialise(frame: Frame) -> Frame:
    """Compute a frame and hold it in memory as a Polars frame, whatever engine it came from."""
    return nw.from_native(frame.collect().to_polars().lazy())


def all_series(dataset: Dataset, grain: Grain) -> Series:
    """Return the series of a dataset at a grain; computed once a snapshot.

    Raises
    ------
    MissingData
        If the records lack what a key of the grain needs.
    """
    return series_by_keys(dataset, grain.keys)


def unit_lines(dataset: Dataset) -> Frame:
    """Return the lines whose quantities are units of something that was sold.

    Where the records name products, a line without one is a purchase but no unit: a tank of fuel
    among the groceries. Where they name none, every line counts.
    """
    frame = dataset.table(dataset.records).filter(nw.col("quantity") > 0)
    if dataset.has(dataset.records, "kind"):
        frame = frame.filter(nw.col("kind") == "sale")
    if dataset.has(dataset.records, "product_id"):
        frame = frame.filter(~nw.col("product_id").is_null())
    return frame


def units_by_period(dataset: Dataset, grain: Grain, day: int) -> Frame:
    """Return units by series and `block`: periods numbered so that one begins at `day`.

    Block k covers the days from `k * days + day % days`.
    """
    return _units_by_period(dataset, grain, day % grain.days)


@memo("orders", "sales", "products", "locations")
def _units_by_period(dataset: Dataset, grain: Grain, phase: int) -> Frame:
    units = all_series(dataset, grain).units
    blocks = units.with_columns(((nw.col("day") - phase) // grain.days).alias("block"))
    return materialise(blocks.group_by("series", "block").agg(nw.col("units").sum()))


def units_sold(dataset: Dataset, grain: Grain, day: int, periods: int) -> Frame:
    """Return what was sold in `periods` periods from `day` on (before it, if negative).

    Returns
    -------
    narwhals.LazyFrame
        The grain's keys, `step` (0 begins at `day`) and `units`; no row where nothing sold.
    """
    block = (day - day % grain.days) // grain.days
    step = (nw.col("block") - block).cast(nw.Int64)
    low, high = min(periods, 0), max(periods, 0)
    units = units_by_period(dataset, grain, day).with_columns(step.alias("step"))
    units = units.filter(nw.col("step") >= low, nw.col("step") < high)
    keyed = units.join(all_series(dataset, grain).index, on="series", how="inner")
    return keyed.select(*grain.keys, "step", (nw.col("units") / THOUSANDTHS).alias("units"))


def units_matrix(
    dataset: Dataset, grain: Grain, day: int, periods: int, series: pl.DataFrame
) -> NDArray[np.float64]:
    """Lay out `units_sold` as an array, shape (series, periods), zero where nothing sold.

    Rows are as in `series`, columns in the order of time; missing series are rows of zeros.
    """
    found = np.zeros((series.height, abs(periods)))
    rows = series.select(grain.keys).with_row_index("row")
    sold = units_sold(dataset, grain, day, periods).collect().to_polars()
    cells = sold.join(rows, on=grain.keys, how="inner")
    columns = cells.get_column("step").to_numpy() - min(periods, 0)
    found[cells.get_column("row").to_numpy(), columns] = cells.get_column("units").to_numpy()
    return found


def steady_series(
    dataset: Dataset, grain: Grain, day: int, per_period: float = 1.0, periods: int = 28
) -> Frame:
    """Return the keys of series that sold at least so many units a period before `day`.

    The mean is over the last `periods` periods, or as many as the records have.
    """
    seen = max(min(periods, (day - dataset.days[0]) // grain.days), 1)
    block = (day - day % grain.days) // grain.days
    recent = units_by_period(dataset, grain, day).filter(
        nw.col("block") < block, nw.col("block") >= block - seen
    )
    sums = recent.group_by("series").agg(nw.col("units").sum())
    steady = sums.filter(nw.col("units") >= round(per_period * seen * THOUSANDTHS))
    index = all_series(dataset, grain).index.join(steady, on="series", how="semi")
    return index.select(*grain.keys).sort(*grain.keys)


def selling_series(dataset: Dataset, grain: Grain, as_of: AsOf) -> pl.DataFrame:
    """Return the keys of the series that sold in the last 26 weeks before `as_of`."""
    sold = units_sold(dataset, grain, to_day(as_of), -SELLING_DAYS // grain.days)
    return sold.select(*grain.keys).unique().collect().to_polars().sort(grain.keys)


def with_attributes(dataset: Dataset, frame: Frame, columns: tuple[str, ...]) -> Frame:
    """Join attributes of products and locations that the frame lacks.

    Raises
    ------
    MissingData
        Naming the table and the column that would have them.
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
                    f"The grain needs the column {column!r}, and dataset {dataset.name} has it "
                    f"neither in its records nor in the table {table!r} beside {entity!r}. "
                    "Import it, or choose another grain.",
                    field=f"{table}.{column}",
                )
        if missing:
            attributes = dataset.table(table).select(entity, *missing).unique(entity)
            frame = frame.join(attributes, on=entity, how="left")
    return frame


@memo("orders", "sales", "products", "locations")
def series_by_keys(dataset: Dataset, keys: tuple[str, ...]) -> Series:
    """Build the series that columns name; the length of periods does not matter to them."""
    return _build(dataset, Grain(keys, "day"))


def _build(dataset: Dataset, grain: Grain) -> Series:
    groups = tuple(group for group in _coarser(grain) if dataset.has("products", group))
    units = _sales(dataset, grain)
    keys = nw.col(*grain.keys)
    whole = (nw.col("quantity") * THOUSANDTHS).round().cast(nw.Int64)
    lines = with_attributes(dataset, units, grain.keys).filter(
        ~nw.any_horizontal(*(nw.col(key).is_null() for key in grain.keys), ignore_nulls=False)
    )
    daily = materialise(
        lines.with_columns(whole.alias("units")).group_by(keys, "day").agg(nw.col("units").sum())
    )
    index = daily.group_by(keys).agg(nw.col("day").min().alias("first_day"))
    index = index.sort(*grain.keys).with_row_index("series", order_by=grain.keys)
    index = index.with_columns(nw.col("series").cast(nw.Int64))
    if groups:
        index = index.join(_groups(dataset, grain, groups), on=list(grain.product_keys), how="left")
    index = materialise(index.sort("series"))
    codes = index.select("series", *grain.keys)
    daily = daily.join(codes, on=list(grain.keys), how="inner").select("series", "day", "units")
    return Series(index, materialise(daily.sort("series", "day")))


def _sales(dataset: Dataset, grain: Grain) -> Frame:
    """Select what was sold: sales of the order lines, or the ready sales."""
    frame = unit_lines(dataset)
    columns = dataset.columns(dataset.records)
    # Attributes come from their own tables, which may be corrected after the sale;
    # the channel is the order's own.
    wanted = ["product_id", "location_id", "day", "quantity"]
    if "channel" in grain.keys:
        wanted.append("channel")
    if dataset.records == "sales" and dataset.period_days > 1:
        # A week's sales are known when it has ended: they count on its last day.
        frame = frame.with_columns((nw.col("day") + (dataset.period_days - 1)).cast(nw.Int32))
    return frame.select([c for c in wanted if c in columns])


def _coarser(grain: Grain) -> tuple[str, ...]:
    """Name the levels of the assortment above the grain's product keys."""
    if {"product_id", "subcategory"} & set(grain.keys):
        return tuple(group for group in GROUPS if group not in grain.keys)
    return ("department",) if "category" in grain.keys and "department" not in grain.keys else ()


def _groups(dataset: Dataset, grain: Grain, groups: tuple[str, ...]) -> Frame:
    """Name the groups of each value of the product keys; the first by name if there are several."""
    products = dataset.table("products")
    return materialise(
        products.group_by(*grain.product_keys).agg(
            *(nw.col(group).min().alias(f"in_{group}") for group in groups)
        )
    ).with_columns(nw.col(f"in_{group}").cast(nw.String) for group in groups)
