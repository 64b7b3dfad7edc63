"""Series of a dataset in, laid out densely over periods around an instant; read by `demand`.

The records are reduced in the dataset's own engine (`series`, `promotions`, `prices`); what is
left is small, and stands here as arrays of shape (series, periods). Columns before `at` are the
past; beyond it there are plans only: no unit sold at or after the instant ever enters.
Whole numbers are laid out as they are, and shares as multiples of 1/1024: sums of them are exact
in whatever order they are taken, so a series is described alone as it is among others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.demand.covariates import Covariate, covariates
from features.demand.grain import Grain
from features.demand.prices import price_changes
from features.demand.promotions import kinds, promotion_shares
from features.demand.series import GROUPS, all_series, units_by_period
from features.demand.stockouts import out_of_stock
from features.memo import memo
from features.typing import Floats

Singles = NDArray[np.float32]

# Shares are rounded to multiples of one over this.
FINE = 1024
# A booked plan is followed this far beyond the records, so that all origins share one table.
PLAN_DAYS = 371
# Kinds of promotion that are told apart, the most frequent first; all count as promotion.
MOST_KINDS = 4
# The layer of `shares` that holds how much of the price is taken off.
DEPTH = "the_price_off"


@dataclass(frozen=True)
class Panel:
    """Series by periods.

    Attributes
    ----------
    grain
        What a series is.
    index
        One row a series: the grain's keys, its groups (`in_<group>`) and `first_day`; sorted
        by the keys.
    first_day
        Day on which column 0 begins; column k begins `k * grain.days` later.
    units
        Thousandths of units sold, zero beyond the past.
    open
        Share of each period in which a sale could have been seen: none before the first sale,
        less where stock ran out.
    shares
        Share of each series and period on promotion, by kind and for `any`.
    price
        Planned price; NaN where there is none.
    covariates
        Values by period for each covariate, and which of its rows a series reads.
    totals
        Units (thousandths) of each group of series, by the group's column, over the same
        columns; and which row a series reads.
    """

    grain: Grain
    index: pl.DataFrame
    first_day: int
    units: Floats
    open: Floats
    shares: Mapping[str, Singles]
    price: Floats | None
    covariates: Mapping[str, tuple[Covariate, NDArray[np.int64]]]
    totals: Mapping[str, tuple[Floats, NDArray[np.int64]]] = field(repr=False)

    @property
    def past(self) -> int:
        """Number of columns that hold sales."""
        return int(self.units.shape[1])

    def day(self, column: int) -> int:
        """First day of a column."""
        return self.first_day + column * self.grain.days


def panel(
    dataset: Dataset, grain: Grain, origin: int, past: int, ahead: int, index: pl.DataFrame
) -> Panel:
    """Lay out `past` periods before the day `origin`, and the plans of `ahead` periods after it.

    Parameters
    ----------
    dataset, grain
        The records, and what a series is.
    origin
        Sales of this day and later ones are not read.
    past, ahead
        Numbers of periods.
    index
        Series wanted: `series`, the grain's keys, `first_day` and groups, as `all_series` has them.
    """
    index = index.sort(grain.keys)
    first = origin - past * grain.days
    block = (first - first % grain.days) // grain.days
    rows = _Rows(index.get_column("series").to_numpy())
    units = _units(dataset, grain, origin, past, block, rows)
    begun = (index.get_column("first_day").to_numpy() - first) // grain.days
    is_open = (np.arange(past)[None, :] >= begun[:, None]).astype(np.float64)
    closed = out_of_stock(dataset, grain, origin)
    if closed is not None:
        row, column, (share,) = rows.cells(closed, block, past, "out")
        is_open[row, column] *= np.maximum(np.round((1.0 - share) * FINE) / FINE, 0.0)
        units[is_open == 0] = 0.0
    return Panel(
        grain,
        index,
        first,
        units,
        is_open,
        _shares(dataset, grain, origin, past + ahead, block, rows),
        _prices(dataset, grain, first, past + ahead, index),
        _covariates(dataset, grain, first, past + ahead, index),
        _totals(dataset, grain, origin, past, block, index),
    )


class _Rows:
    """Where each series stands in a panel."""

    def __init__(self, series: NDArray[np.int64]) -> None:
        self.count = len(series)
        self.at = np.full(int(series.max(initial=-1)) + 2, -1, dtype=np.int64)
        self.at[series] = np.arange(len(series))

    def cells(
        self, frame: pl.DataFrame, block: int, columns: int, *values: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Floats]]:
        """Return row, column and values of a frame's cells that the panel has."""
        series = frame.get_column("series").to_numpy()
        # Numbers below zero stand for what others sold together.
        row = np.where(series < 0, -1, self.at[np.clip(series, 0, len(self.at) - 1)])
        column = frame.get_column("block").to_numpy() - block
        kept = (row >= 0) & (column >= 0) & (column < columns)
        return (
            row[kept],
            column[kept].astype(np.int64),
            [frame.get_column(v).to_numpy()[kept] for v in values],
        )


def _units(
    dataset: Dataset, grain: Grain, origin: int, past: int, block: int, rows: _Rows
) -> Floats:
    sold = units_by_period(dataset, grain, origin).collect().to_polars()
    row, column, (values,) = rows.cells(sold, block, past, "units")
    found = np.zeros((rows.count, past))
    found[row, column] = values
    return found


