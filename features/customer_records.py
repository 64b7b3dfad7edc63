"""Features of a few customers from their records as arrays.

A dataset with the records of a few customers and a feature function go in; what the function
returns for the dataset comes out. The function is planned once for each day (`features.
array_frames`), which is why a single customer takes a tenth of the time of a lazy frame.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from typing import Any, Self, cast

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.array_expressions import Columns, microseconds
from features.array_frames import ArrayFrame
from features.calendar import to_date, to_day
from features.columns import CUSTOMER_ID, LOCATION_ID, ORDER_ID, PRODUCT_ID
from features.customers.attributes import PREFIX
from features.customers.favourites import FAVOURITES
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset, covered_extent
from features.memo import memo
from features.returns import has_returns
from features.tables import FIRST_DAY, TABLES
from features.typing import Frame

FeatureFunction = Callable[[Dataset, datetime], Frame]
# With more customers, one query of the frame library is faster than a run for each of them.
MOST_CUSTOMERS = 16
# Plans of functions and days that are kept: one takes milliseconds to make.
MOST_PLANS = 64
# Codes of the words that feature functions compare with.
KINDS = {
    word: code
    for table in ("orders", "touchpoints")
    for code, word in enumerate(TABLES[table].columns["kind"].words)
}
# Columns of texts, and features that hold the texts of one under another name.
TEXT_COLUMNS = (ORDER_ID, PRODUCT_ID, LOCATION_ID, "category", "channel")
TEXT_FEATURES = {name: column for column, name in FAVOURITES.items()}


@dataclass(frozen=True)
class CustomerRecords:
    """Tables of one customer as arrays; texts are codes in the order of their names.

    Attributes
    ----------
    customer_id
        The customer.
    tables
        Columns by table.
    texts
        The texts of each column of codes.
    """

    customer_id: str
    tables: Mapping[str, Columns]
    texts: Mapping[str, Sequence[str]]

    @classmethod
    def encode(cls, customer_id: str, frames: Mapping[str, pl.DataFrame]) -> Self:
        """Encode the tables of a customer."""
        names: dict[str, set[Any]] = {}
        for column in (column for frame in frames.values() for column in frame.get_columns()):
            if column.dtype == pl.String and column.name not in (CUSTOMER_ID, "kind"):
                names.setdefault(column.name, set()).update(column.to_list())
        texts = {name: sorted(values - {None}) for name, values in names.items()}
        codes: dict[str, dict[str | None, float]] = {
            name: {None: np.nan} | {text: float(code) for code, text in enumerate(values)}
            for name, values in texts.items()
        }
        tables = {
            table: {c.name: _encoded(c, codes.get(c.name, {})) for c in frame.get_columns()}
            for table, frame in frames.items()
        }
        return cls(customer_id, tables, texts)

    def rows(self, plan: ArrayFrame, as_of: datetime) -> list[dict[str, Any]]:
        """Return the rows of a planned feature function for the records before `as_of`."""
        known = {name: _before(table, microseconds(as_of)) for name, table in self.tables.items()}
        columns = dict(plan.rows(known))
        columns.pop(CUSTOMER_ID)
        values = (_decoded(array, self._texts_of(name)) for name, array in columns.items())
        return [
            {CUSTOMER_ID: self.customer_id, **dict(zip(columns, row, strict=True))}
            for row in zip(*values, strict=True)
        ]

    def _texts_of(self, feature: str) -> Sequence[str] | None:
        column = text_column(feature)
        return None if column is None else self.texts.get(column)


def customer_frame(function: FeatureFunction, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return what a feature function returns for a dataset, in no particular order.

    Records of few customers are evaluated as arrays, unless there are returns.
    """
    customers = few_customers(dataset)
    if customers is None:
        return function(dataset, as_of).collect().to_polars()
    tables = tuple((name, tuple(dataset.columns(name))) for name in dataset.tables)
    plan = _plan(function, tables, dataset.population, to_day(as_of))
    schema = {
        name: pl.String if name == CUSTOMER_ID or _is_text(name, dataset) else pl.Float64
        for name in plan.names
    }
    rows = [row for records in customers for row in records.rows(plan, as_of)]
    return pl.from_dicts(rows, schema=schema) if rows else pl.DataFrame(schema=schema)


