"""What a forecast rests on, small: written when publishing, read by serving for a few series.

From these files comes a dataset that holds only the series asked for, and gives for them,
under the plan in the books or any other, the features that the whole dataset gives.
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
from features.demand.grain import Grain
from features.demand.panel import told_apart
from features.demand.plan import Planned, check_known, sold_ids
from features.demand.promotions import (
    kinds,
    promoted_locations,
    promoted_products,
    promotion_stretches,
    stretches_by_keys,
)
from features.demand.scenario import what_if
from features.demand.series import GROUPS, Series, all_series, series_by_keys, with_attributes
from features.demand.stockouts import out_of_stock, stockouts_by_phase
from features.tables import TABLES

# Rows that are decoded together.
_ROW_GROUP = 16_384
_ATTRIBUTES = {"products": "product_id", "locations": "location_id"}


@dataclass(frozen=True)
class Books:
    """The records that one published version's forecasts rest on.

    Attributes
    ----------
    folder
        Where they lie; nothing but keys is held in memory.
    grain, as_of
        Of the forecasts.
    """

    folder: Path
    grain: Grain
    as_of: str

    @staticmethod
    def write(dataset: Dataset, grain: Grain, as_of: AsOf, folder: Path) -> None:
        """Write what was sold before `as_of`, and what is booked.

        `index` has one row a series that had sold by then, sorted by the grain's keys.
        """
        day = to_day(as_of)
        series = all_series(dataset, grain)
        index = series.index.filter(nw.col("first_day") < day).collect().to_polars()
        index = index.sort(grain.keys)
        index.write_parquet(folder / "index.parquet")
        sold = series.units.filter(nw.col("day") < day).collect().to_polars()
        sold = sold.sort("series", "day")
        sold.write_parquet(folder / "units.parquet", row_group_size=_ROW_GROUP)
        groups = _groups(index)
        totals = sold.join(index.select("series", *groups), on="series", how="inner")
        totals = totals.group_by(*groups, "day").agg(pl.col("units").sum())
        totals.write_parquet(folder / "totals.parquet")
        names, where, what = [], grain.location_keys, grain.product_keys
        if "promotions" in dataset.tables:
            names = kinds(dataset)
            ahead = _columns(dataset, "promotions").filter(nw.col("to_day") > day)
            _write(ahead, folder / "promotions.parquet")
            _write(promoted_locations(dataset, where), folder / "promoted_locations.parquet")
        if names and what:
            _write(promoted_products(dataset, what), folder / "promoted_products.parquet")
            past = promotion_stretches(dataset, grain).filter(nw.col("to_day") <= day)
            _write(past, folder / "stretches.parquet")
        empty = out_of_stock(dataset, grain, day)
        if empty is not None:
            empty.filter(pl.col("series").is_in(index["series"].implode())).write_parquet(
                folder / "out_of_stock.parquet"
            )
        for table in ("prices", "covariates"):
            if table in dataset.tables:
                _write(_columns(dataset, table), folder / f"{table}.parquet")
        products, locations = sold_ids(dataset)
        for name, ids in (("products", products), ("locations", locations)):
            one = _ATTRIBUTES[name]
            keys = tuple(k for k in (what if name == "products" else where) if k != one)
            rows = nw.from_native(pl.LazyFrame({one: sorted(ids)}, schema={one: pl.String}))
            if dataset.has(name, *keys):
                rows = with_attributes(dataset, rows, keys)
            _write(rows, folder / f"{name}.parquet")
        firsts = sold.get_column("series").gather_every(_ROW_GROUP).to_list()
        about = {
            "kinds": names,
            "told_apart": told_apart(dataset),
            "days": dataset.days,
            "group_firsts": firsts,
        }
        (folder / "books.json").write_text(json.dumps(about))

    def dataset(self, rows: list[int], plan: list[Planned] | None = None) -> Dataset:
        """Return a dataset of the series in some rows of `index`, under a plan.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            As `what_if` and `check_known` do.
        """
        plan = plan or []
        check_known(plan, *self._sold)
        index = self.index[rows]
        series = self._series(index)
        ids = {row.product_id for row in plan}
        if "product_id" in index.columns:
            of_these = pl.col("product_id").is_in(sorted(ids | set(index["product_id"])))
        else:
            of_these = pl.lit(value=True)
        tables: dict[str, nw.LazyFrame[Any]] = {
            name: _framed(self._scan(name).filter(of_these))
            for name in ("promotions", "prices")
            if self._path(name).exists()
        }
        if self._path("covariates").exists():
            tables["covariates"] = _framed(self._scan("covariates"))
        tables |= {name: nw.from_native(self._scan(name)) for name in _ATTRIBUTES}
        first, last = self._about["days"]
        results = [
            covered_extent.result((first, last)),
            series_by_keys.result(series, self.grain.keys),
            kinds.result(self._about["kinds"]),
            told_apart.result(self._about["told_apart"]),
        ]
        for name, memo, keys in (
            ("promoted_locations", promoted_locations, self.grain.location_keys),
            ("promoted_products", promoted_products, self.grain.product_keys),
        ):
            if self._path(name).exists():
                results.append(memo.result(nw.from_native(self._scan(name)), keys))
        if self._path("out_of_stock").exists():
            phase = to_day(self.as_of) % self.grain.days
            empty = self._scan("out_of_stock").collect()
            results.append(stockouts_by_phase.result(empty, self.grain, phase))
        booked = Dataset("the published one", self.as_of, tables).with_results(results)
        under = what_if(booked, plan, self.grain) if plan else booked
        if self._path("stretches").exists():
            past = self._scan("stretches").filter(of_these)
            ahead = promotion_stretches(under, self.grain).to_native()
            both = pl.concat([past, ahead.select(past.collect_schema().names())])
            stretches = stretches_by_keys.result(_framed(both), self.grain.keys)
            return under.with_results([stretches])
        return under

    @cached_property
    def index(self) -> pl.DataFrame:
        """The series: their numbers, keys, groups and first days."""
        return pl.read_parquet(self._path("index"))

    def _series(self, index: pl.DataFrame) -> Series:
        """Read what the series sold; the rest of their groups sold stands in for the others."""
        units = self._units(index.get_column("series").sort().to_numpy())
        groups = _groups(index)
        own = units.join(index.select("series", *groups), on="series", how="left")
        near = [
            pl.col(group).is_in(index[group].drop_nulls().unique().implode()) for group in groups
        ]
        # Groups that none of these series is in make one group without a name.
        of_these = self._totals.filter(pl.any_horizontal(pl.lit(value=False), *near))
        beyond = pl.concat([self._by_day, of_these.select("day", -pl.col("units"))])
        others = pl.concat([of_these, own.select(*groups, "day", -pl.col("units"))])
        parts = [others.group_by(*groups, "day"), beyond.group_by("day")]
        rest = pl.concat([part.agg(pl.col("units").sum()) for part in parts], how="diagonal")
        rest = rest.filter(pl.col("units") != 0).with_columns(
            series=-1 - pl.struct(*groups).rank("dense").cast(pl.Int64)
            if groups
            else pl.lit(-1, dtype=pl.Int64)
        )
        numbers = rest.group_by("series", *groups).agg(pl.col("day").min().alias("first_day"))
        whole = pl.concat([index, numbers], how="diagonal")
        sold = pl.concat([units, rest.select(units.columns)]).sort("series", "day")
        return Series(nw.from_native(whole.lazy()), nw.from_native(sold.lazy()))

    def _units(self, series: np.ndarray[Any, Any]) -> pl.DataFrame:
        """Decode the groups of rows that hold some series, and no others."""
        firsts = np.array(self._about["group_firsts"], dtype=np.int64)
        # A series may begin in the group before the first that begins with it.
        low = np.maximum(np.searchsorted(firsts, series, side="left") - 1, 0)
        high = np.searchsorted(firsts, series, side="right")
        groups = sorted({g for a, b in zip(low, high, strict=True) for g in range(a, b)})
        scan = self._scan("units")
        parts = pl.collect_all([scan.slice(int(g) * _ROW_GROUP, _ROW_GROUP) for g in groups])
        return pl.concat(parts).filter(pl.col("series").is_in(series.tolist()))

    @cached_property
    def _totals(self) -> pl.DataFrame:
        return pl.read_parquet(self._path("totals"))

    @cached_property
    def _by_day(self) -> pl.DataFrame:
        return self._totals.group_by("day").agg(pl.col("units").sum())

    @cached_property
    def _about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "books.json").read_text())
        return found

    @cached_property
    def _sold(self) -> tuple[set[str], set[str]]:
        products, locations = (
            set(self._scan(name).select(column).collect().to_series())
            for name, column in _ATTRIBUTES.items()
        )
        return products, locations

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _scan(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self._path(name))


def _groups(index: pl.DataFrame) -> list[str]:
    return [f"in_{group}" for group in GROUPS if f"in_{group}" in index.columns]


def _columns(dataset: Dataset, table: str) -> nw.LazyFrame[Any]:
    names = [c for c in TABLES[table].columns if dataset.has(table, c)]
    return dataset.table(table).select(names)


def _framed(scan: pl.LazyFrame) -> nw.LazyFrame[Any]:
    return nw.from_native(scan.collect().lazy())


def _write(frame: nw.LazyFrame[Any], path: Path) -> None:
    rows = frame.collect().to_polars()
    rows.sort(rows.columns[0]).write_parquet(path, row_group_size=_ROW_GROUP)
