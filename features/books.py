"""The part of a dataset that a plan is laid over: written when publishing, read by serving.

Small enough to be read for one series at a time, and enough for `with_plan` to compute, under
any plan, what `demand` would compute on the whole dataset.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from features.calendar import AsOf, to_day
from features.dataset import Dataset
from features.demand import with_plan
from features.grain import Grain
from features.prices import RECENT
from features.promotions import kinds, promoted_locations, promoted_products
from features.series import Series, with_attributes
from features.tables import TABLES
from features.what_if import Planned, check_known, sold_ids, what_if

# Rows that are read together: a question is of a few products.
_ROW_GROUP = 4_096
_ATTRIBUTES = {"products": "product_id", "locations": "location_id"}


@dataclass(frozen=True)
class Books:
    """The plan in the books of one published version.

    Attributes
    ----------
    folder
        Where it lies.
    grain, as_of, horizon_days
        Of the forecasts that it belongs to.
    """

    folder: Path
    grain: Grain
    as_of: str
    horizon_days: int

    @staticmethod
    def write(dataset: Dataset, grain: Grain, as_of: AsOf, horizon_days: int, folder: Path) -> None:
        """Write what is booked from a period before `as_of` to the end of the horizon."""
        day, end = to_day(as_of), to_day(as_of) + horizon_days
        names, where, what = [], grain.location_keys, grain.product_keys
        if "promotions" in dataset.tables:
            names = kinds(dataset)
            near = nw.col("to_day") > day - grain.days, nw.col("from_day") < end
            _write(_columns(dataset, "promotions").filter(*near), folder / "promotions.parquet")
            _write(promoted_locations(dataset, where), folder / "promoted_locations.parquet")
            if what:
                _write(promoted_products(dataset, what), folder / "promoted_products.parquet")
        if "prices" in dataset.tables:
            prices = _columns(dataset, "prices").filter(nw.col("from_day") < end)
            _write(_since(prices, day - RECENT[grain.freq] * grain.days), folder / "prices.parquet")
        products, locations = sold_ids(dataset)
        for name, ids in (("products", products), ("locations", locations)):
            one = _ATTRIBUTES[name]
            keys = tuple(k for k in (what if name == "products" else where) if k != one)
            rows = nw.from_native(pl.LazyFrame({one: sorted(ids)}, schema={one: pl.String}))
            if dataset.has(name, *keys):
                rows = with_attributes(dataset, rows, keys)
            _write(rows, folder / f"{name}.parquet")
        about = {"kinds": names, "days": dataset.days}
        (folder / "books.json").write_text(json.dumps(about, indent=1))

    def replanned(self, frame: pl.DataFrame, plan: list[Planned]) -> pl.DataFrame:
        """Turn features under the books into those under a plan.

        Parameters
        ----------
        frame
            What `demand` gave for some series, all of their steps.
        plan
            As `read_plan` gives it.

        Raises
        ------
        NotFound, InvalidInput, MissingData
            As `what_if` and `check_known` do.
        """
        check_known(plan, self._ids("products"), self._ids("locations"))
        grain, day = self.grain, to_day(self.as_of)
        index = frame.select(grain.keys).unique(maintain_order=True).with_row_index("series")
        index = index.with_columns(pl.col("series").cast(pl.Int64))
        under = what_if(self._dataset(plan, index), plan, grain)
        block = (day - day % grain.days) // grain.days
        moved = [c for c in frame.columns if c.startswith("price_")]
        keyed = frame.drop(moved).join(index, on=grain.keys, how="left", maintain_order="left")
        keyed = keyed.with_columns((pl.col("step") + block).cast(pl.Int64).alias("block"))
        laid = with_plan(
            under, grain, self.as_of, self.horizon_days, nw.from_native(keyed.lazy())
        ).collect()
        return laid.to_polars().sort("series", "step").select(frame.columns)

    def _dataset(self, plan: list[Planned], index: pl.DataFrame) -> Dataset:
        """Read the books of the products that are asked for or planned."""
        ids = {row.product_id for row in plan}
        if "product_id" in index.columns:
            ids |= set(index.get_column("product_id"))
            of_these = pl.col("product_id").is_in(sorted(ids))
        else:
            of_these = pl.lit(value=True)
        tables: dict[str, nw.LazyFrame[Any]] = {
            name: nw.from_native(self._scan(name).filter(of_these).collect().lazy())
            for name in ("promotions", "prices")
            if self._path(name).exists()
        }
        tables |= {name: nw.from_native(self._scan(name)) for name in _ATTRIBUTES}
        day = to_day(self.as_of)
        nothing = nw.from_native(pl.LazyFrame(schema={"series": pl.Int64}))
        derived: dict[Any, Any] = {
            # Nothing before the last period is read.
            "days": (day - self.grain.days, day - 1),
            ("series", self.grain.keys): Series(nw.from_native(index.lazy()), nothing),
            "promotion_kinds": self.kinds,
        }
        for name, keys in (
            ("promoted_locations", self.grain.location_keys),
            ("promoted_products", self.grain.product_keys),
        ):
            if self._path(name).exists():
                derived[name, keys] = nw.from_native(self._scan(name))
        return Dataset("the published one", self.as_of, tables, _derived=derived)

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of promotion that the books know."""
        names: list[str] = json.loads((self.folder / "books.json").read_text())["kinds"]
        return names

    def _ids(self, name: str) -> set[str]:
        return self._sold[name]

    @cached_property
    def _sold(self) -> dict[str, set[str]]:
        return {
            name: set(self._scan(name).select(column).collect().to_series())
            for name, column in _ATTRIBUTES.items()
        }

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _scan(self, name: str) -> pl.LazyFrame:
        return pl.scan_parquet(self._path(name))


def _columns(dataset: Dataset, table: str) -> nw.LazyFrame[Any]:
    names = [c for c in TABLES[table].columns if dataset.has(table, c)]
    return dataset.table(table).select(names)


def _since(prices: nw.LazyFrame[Any], day: int) -> nw.LazyFrame[Any]:
    """Keep the changes from `day` on, and of each place the last one before."""
    place = [c for c in ("product_id", "location_id") if c in prices.collect_schema().names()]
    rows = prices.collect().to_polars()
    last = pl.col("from_day").filter(pl.col("from_day") < day).max().over(place)
    kept = rows.filter((pl.col("from_day") >= day) | (pl.col("from_day") == last))
    return nw.from_native(kept.lazy())


def _write(frame: nw.LazyFrame[Any], path: Path) -> None:
    rows = frame.collect().to_polars()
    rows.sort(rows.columns[0]).write_parquet(path, compression="zstd", row_group_size=_ROW_GROUP)