def _shares(
    dataset: Dataset, grain: Grain, origin: int, columns: int, block: int, rows: _Rows
) -> dict[str, Singles]:
    if not grain.product_keys or not kinds(dataset):
        return {}
    until = max(dataset.days[1] + 1 + PLAN_DAYS, origin + columns * grain.days)
    cells = promotion_shares(dataset, grain, origin, until).collect().to_polars()
    names = told_apart(dataset)
    read = [f"share_{kind}" for kind in kinds(dataset)]
    row, column, values = rows.cells(cells, block, columns, *read, "depth")
    by_kind = dict(zip(kinds(dataset), values, strict=False))
    layers = {"any": np.max(values[:-1], axis=0), **{kind: by_kind[kind] for kind in names}}
    if dataset.has("promotions", "depth"):
        layers[DEPTH] = values[-1]
    found: dict[str, Singles] = {}
    for name, layer in layers.items():
        found[name] = np.zeros((rows.count, columns), dtype=np.float32)
        found[name][row, column] = np.round(layer * FINE) / FINE
    return found


@memo("promotions")
def told_apart(dataset: Dataset) -> list[str]:
    """Name the kinds of promotion that have features of their own: the `MOST_KINDS` largest."""
    names = kinds(dataset)
    if len(names) <= MOST_KINDS:
        return names
    rows = dataset.table("promotions").group_by("kind").agg(nw.len().alias("n"))
    counts = rows.collect().to_polars().drop_nulls().sort("n", "kind", descending=[True, False])
    return sorted(counts.get_column("kind").head(MOST_KINDS).to_list())


def _prices(
    dataset: Dataset, grain: Grain, first: int, columns: int, index: pl.DataFrame
) -> Floats | None:
    if not dataset.has("prices") or "product_id" not in grain.keys:
        return None
    changes = price_changes(dataset, grain).collect().to_polars()
    keys = list(grain.keys)
    numbered = index.select(keys).with_row_index("row")
    own = changes.join(numbered, on=keys, how="inner").sort("row", "from_day")
    # The price of a period is the one that holds on its first day.
    column = np.maximum(-((first - own.get_column("from_day").to_numpy()) // grain.days), 0)
    found = np.full((index.height, columns), np.nan)
    kept = column < columns
    row = own.get_column("row").to_numpy()[kept]
    # Of several changes up to one column the last one stands: rows come in the order of days.
    found[row, column[kept]] = own.get_column("price").to_numpy()[kept]
    return _forward(found)


def _forward(values: Floats) -> Floats:
    """Fill what is missing with the last value before it."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1])[None, :])
    last = np.maximum.accumulate(known, axis=1)
    filled: Floats = np.take_along_axis(values, last, axis=1)
    return filled


def _covariates(
    dataset: Dataset, grain: Grain, first: int, columns: int, index: pl.DataFrame
) -> dict[str, tuple[Covariate, NDArray[np.int64]]]:
    found = {}
    for name, one in covariates(dataset, grain, first, columns).items():
        if "location_id" in grain.keys:
            where = index.select("location_id").join(
                one.locations, on="location_id", how="left", maintain_order="left"
            )
            rows = where.get_column("row").fill_null(0).to_numpy().astype(np.int64)
        else:
            rows = np.zeros(index.height, dtype=np.int64)
        found[name] = (one, rows)
    return found


def _totals(
    dataset: Dataset, grain: Grain, origin: int, past: int, block: int, index: pl.DataFrame
) -> dict[str, tuple[Floats, NDArray[np.int64]]]:
    found = {}
    for group in ("all", *(g for g in GROUPS if f"in_{g}" in index.columns)):
        names, first, table = group_totals(dataset, grain, origin, group)
        totals = np.zeros((len(names) + 1, past))
        low = max(block, first)
        high = min(block + past, first + table.shape[1])
        if low < high:
            totals[:-1, low - block : high - block] = table[:, low - first : high - first]
        if group == "all":
            rows = np.zeros(index.height, dtype=np.int64)
        else:
            named = pl.DataFrame(
                {f"in_{group}": names, "row": np.arange(len(names))},
                schema={f"in_{group}": pl.String, "row": pl.Int64},
            )
            joined = index.select(f"in_{group}").join(
                named, on=f"in_{group}", how="left", maintain_order="left"
            )
            # Series without a group read the last row, which is empty.
            rows = joined.get_column("row").fill_null(len(names)).to_numpy()
        found[group] = (totals, rows)
    return found


def group_totals(
    dataset: Dataset, grain: Grain, origin: int, group: str
) -> tuple[list[str], int, Floats]:
    """Sum the units of each group of series over all periods: names, first block, table."""
    return _group_totals(dataset, grain, origin % grain.days, group)


@memo("orders", "sales", "products", "locations")
def _group_totals(
    dataset: Dataset, grain: Grain, phase: int, group: str
) -> tuple[list[str], int, Floats]:
    units = units_by_period(dataset, grain, phase)
    if group == "all":
        sums = units.group_by("block").agg(nw.col("units").sum())
        named = sums.collect().to_polars().with_columns(name=pl.lit("all"))
    else:
        members = all_series(dataset, grain).index.select("series", f"in_{group}")
        joined = units.join(members, on="series", how="inner")
        sums = joined.group_by(f"in_{group}", "block").agg(nw.col("units").sum())
        named = sums.collect().to_polars().rename({f"in_{group}": "name"})
    named = named.drop_nulls()
    names = named.get_column("name").unique().sort().to_list()
    if not names:
        return [], 0, np.zeros((0, 0))
    first, last = named.get_column("block").min(), named.get_column("block").max()
    table = np.zeros((len(names), int(last) - int(first) + 1))  # type: ignore[arg-type]
    codes = named.get_column("name").cast(pl.Enum(names)).to_physical().to_numpy()
    table[codes, named.get_column("block").to_numpy() - int(first)] = named.get_column(  # type: ignore[arg-type]
        "units"
    ).to_numpy()
    return names, int(first), table  # type: ignore[arg-type]
