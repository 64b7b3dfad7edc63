"""Published histories: what each customer bought before the instant of a version, on disk.

A dataset and an instant go in; memory-mapped columns of order lines and touchpoints by customer
come out, as canonical tables. With newer orders they make the history that a live customer is
scored by. A folder holds:

customers.parquet
    customer_id, ascending; orders_end and touchpoints_end, the row after the customer's last one
    (the first one is the end of the customer before); and the attributes.
texts.parquet
    The texts of each column of codes, one row each: column, text.
orders_<column>.npy, touchpoints_<column>.npy
    Columns in the order of customer and time; texts as codes, -1 where there is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.columns import CUSTOMER_ID
from features.customers.attributes import PREFIX, attribute_columns, attributes
from features.dataset import Dataset
from features.tables import TABLES
from training.published import arrays

CUSTOMERS, TEXTS = "customers.parquet", "texts.parquet"
TABLE_NAMES = ("orders", "touchpoints")
# Columns of the tables that features do not read, or that follow from others.
LEFT_OUT = {CUSTOMER_ID, "day", "line", "campaign_id", "cost"}


def publish(dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the order lines and touchpoints before `as_of` of every customer with an order."""
    frames = {name: _known(dataset, name, as_of) for name in TABLE_NAMES if name in dataset.tables}
    customers = frames["orders"].select(CUSTOMER_ID).unique().sort(CUSTOMER_ID)
    texts = []
    for table, of_all in frames.items():
        bought = pl.col(CUSTOMER_ID).is_in(customers.get_column(CUSTOMER_ID).implode())
        frame = of_all.filter(bought)
        counts = frame.group_by(CUSTOMER_ID).agg(pl.len().alias("rows"))
        joined = customers.select(CUSTOMER_ID).join(counts, on=CUSTOMER_ID, how="left")
        ends = joined.get_column("rows").fill_null(0).cum_sum().cast(pl.Int64)
        customers = customers.with_columns(ends.alias(f"{table}_end"))
        for column in frame.drop(CUSTOMER_ID).get_columns():
            name, values = f"{table}_{column.name}", column
            if column.dtype == pl.String:
                levels = column.drop_nulls().unique().sort()
                values = column.cast(pl.Enum(levels)).to_physical().cast(pl.Int32).fill_null(-1)
                texts.append(pl.DataFrame({"column": name, "text": levels}))
            arrays.write(folder, {name: values.to_physical().to_numpy()})
    if attribute_columns(dataset):
        described = attributes(dataset).collect().to_polars()
        customers = customers.join(described, on=CUSTOMER_ID, how="left", maintain_order="left")
    customers.write_parquet(folder / CUSTOMERS)
    pl.concat(texts).write_parquet(folder / TEXTS)


