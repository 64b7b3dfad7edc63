"""Dense arrays of a dataset's series over the periods around a forecast origin.

A dataset, a grain and a day go in; arrays of shape (series, periods) come out. The dataset's own
engine aggregates the records first (`series`, `promotions`, `prices`). Columns from the origin on
hold plans only, never units. Units are whole numbers and shares are multiples of 1/1024, so sums
are exact in any order and the features of a series do not depend on the other series.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import narwhals as nw
import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.closures import MARGIN_DAYS, Opening, opening
from features.demand.covariates import Covariate, covariates
from features.demand.grain import MEAN_MONTH_DAYS, Grain
from features.demand.holiday_calendars import holiday_calendars
from features.demand.plan_ends import ANY, PlanEnds, planned_cells
from features.demand.prices import price_changes
from features.demand.promotions import promotes, promotion_kinds, promotion_shares
from features.demand.series import GROUPS, all_series, returns_known, units_by_period
from features.demand.stockouts import out_of_stock
from features.memo import memo
from features.typing import Float32s, Floats, Ints

# Shares are rounded to multiples of 1 / RESOLUTION.
RESOLUTION = 1024
# Plans are read this many days beyond the records, so that all origins share one table.
PLAN_DAYS = 371
# Number of promotion kinds that have features of their own; `any` covers all kinds.
MAX_KINDS = 4
# Key of `Panel.shares` for the share of the price that is taken off.
DEPTH = "the_price_off"


@dataclass(frozen=True)
class Panel:
    """Series by periods.

    Attributes
    ----------
    grain
        Definition of a series.
    index
        One row per series: the grain's keys, its groups (`in_<group>`) and `first_day`; sorted
        by the keys.
    first_day
        First day of column 0.
    units
        Thousandths of units sold, shape (series, past periods).
    availability
        Share of each past period in which a sale could be observed: 0 before the first sale,
        less than 1 during closures and stockouts; of a month times its length.
    lengths
        Days of each past and further period over the usual number: 1 but for months.
    shares
        Share of each series and period on promotion, by kind and for `any`; NaN where the plan is
        unknown.
    plan_until
        The first day of each series on which promotions are unknown; `plan_ends.NEVER` if it never
        had any. None if the dataset has no promotions.
    price
        Planned price; NaN if there is none. None if the dataset has no prices.
    covariates
        Each covariate, and the row of its values that each series reads.
    totals
        Units (thousandths) of each group of series over the past periods, and the row that each
        series reads; by the group's column.
    opening, place
        On which days places are open, and the place of each series.
    chain_availability
        Share of each past period in which sales of `totals` could be observed.
    calendars
        Holiday calendar of each series; null where that of the settings holds.
    """

    grain: Grain
    index: pl.DataFrame
    first_day: int
    units: Floats
    availability: Floats
    lengths: Floats
    shares: Mapping[str, Float32s]
    plan_until: Ints | None
    price: Floats | None
    covariates: Mapping[str, tuple[Covariate, Ints]]
    totals: Mapping[str, tuple[Floats, Ints]] = field(repr=False)
    opening: Opening
    place: Ints
    chain_availability: Floats
    calendars: pl.Series

    @property
    def past(self) -> int:
        """Number of columns with sales."""
        return int(self.units.shape[1])

    def day(self, column: int) -> int:
        """First day of a column."""
        return int(self.grain.shift(self.first_day, column))

    def column(self, days: Ints) -> Ints:
        """Columns of days."""
        phase = self.grain.phase(self.first_day)
        columns: Ints = self.grain.number(days, phase) - self.grain.number(self.first_day, phase)
        return columns


@dataclass(frozen=True)
class Origin:
    """The state of some series of a panel at a forecast origin.

    Attributes
    ----------
    panel, column
        The panel, and its column that begins at the origin: later sales are not read.
    rows
        Rows of the panel, ascending.
    units, availability
        The last year of these series: thousandths of units, and observable share of each period.
    level
        Units per period.
    """

    panel: Panel
    column: int
    rows: Ints
    units: Floats
    availability: Floats
    level: Floats


def panel(
    dataset: Dataset, grain: Grain, origin: int, past: int, ahead: int, index: pl.DataFrame
) -> Panel:
    """Arrange `past` periods before the day `origin`, and plans of `ahead` periods from it on.

    Parameters
    ----------
    dataset, grain
        The records, and the definition of a series.
    origin
        Sales of this day and later ones are not read.
    past, ahead
        Numbers of periods.
    index
        The series: `series`, the grain's keys, `first_day` and groups, as in `all_series`.
    """
    index = index.sort(grain.keys)
    first, phase = int(grain.shift(origin, -past)), grain.phase(origin)
    block = int(grain.number(first, phase))
    rows = _Rows(index.get_column("series").to_numpy())
    units = _units(dataset, grain, origin, past, block, rows)
    first_column = grain.number(index.get_column("first_day").to_numpy(), phase) - block
    availability = (np.arange(past)[None, :] >= first_column[:, None]).astype(np.float64)
    until = int(grain.shift(origin, ahead)) + MARGIN_DAYS
    opened = opening(dataset, grain, first, origin, until)
    place = opened.rows(index)
    open_share, chain_availability = opened.share(grain.lengths(first, np.arange(past)))
    lengths = _relative_lengths(grain, first, past + ahead)
    availability *= open_share[place]
    stockouts = out_of_stock(dataset, grain, origin)
    if stockouts is not None:
        row, column, (share,) = rows.cells(stockouts, block, past, "out")
        available = np.round((1.0 - share) * RESOLUTION) / RESOLUTION
        availability[row, column] *= np.maximum(available, 0.0)
    units[availability == 0] = 0.0
    availability *= lengths[:past]
    ends = _plan_ends(dataset, grain, index)
    return Panel(
        grain,
        index,
        first,
        units,
        availability,
        lengths,
        _shares(dataset, grain, first, past + ahead, block, rows, ends, index),
        None if ends is None else ends.first_unknown(origin),
        _prices(dataset, grain, first, past + ahead, index),
        _covariates(dataset, grain, first, past + ahead, index),
        _totals(dataset, grain, origin, past, block, index),
        opened,
        place,
        chain_availability * lengths[:past],
        holiday_calendars(dataset, index),
    )


def known_at(dataset: Dataset, arrays: Panel, column: int) -> Panel:
    """Return a panel net of the returns known at a column, instead of those known at its end."""
    grain, day = arrays.grain, arrays.day(column)
    if returns_known(dataset, grain, day) is None:
        return arrays
    block = int(grain.number(arrays.first_day, grain.phase(arrays.first_day)))
    rows = _Rows(arrays.index.get_column("series").to_numpy())
    units = _units(dataset, grain, day, arrays.past, block, rows)
    units[arrays.availability == 0] = 0.0
    totals = _totals(dataset, grain, day, arrays.past, block, arrays.index)
    return replace(arrays, units=units, totals=totals)


class _Rows:
    """The row of each series in a panel."""

    def __init__(self, series: Ints) -> None:
        self.count = len(series)
        self.row_of_series = np.full(int(series.max(initial=-1)) + 2, -1, dtype=np.int64)
        self.row_of_series[series] = np.arange(len(series))

    def cells(
        self, frame: pl.DataFrame, block: int, columns: int, *values: str
    ) -> tuple[Ints, Ints, list[Floats]]:
        """Return row, column and values of those cells of a frame that are in the panel."""
        series = frame.get_column("series").to_numpy()
        known = self.row_of_series
        # Negative numbers are remainders of groups, which have no row.
        row = np.where(series < 0, -1, known[np.clip(series, 0, len(known) - 1)])
        column = frame.get_column("block").to_numpy() - block
        kept = (row >= 0) & (column >= 0) & (column < columns)
        return (
            row[kept],
            column[kept].astype(np.int64),
            [frame.get_column(v).to_numpy()[kept] for v in values],
        )


def _relative_lengths(grain: Grain, first: int, columns: int) -> Floats:
    """Return the days of periods from a day on over the usual number, 1 but for months."""
    if grain.freq != "month":
        return np.ones(columns)
    lengths = grain.lengths(first, np.arange(columns))
    return np.asarray(np.round(lengths / MEAN_MONTH_DAYS * RESOLUTION) / RESOLUTION)


def _units(
    dataset: Dataset, grain: Grain, origin: int, past: int, block: int, rows: _Rows
) -> Floats:
    sold = units_by_period(dataset, grain, origin).collect().to_polars()
    row, column, (values,) = rows.cells(sold, block, past, "units")
    units = np.zeros((rows.count, past))
    units[row, column] = values
    return units


def _plan_ends(dataset: Dataset, grain: Grain, index: pl.DataFrame) -> PlanEnds | None:
    return PlanEnds.of(dataset, grain, index) if promotes(dataset, grain) else None


def _shares(
    dataset: Dataset,
    grain: Grain,
    first: int,
    columns: int,
    block: int,
    rows: _Rows,
    ends: PlanEnds | None,
    index: pl.DataFrame,
) -> dict[str, Float32s]:
    if ends is None:
        return {}
    until = max(dataset.days[1] + 1 + PLAN_DAYS, int(grain.shift(first, columns)))
    cells = promotion_shares(dataset, grain, first, until).collect().to_polars()
    kinds = promotion_kinds(dataset)
    names = [f"share_{kind}" for kind in kinds]
    row, column, values = rows.cells(cells, block, columns, *names, "depth")
    by_kind = dict(zip(kinds, values, strict=False))
    layers = {ANY: np.max(values[:-1], axis=0)}
    layers |= {kind: by_kind[kind] for kind in main_kinds(dataset)}
    if dataset.has("promotions", "depth"):
        layers[DEPTH] = values[-1]
    # A period is as well known as the day in its middle.
    unknown = ends.unknown(grain.shift(first, np.arange(columns)) + grain.days // 2)
    planned = planned_cells(dataset, grain, index, first, columns)
    for days in unknown.values():
        days[planned] = False
    shares: dict[str, Float32s] = {}
    for name, layer in layers.items():
        shares[name] = np.zeros((rows.count, columns), dtype=np.float32)
        shares[name][row, column] = np.round(layer * RESOLUTION) / RESOLUTION
        shares[name][unknown.get(name, unknown[ANY])] = np.nan
    return shares


@memo("promotions")
def main_kinds(dataset: Dataset) -> list[str]:
    """Return the `MAX_KINDS` most frequent kinds of promotion, sorted by name."""
    names = promotion_kinds(dataset)
    if len(names) <= MAX_KINDS:
        return names
    rows = dataset.table("promotions").group_by("kind").agg(nw.len().alias("n"))
    counts = rows.collect().to_polars().drop_nulls().sort("n", "kind", descending=[True, False])
    return sorted(counts.get_column("kind").head(MAX_KINDS).to_list())


def _prices(
    dataset: Dataset, grain: Grain, first: int, columns: int, index: pl.DataFrame
) -> Floats | None:
    if not dataset.has("prices") or "product_id" not in grain.keys:
        return None
    changes = price_changes(dataset, grain).collect().to_polars()
    keys = list(grain.keys)
    numbered = index.select(keys).with_row_index("row")
    changes = changes.join(numbered, on=keys, how="inner").sort("row", "from_day")
    # The price of a period is the one valid on its first day.
    phase, before = grain.phase(first), changes.get_column("from_day").to_numpy() - 1
    column = np.maximum(grain.number(before, phase) - grain.number(first, phase) + 1, 0)
    prices = np.full((index.height, columns), np.nan)
    kept = column < columns
    row = changes.get_column("row").to_numpy()[kept]
    # Rows are sorted by day: of several changes in one column the last one is kept.
    prices[row, column[kept]] = changes.get_column("price").to_numpy()[kept]
    return _forward_fill(prices)


def _forward_fill(values: Floats) -> Floats:
    """Replace missing values by the last value before them in the same row."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1])[None, :])
    last = np.maximum.accumulate(known, axis=1)
    filled: Floats = np.take_along_axis(values, last, axis=1)
    return filled


