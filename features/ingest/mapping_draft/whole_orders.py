"""Columns of a file of order lines that describe whole orders: profiles in, column names out.

Such values stand on the first line of an order alone, or are repeated on each of its lines.
"""

import polars as pl

from features.ingest.mapping_draft.profile import ColumnProfile

# Minimum number of values that further lines would have if they had any.
_MIN_EXPECTED = 10
# Share of orders within which a value of the order is constant.
_CONSTANT_SHARE = 0.95
# Fewer different values are prices of few products rather than totals of orders.
_MIN_VALUES = 10
# What shop systems call orders that came to nothing.
_CANCELLED = {
    "cancelled", "canceled", "cancel", "refunded", "voided", "void", "failed", "trash", "fraud",
    "storniert", "storno", "abgebrochen", "annule", "annulee", "annullato", "cancelado", "anulado",
    "geannuleerd",
}  # fmt: skip


def first_line_columns(order: ColumnProfile, columns: list[ColumnProfile]) -> list[str]:
    """Return the columns that have values on the first lines of orders alone."""
    ids = order.values.cast(pl.String)
    first = ids.is_first_distinct() & ids.is_not_null()
    further = ~first & ids.is_not_null()
    names = []
    for column in columns:
        filled = column.values.is_not_null()
        share = float((filled & first).sum()) / max(1, int(first.sum()))
        expected = share * int(further.sum())
        if expected >= _MIN_EXPECTED and int((filled & further).sum()) <= 0.01 * expected:
            names.append(column.name)
    return names


def order_totals(order: ColumnProfile, columns: list[ColumnProfile]) -> list[str]:
    """Return the columns of amounts that are the same on all lines of orders with several."""
    ids = order.values.cast(pl.String)
    names = []
    for column in columns:
        if column.distinct <= _MIN_VALUES:
            continue
        amounts = pl.DataFrame({"order": ids, "amount": column.numbers}).drop_nulls()
        by_order = amounts.group_by("order").agg(pl.len().alias("n"), pl.col("amount").n_unique())
        several = by_order.filter(pl.col("n") > 1).get_column("amount")
        if len(several) >= _MIN_EXPECTED and float((several == 1).mean() or 0) >= _CONSTANT_SHARE:  # type: ignore[arg-type]
            names.append(column.name)
    return names


def cancelled_orders(columns: list[ColumnProfile]) -> tuple[str, list[str]] | None:
    """Return the column of statuses, and those statuses that mean that nothing was sold."""
    for column in columns:
        if column.is_number or "status" not in column.name.lower() or column.distinct > 40:
            continue
        statuses = column.values.cast(pl.String).drop_nulls().unique().sort().to_list()
        found = [s for s in statuses if s.lower().removeprefix("wc-") in _CANCELLED]
        if found and len(found) < len(statuses):
            return column.name, found
    return None
