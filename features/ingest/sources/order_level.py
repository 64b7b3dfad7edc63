"""Values of whole orders: raw batches of order lines in, with an order's values on all lines out.

Exports write the status or the customer of an order on its first line alone. Accounts that are no
customer, such as that of a till, are removed here as well.
"""

from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from features.ingest.mapping.schema import TableSource
from features.ingest.source_columns import FAULT, RAW_PREFIX, SOURCE_FILE
from features.ingest.sources.mapped_rules import NotationOf, matches
from features.ingest.sources.numbers import MISSING

# Flags lines of an account that is no customer, with the text of the import report.
NO_CUSTOMER = "source.no_customer"
NO_CUSTOMER_TEXT = "lines of an account that is no customer, stored without one"
_FIRST = "#first:"

BatchTransform = Callable[[pl.DataFrame], pl.DataFrame]


def order_transforms(
    source: TableSource, frame: pl.LazyFrame, notation: NotationOf
) -> tuple[BatchTransform, ...]:
    """Return what is done to raw batches of order lines before ids are replaced.

    Parameters
    ----------
    frame
        All raw rows of the source; they are read once more if columns are of whole orders.
    notation
        Returns how a column of the source writes numbers.
    """
    transforms: list[BatchTransform] = []
    if source.order_level:
        columns = [f"{RAW_PREFIX}{name}" for name in source.order_level]
        order = f"{RAW_PREFIX}{source.columns['order_id']}"
        values = _first_values(frame, order, columns)
        transforms.append(partial(_fill, order=order, columns=columns, values=values))
    if source.no_customer:
        transforms.append(partial(_without_customer, source=source, notation=notation))
    return tuple(transforms)


def _first_values(frame: pl.LazyFrame, order: str, columns: Sequence[str]) -> list[pl.DataFrame]:
    """Return the first value of each column by file and order, and the last of those by order.

    An order of several files has its values in one of them.
    """
    texts = [_present(column).alias(f"{_FIRST}{column}") for column in columns]
    present = (
        frame.filter(pl.col(FAULT).is_null(), pl.col(order).is_not_null())
        .select(SOURCE_FILE, order, *texts)
        .filter(pl.any_horizontal(pl.col(text.meta.output_name()).is_not_null() for text in texts))
    )
    first = pl.col(rf"^{_FIRST}.*$").drop_nulls().first()
    by_file = present.group_by(SOURCE_FILE, order, maintain_order=True).agg(first).collect()
    by_order = by_file.group_by(order, maintain_order=True).agg(
        pl.col(rf"^{_FIRST}.*$").drop_nulls().last()
    )
    return [by_file, by_order]


def _present(column: str) -> pl.Expr:
    """Return a raw column, null where its text denotes a missing value."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    return pl.when(~text.is_in(MISSING)).then(pl.col(column))


def _fill(
    batch: pl.DataFrame, order: str, columns: Sequence[str], values: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """Fill missing values of a batch by those of the order."""
    names = batch.columns
    for lookup in values:
        keys = [name for name in (SOURCE_FILE, order) if name in lookup.columns]
        batch = batch.join(lookup, on=keys, how="left", maintain_order="left")
        batch = batch.with_columns(
            pl.coalesce(_present(column), f"{_FIRST}{column}").alias(column) for column in columns
        ).select(names)
    return batch


def _without_customer(
    batch: pl.DataFrame, source: TableSource, notation: NotationOf
) -> pl.DataFrame:
    """Null the customer of lines that match a `no_customer` condition, and flag them."""
    conditions = [matches(where, notation) for where in source.no_customer]
    flag = pl.any_horizontal(conditions).fill_null(value=False).alias(NO_CUSTOMER)
    customer = f"{RAW_PREFIX}{source.columns['customer_id']}"
    flagged = batch.with_columns(flag)
    return flagged.with_columns(pl.when(~pl.col(NO_CUSTOMER)).then(customer).alias(customer))