def _known(dataset: Dataset, table: str, as_of: datetime) -> pl.DataFrame:
    """Return the rows of customers, ordered by customer and time."""
    names = [name for name in TABLES[table].columns if dataset.has(table, name)]
    known = dataset.known(table, as_of).filter(~nw.col(CUSTOMER_ID).is_null()).select(names)
    order = [name for name in (CUSTOMER_ID, "ts", "order_id", "line") if name in names]
    kept = [name for name in names if name == CUSTOMER_ID or name not in LEFT_OUT]
    return known.collect().to_polars().sort(order).select(kept)


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from published histories; return the ids that were in them."""
    customers = pl.read_parquet(folder / CUSTOMERS)
    gone = erased(customers.get_column(CUSTOMER_ID))
    if not gone.any():
        return set()
    ends = [name for name in customers.columns if name.endswith("_end")]
    for end in ends:
        counts = customers.get_column(end).diff().fill_null(customers.get_column(end)[0])
        kept = np.repeat(~gone.to_numpy(), counts.to_numpy())
        for path in folder.glob(f"{end.removesuffix('_end')}_*.npy"):
            arrays.replace(path, np.load(path, mmap_mode="r")[kept])
        left = pl.select(pl.when(~gone).then(counts).otherwise(0).cum_sum().alias(end))
        customers = customers.with_columns(left)
    (folder / CUSTOMERS).unlink()
    customers.filter(~gone).write_parquet(folder / CUSTOMERS)
    return set(customers.get_column(CUSTOMER_ID).filter(gone))


@dataclass(frozen=True)
class Histories:
    """Published histories, memory-mapped.

    Attributes
    ----------
    folder
        The published folder.
    customers
        What `publish` writes of each customer.
    rows
        The row of each customer in `customers`.
    texts
        The texts of each column of codes.
    """

    folder: Path
    customers: pl.DataFrame
    rows: Mapping[str, int]
    texts: Mapping[str, pl.Series]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `publish` writes."""
        customers = pl.read_parquet(folder / CUSTOMERS)
        by_column = pl.read_parquet(folder / TEXTS).partition_by("column", as_dict=True)
        texts = {str(name): frame.get_column("text") for (name,), frame in by_column.items()}
        ids = customers.get_column(CUSTOMER_ID)
        return cls(folder, customers, {name: row for row, name in enumerate(ids)}, texts)

    def table(self, name: str, customer_id: str, key: str) -> pl.DataFrame | None:
        """Return the rows of a customer as a canonical table, in order of time.

        Parameters
        ----------
        name
            `orders` or `touchpoints`.
        customer_id
            The customer; a table of an unknown one has no rows.
        key
            The `customer_id` of the rows.

        Returns
        -------
        polars.DataFrame or None
            None if the records have no such table.
        """
        if f"{name}_end" not in self.customers.columns:
            return None
        row = self.rows.get(customer_id)
        ends = self._ends[name]
        first, end = (0, 0) if row is None else (int(ends[row - 1]) if row else 0, int(ends[row]))
        columns = {}
        for column, values in self._columns[name].items():
            part = values[first:end]
            texts = self.texts.get(f"{name}_{column}")
            if texts is None:
                columns[column] = pl.Series(column, part, TABLES[name].columns[column].dtype)
            else:
                columns[column] = _decoded(part, texts).alias(column)
        size = end - first
        days = columns["ts"].to_numpy().astype("datetime64[D]").astype(np.int32)
        columns |= {"customer_id": pl.Series("customer_id", [key] * size, pl.String)}
        columns["day"] = pl.Series("day", days, pl.Int32)
        if name == "orders":
            columns["line"] = pl.Series("line", range(size), TABLES[name].columns["line"].dtype)
        return pl.DataFrame(
            [
                columns[column] if column in columns else pl.Series(column, [None] * size, dtype)
                for column, dtype in (
                    (column, entry.dtype) for column, entry in TABLES[name].columns.items()
                )
            ]
        )

    def attributes(self, customer_id: str) -> dict[str, Any]:
        """Return the known attributes of a customer."""
        row = self.rows.get(customer_id)
        names = [name for name in self.customers.columns if name.startswith(PREFIX)]
        if row is None:
            return {}
        values = ((name.removeprefix(PREFIX), self.customers.item(row, name)) for name in names)
        return {name: value for name, value in values if value is not None}

    @cached_property
    def _ends(self) -> dict[str, NDArray[Any]]:
        tables = [name for name in TABLE_NAMES if f"{name}_end" in self.customers.columns]
        return {name: self.customers.get_column(f"{name}_end").to_numpy() for name in tables}

    @cached_property
    def _columns(self) -> dict[str, dict[str, NDArray[Any]]]:
        found: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in TABLE_NAMES}
        for path in self.folder.glob("*.npy"):
            table, _, column = path.stem.partition("_")
            found[table][column] = arrays.read(self.folder, path.stem)
        return found


def _decoded(codes: NDArray[Any], texts: pl.Series) -> pl.Series:
    if (codes >= 0).all():
        return texts.gather(codes)
    return pl.Series(
        [None if code < 0 else texts[code] for code in codes.tolist()], dtype=pl.String
    )
