"""The part of a dataset that published demand forecasts depend on.

A dataset, a grain and an instant go in when a version is published. The files give datasets of a
few series, with the same features as the whole dataset gives, with or without a scenario.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import AsOf, to_day
from features.dataset import Dataset, covered_extent
from features.demand.closures import RecordedClosures, recorded_closures
from features.demand.grain import Grain
from features.demand.holiday_calendars import location_calendars
from features.demand.panel import main_kinds
from features.demand.plan import PlanRow, check_known, sold_ids
from features.demand.plan_ends import booked_until
from features.demand.promotions import (
    has_depths,
    intervals_by_keys,
    promoted_locations,
    promoted_products,
    promotes,
    promotion_intervals,
    promotion_kinds,
)
from features.demand.scenario import apply_plan, with_prices
from features.demand.series import GROUPS, Series, all_series, series_by_keys, with_attributes
from features.demand.stockouts import out_of_stock
from features.discontinued import products_without_sales
from features.memo import Result
from features.tables import TABLES
from features.typing import Frame, Ints

# Names of the files.
_INDEX = "index.parquet"
_UNITS = "units.parquet"
_TOTALS = "totals.parquet"
_PROMOTIONS = "promotions.parquet"
_PROMOTED_LOCATIONS = "promoted_locations.parquet"
_PROMOTED_PRODUCTS = "promoted_products.parquet"
_BOOKED_UNTIL = "booked_until.parquet"
_PAST_INTERVALS = "past_promotion_intervals.parquet"
_OUT_OF_STOCK = "out_of_stock.parquet"
_UNSOLD = "products_without_sales.parquet"
_PRICES = "prices.parquet"
_COVARIATES = "covariates.parquet"
_PRODUCTS = "products.parquet"
_LOCATIONS = "locations.parquet"
_CALENDARS = "holiday_calendars.parquet"
_METADATA = "extract.json"

# Rows of a Parquet row group: the unit in which rows are decoded.
_ROW_GROUP = 16_384


@dataclass(frozen=True)
class PublishedRecords:
    """The records behind the forecasts of one published version.

    Only the index of series is held in memory; other files are read for the requested series.

    Attributes
    ----------
    folder
        Folder of the files.
    grain, as_of
        Grain and instant of the forecasts.
    """

    folder: Path
    grain: Grain
    as_of: str

    @staticmethod
    def write(dataset: Dataset, grain: Grain, as_of: AsOf, folder: Path) -> None:
        """Write sales before `as_of` and the plan into a folder.

        The index has one row per series with a sale before `as_of`, sorted by the grain's keys.
        """
        day = to_day(as_of)
        index, first_series = _write_sales(dataset, grain, day, folder)
        kinds = _write_promotions(dataset, grain, day, folder)
        recorded_closures(dataset, grain).between(dataset.days[0], day).save(folder)
        empty = out_of_stock(dataset, grain, day)
        if empty is not None:
            empty.filter(pl.col("series").is_in(index["series"].implode())).write_parquet(
                folder / _OUT_OF_STOCK
            )
        if "product_id" in grain.keys:
            products_without_sales(dataset, day).to_frame().write_parquet(folder / _UNSOLD)
        priced = with_prices(dataset, grain, day) if "product_id" in grain.keys else dataset
        for table, file in (("prices", _PRICES), ("covariates", _COVARIATES)):
            if table in priced.tables:
                _write(_canonical(priced, table), folder / file)
        products, locations = sold_ids(dataset)
        _write_entities(dataset, "products", "product_id", products, grain.product_keys, folder)
        _write_entities(dataset, "locations", "location_id", locations, grain.location_keys, folder)
        calendars = location_calendars(dataset)
        if not calendars.is_empty():
            calendars.write_parquet(folder / _CALENDARS)
        metadata = {
            "kinds": kinds,
            "main_kinds": main_kinds(dataset),
            "has_depths": has_depths(dataset, day),
            "days": dataset.days,
            "first_series": first_series,
        }
        (folder / _METADATA).write_text(json.dumps(metadata))

    def dataset(
        self, rows: list[int], plan: list[PlanRow] | None = None, until: int | None = None
    ) -> Dataset:
        """Return a dataset of the series in some rows of `index`, under a plan.

        `plan` and `until` are those of `apply_plan`; None is the recorded plan.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            As `apply_plan` and `check_known` do.
        """
        check_known(plan or [], *self._sold_ids)
        index = self.index[rows]
        relevant = pl.lit(value=True)
        if "product_id" in index.columns:
            products = {row.product_id for row in plan or []} | set(index["product_id"])
            relevant = pl.col("product_id").is_in(sorted(products))
        tables: dict[str, Frame] = {
            "products": nw.from_native(self._scan(_PRODUCTS)),
            "locations": nw.from_native(self._scan(_LOCATIONS)),
        }
        for table, file in (("promotions", _PROMOTIONS), ("prices", _PRICES)):
            if self._has(file):
                tables[table] = _in_memory(self._scan(file).filter(relevant))
        if self._has(_COVARIATES):
            tables["covariates"] = _in_memory(self._scan(_COVARIATES))
        published = Dataset("published", self.as_of, tables).with_results(self._results(index))
        scenario = published
        if plan is not None:
            scenario = apply_plan(published, plan, self.grain, to_day(self.as_of), until)
        if not self._has(_PAST_INTERVALS):
            return scenario
        past = self._scan(_PAST_INTERVALS).filter(relevant)
        ahead = promotion_intervals(scenario, self.grain).to_native()
        intervals = pl.concat([past, ahead.select(past.collect_schema().names())])
        result = intervals_by_keys.result(_in_memory(intervals), self.grain.keys)
        return scenario.with_results([result])

    @cached_property
    def index(self) -> pl.DataFrame:
        """The series: their numbers, keys, groups and first days."""
        return pl.read_parquet(self.folder / _INDEX)

    def _results(self, index: pl.DataFrame) -> list[Result]:
        """Return the results that the whole dataset gave, for the series of an index."""
        first, last = self._metadata["days"]
        results = [
            covered_extent.result((first, last)),
            series_by_keys.result(self._series(index), self.grain.keys),
            recorded_closures.result(self._closures, self.grain),
            promotion_kinds.result(self._metadata["kinds"]),
            main_kinds.result(self._metadata["main_kinds"]),
            has_depths.result(self._metadata["has_depths"], to_day(self.as_of)),
        ]
        if self._has(_BOOKED_UNTIL):
            ends = pl.read_parquet(self.folder / _BOOKED_UNTIL)
            results.append(booked_until.result(ends, self.grain.location_keys))
        for file, memo, keys in (
            (_PROMOTED_LOCATIONS, promoted_locations, self.grain.location_keys),
            (_PROMOTED_PRODUCTS, promoted_products, self.grain.product_keys),
        ):
            if self._has(file):
                results.append(memo.result(nw.from_native(self._scan(file)), keys))
        if self._has(_CALENDARS):
            results.append(location_calendars.result(self._scan(_CALENDARS).collect()))
        if self._has(_OUT_OF_STOCK):
            empty = self._scan(_OUT_OF_STOCK).collect()
            results.append(out_of_stock.result(empty, self.grain, to_day(self.as_of)))
        if self._has(_UNSOLD):
            unsold = self._scan(_UNSOLD).collect().to_series()
            results.append(products_without_sales.result(unsold, to_day(self.as_of)))
        return results

    def _series(self, index: pl.DataFrame) -> Series:
        """Read sales of the series in an index, and add the remainder of their groups.

        Group totals are features. For each group, and for the whole dataset, one series with a
        negative number carries the sales of all series that are not in the index.
        """
        units = self._units(index.get_column("series").sort().to_numpy())
        groups = _groups(index)
        selected = units.join(index.select("series", *groups), on="series", how="left")
        in_groups = [
            pl.col(group).is_in(index[group].drop_nulls().unique().implode()) for group in groups
        ]
        # All groups without a selected series make up one remainder without a group name.
        totals = self._totals.filter(pl.any_horizontal(pl.lit(value=False), *in_groups))
        outside = pl.concat([self._daily_totals, totals.select("day", -pl.col("units"))])
        inside = pl.concat([totals, selected.select(*groups, "day", -pl.col("units"))])
        parts = [inside.group_by(*groups, "day"), outside.group_by("day")]
        rest = pl.concat([part.agg(pl.col("units").sum()) for part in parts], how="diagonal")
        rest = rest.filter(pl.col("units") != 0).with_columns(
            series=-1 - pl.struct(*groups).rank("dense").cast(pl.Int64)
            if groups
            else pl.lit(-1, dtype=pl.Int64)
        )
        remainders = rest.group_by("series", *groups).agg(pl.col("day").min().alias("first_day"))
        complete = pl.concat([index, remainders], how="diagonal")
        sold = pl.concat([units, rest.select(units.columns)]).sort("series", "day")
        return Series(nw.from_native(complete.lazy()), nw.from_native(sold.lazy()))

    def _units(self, series: Ints) -> pl.DataFrame:
        """Read sales of some series; only row groups that hold them are decoded."""
        first = np.array(self._metadata["first_series"], dtype=np.int64)
        # A series may begin in the row group before the first one that starts with it.
        low = np.maximum(np.searchsorted(first, series, side="left") - 1, 0)
        high = np.searchsorted(first, series, side="right")
        groups = sorted({g for a, b in zip(low, high, strict=True) for g in range(a, b)})
        scan = self._scan(_UNITS)
        parts = pl.collect_all([scan.slice(int(g) * _ROW_GROUP, _ROW_GROUP) for g in groups])
        return pl.concat(parts).filter(pl.col("series").is_in(series.tolist()))

    @cached_property
    def _closures(self) -> RecordedClosures:
        return RecordedClosures.load(self.folder)

    @cached_property
    def _totals(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / _TOTALS)

    @cached_property
    def _daily_totals(self) -> pl.DataFrame:
        return self._totals.group_by("day").agg(pl.col("units").sum())

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = json.loads((self.folder / _METADATA).read_text())
        return metadata

    @cached_property
    def _sold_ids(self) -> tuple[set[str], set[str]]:
        products = self._scan(_PRODUCTS).select("product_id").collect().to_series()
        locations = self._scan(_LOCATIONS).select("location_id").collect().to_series()
        return set(products), set(locations)

    def _has(self, file: str) -> bool:
        return (self.folder / file).exists()

    def _scan(self, file: str) -> pl.LazyFrame:
        return pl.scan_parquet(self.folder / file)


def _write_sales(
    dataset: Dataset, grain: Grain, day: int, folder: Path
) -> tuple[pl.DataFrame, list[int]]:
    """Write series, their sales before a day and the totals of their groups.

    Returns
    -------
    tuple
        The index of series, and the first series of each row group of the sales.
    """
    series = all_series(dataset, grain)
    index = series.index.filter(nw.col("first_day") < day).collect().to_polars()
    index = index.sort(grain.keys)
    index.write_parquet(folder / _INDEX)
    sold = series.known_units(day).filter(nw.col("day") < day).collect().to_polars()
    sold = sold.sort("series", "day")
    sold.write_parquet(folder / _UNITS, row_group_size=_ROW_GROUP)
    groups = _groups(index)
    totals = sold.join(index.select("series", *groups), on="series", how="inner")
    totals = totals.group_by(*groups, "day").agg(pl.col("units").sum())
    totals.write_parquet(folder / _TOTALS)
    return index, sold.get_column("series").gather_every(_ROW_GROUP).to_list()


def _write_promotions(dataset: Dataset, grain: Grain, day: int, folder: Path) -> list[str]:
    """Write promotions that end after a day in full, earlier ones as intervals; return kinds."""
    if "promotions" not in dataset.tables:
        return []
    kinds = promotion_kinds(dataset)
    ahead = _canonical(dataset, "promotions").filter(nw.col("to_day") > day)
    _write(ahead, folder / _PROMOTIONS)
    booked_until(dataset, grain.location_keys).write_parquet(folder / _BOOKED_UNTIL)
    _write(promoted_locations(dataset, grain.location_keys), folder / _PROMOTED_LOCATIONS)
    if promotes(dataset, grain):
        _write(promoted_products(dataset, grain.product_keys), folder / _PROMOTED_PRODUCTS)
        past = promotion_intervals(dataset, grain).filter(nw.col("to_day") <= day)
        _write(past, folder / _PAST_INTERVALS)
    return kinds


def _write_entities(
    dataset: Dataset,
    table: str,
    column: str,
    ids: set[str],
    keys: tuple[str, ...],
    folder: Path,
) -> None:
    """Write ids of products or locations with those attributes that are keys of the grain."""
    attributes = tuple(key for key in keys if key != column)
    rows = nw.from_native(pl.LazyFrame({column: sorted(ids)}, schema={column: pl.String}))
    if dataset.has(table, *attributes):
        rows = with_attributes(dataset, rows, attributes)
    _write(rows, folder / {"products": _PRODUCTS, "locations": _LOCATIONS}[table])


def _groups(index: pl.DataFrame) -> list[str]:
    return [f"in_{group}" for group in GROUPS if f"in_{group}" in index.columns]


def _canonical(dataset: Dataset, table: str) -> Frame:
    """Select the canonical columns of a table."""
    names = [column for column in TABLES[table].columns if dataset.has(table, column)]
    return dataset.table(table).select(names)


def _in_memory(scan: pl.LazyFrame) -> Frame:
    return nw.from_native(scan.collect().lazy())


def _write(frame: Frame, path: Path) -> None:
    rows = frame.collect().to_polars()
    rows.sort(rows.columns[0]).write_parquet(path, row_group_size=_ROW_GROUP)