def dataset_of_part(
    frames: Mapping[str, pl.DataFrame], population: PopulationStatistics
) -> Dataset:
    """Return a dataset with the canonical tables of a part of the customers of a population.

    Their records are encoded here, so that they are not collected from lazy frames again.
    """
    returned = bool((frames["orders"].get_column("kind") == "return").any())
    tables = {name: nw.from_native(frame.lazy()) for name, frame in frames.items()}
    records = None if returned else _records(frames)
    known = [has_returns.result(returned), few_customers.result(records)]
    return Dataset("posted", "posted", tables, population).with_results(known)


@memo()
def few_customers(dataset: Dataset) -> list[CustomerRecords] | None:
    """Return the records of each customer; None if there are many, or any returns.

    What a return cancels is left to the frame library, and so are whole populations.
    """
    if dataset.population is None or has_returns(dataset):
        return None
    return _records({name: table.collect().to_polars() for name, table in dataset.tables.items()})


def _records(frames: Mapping[str, pl.DataFrame]) -> list[CustomerRecords] | None:
    """Return the records of each customer with orders, by id; None if there are many."""
    ids = set(frames["orders"].get_column(CUSTOMER_ID).to_list())
    if len(ids) > MOST_CUSTOMERS:
        return None
    return [
        CustomerRecords.encode(
            name, {table: _rows_of(frame, name) for table, frame in frames.items()}
        )
        for name in sorted(ids)
    ]


def _rows_of(frame: pl.DataFrame, customer_id: str) -> pl.DataFrame:
    """Return the rows of a customer; all rows of a table without customers."""
    if CUSTOMER_ID not in frame.columns:
        return frame
    chosen = frame.get_column(CUSTOMER_ID) == customer_id
    return frame if chosen.all() else frame.filter(chosen)


@lru_cache(MOST_PLANS)
def _plan(
    function: FeatureFunction,
    tables: tuple[tuple[str, tuple[str, ...]], ...],
    population: PopulationStatistics | None,
    day: int,
) -> ArrayFrame:
    """Plan a feature function for records of a day that are known at any time of it."""
    frames: Any = {name: ArrayFrame.table(name, columns, KINDS) for name, columns in tables}
    known = [has_returns.result(value=False), covered_extent.result((FIRST_DAY, day))]
    dataset = Dataset("posted", "plan", frames, population).with_results(known)
    end = datetime.combine(to_date(day), time.max)
    return cast(ArrayFrame, function(dataset, end))


def text_column(feature: str) -> str | None:
    """Return the column of a table whose texts a feature has, if it has any."""
    if feature.startswith(PREFIX):
        return feature.removeprefix(PREFIX)
    if feature.startswith("top_category_"):
        return "category"
    column = TEXT_FEATURES.get(feature, feature)
    return column if column in TEXT_COLUMNS else None


def _is_text(feature: str, dataset: Dataset) -> bool:
    column = text_column(feature)
    if not feature.startswith(PREFIX):
        return column is not None
    return dataset.table("customers").collect_schema()[str(column)] == nw.String


def _before(table: Columns, instant: int) -> Columns:
    if "ts" not in table or (known := table["ts"] < instant).all():
        return table
    return {name: values[known] for name, values in table.items()}


def _encoded(column: pl.Series, codes: Mapping[str | None, float]) -> NDArray[Any]:
    if column.name == CUSTOMER_ID:
        return np.zeros(len(column))
    if column.name == "kind":
        return np.array([KINDS[word] for word in column.to_list()], np.int64)
    if column.dtype == pl.String:
        return np.array([codes[text] for text in column.to_list()], np.float64)
    whole = column.dtype.is_temporal() or column.dtype.is_integer()
    dtype = pl.Int64 if whole and not column.null_count() else pl.Float64
    # Missing values become NaN.
    return column.cast(dtype).to_numpy()


def _decoded(values: NDArray[Any], texts: Sequence[str] | None) -> list[Any]:
    """Return values as Python objects, None where they are missing."""
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if texts is not None:
            return [
                None if is_missing else texts[int(code)]
                for code, is_missing in zip(values.tolist(), missing.tolist(), strict=True)
            ]
        if missing.any():
            return [None if value != value else value for value in values.tolist()]
    plain: list[Any] = values.tolist()
    return plain