def _covariates(
    dataset: Dataset, grain: Grain, first: int, columns: int, index: pl.DataFrame
) -> dict[str, tuple[Covariate, Ints]]:
    by_name = {}
    for name, covariate in covariates(dataset, grain, first, columns).items():
        if "location_id" in grain.keys:
            located = index.select("location_id").join(
                covariate.locations, on="location_id", how="left", maintain_order="left"
            )
            rows = located.get_column("row").fill_null(0).to_numpy().astype(np.int64)
        else:
            rows = np.zeros(index.height, dtype=np.int64)
        by_name[name] = (covariate, rows)
    return by_name


def _totals(
    dataset: Dataset, grain: Grain, origin: int, past: int, block: int, index: pl.DataFrame
) -> dict[str, tuple[Floats, Ints]]:
    by_group = {}
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
            # Series without a group read the last row, which is zero.
            rows = joined.get_column("row").fill_null(len(names)).to_numpy()
        by_group[group] = (totals, rows)
    return by_group


def group_totals(
    dataset: Dataset, grain: Grain, origin: int, group: str
) -> tuple[list[str], int, Floats]:
    """Sum the units of each group of series by period: names, first block, table of units."""
    known_day = returns_known(dataset, grain, origin)
    return _group_totals(dataset, grain, grain.phase(origin), known_day, group)


@memo("orders", "sales", "products", "locations")
def _group_totals(
    dataset: Dataset, grain: Grain, phase: int, known_day: int | None, group: str
) -> tuple[list[str], int, Floats]:
    units = units_by_period(dataset, grain, phase, known_day or phase)
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
