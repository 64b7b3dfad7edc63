"""Line numbers for order lines of sources without any: rows in, rows with `line` out.

Exports overlap, split orders between files and correct lines. A line is recognised by its content
and, among lines of equal content, by its position. A remaining row is a correction if it shares
order, product and kind with a known line, and a new line otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from features.storage.snapshots import SOURCE

# The file that a row was read from; dropped once lines are numbered.
LINE_FILE = "#file"
_OCCURRENCE, _VISIT, _ARRIVAL, _NEXT = "#occurrence", "#visit", "#arrival", "#next"


@dataclass(frozen=True)
class LineIdentity:
    """How a corrected line is recognised.

    Attributes
    ----------
    stable_columns
        Columns, besides the order, that a correction does not change; empty if lines can only be
        recognised by their whole content.
    """

    stable_columns: tuple[str, ...]


def choose_line_identity(columns: Sequence[str]) -> LineIdentity:
    """Choose the columns that recognise a corrected line among the columns of a source."""
    has_order_id = "order_id" in columns
    if "product_id" not in columns:
        return LineIdentity(("kind",) if has_order_id else ())
    # Without order ids an order is a customer's day, and another time is another purchase.
    return LineIdentity(("product_id", "kind") if has_order_id else ("product_id", "kind", "ts"))


def number_lines(rows: pl.DataFrame, known: pl.DataFrame, identity: LineIdentity) -> pl.DataFrame:
    """Add the column `line`, the number of each row's line within its order.

    Parameters
    ----------
    rows
        Order lines in order of arrival, with LINE_FILE.
    known
        Numbered lines, with the same columns except LINE_FILE, sorted by order and line.
    """
    columns = known.columns
    several_files = rows.get_column(LINE_FILE).n_unique() > 1
    position = pl.int_range(pl.len(), dtype=pl.Int32).over("order_id")
    # Counts the files that mention an order, in order of arrival.
    changes = pl.col(LINE_FILE).ne_missing(pl.col(LINE_FILE).shift())
    visit = changes.cum_sum().over("order_id") if several_files else pl.lit(1)
    rows = rows.with_columns(position.alias("line"), visit.alias(_VISIT))
    known_lines = known.join(rows.select(pl.col("order_id").unique()), on="order_id", how="semi")
    repeated = pl.concat([known_lines, rows.filter(pl.col(_VISIT) > 1).select(columns)])
    orders = repeated.get_column("order_id")
    if orders.is_empty():
        return rows.select(columns)
    if not several_files and rows.select(columns).sort("order_id", "line").equals(known):
        return rows.select(columns)
    in_repeated = pl.col("order_id").is_in(orders.unique().implode())
    remaining = rows.filter(in_repeated)
    numbered = [rows.filter(~in_repeated).select(columns)]
    visits = int(remaining.get_column(_VISIT).max() or 0)  # type: ignore[arg-type]
    for number in range(1, 1 + visits):
        arriving = remaining.filter(pl.col(_VISIT) == number).select(columns)
        lines = _number_visit(arriving, known_lines, identity)
        numbered.append(lines)
        others = known_lines.join(lines, on=["order_id", "line"], how="anti", maintain_order="left")
        known_lines = pl.concat([others, lines])
    return pl.concat(numbered)


def _number_visit(rows: pl.DataFrame, known: pl.DataFrame, identity: LineIdentity) -> pl.DataFrame:
    """Assign line numbers to one file's rows of some orders, given the orders' known lines."""
    columns = rows.columns
    content = [name for name in columns if name not in ("line", "day", SOURCE)]
    rows = rows.drop("line").with_row_index(_ARRIVAL)
    matched, unmatched, unmatched_known = _match(rows, known, content)
    parts = [matched]
    if identity.stable_columns:
        stable = [name for name in ("order_id", *identity.stable_columns) if name in columns]
        corrected, new, missing = _match(unmatched, unmatched_known, stable)
        unit = [name for name in stable if name in ("order_id", "ts")]
        split = pl.concat(
            [_continued(matched, unmatched, unmatched_known, unit), missing.select(unit)]
        )
        parts.append(corrected.join(split, on=unit, how="anti"))
        further = corrected.join(split, on=unit, how="semi").drop("line")
        unmatched = pl.concat([new, further.select(new.columns)])
    next_line = known.group_by("order_id").agg((pl.col("line").max() + 1).alias(_NEXT))
    new = unmatched.sort(_ARRIVAL).join(next_line, on="order_id", how="left", maintain_order="left")
    position = pl.int_range(pl.len(), dtype=pl.Int32).over("order_id")
    line = (pl.col(_NEXT).fill_null(0) + position).cast(pl.Int32)
    parts.append(new.with_columns(line.alias("line")).drop(_NEXT))
    with_line = [*rows.columns, "line"]
    combined = pl.concat([part.select(with_line) for part in parts])
    return combined.sort(_ARRIVAL).select(columns)


def _continued(
    matched: pl.DataFrame, unmatched: pl.DataFrame, unmatched_known: pl.DataFrame, unit: list[str]
) -> pl.DataFrame:
    """Return the orders whose known lines end with the lines with which the rows begin."""
    lines = matched.group_by(unit).agg(
        pl.col("line").min().alias("#line"), pl.col(_ARRIVAL).max().alias("#last")
    )
    known = unmatched_known.group_by(unit).agg(pl.col("line").max().alias("#known"))
    rows = unmatched.group_by(unit).agg(pl.col(_ARRIVAL).min().alias("#first"))
    orders = lines.join(known, on=unit).join(rows, on=unit)
    follows = (pl.col("#known") < pl.col("#line")) & (pl.col("#first") > pl.col("#last"))
    return orders.filter(follows).select(unit)


def _match(
    rows: pl.DataFrame, known: pl.DataFrame, on: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Match the n-th row with some values to the n-th known line with these values.

    Returns
    -------
    matched
        Rows with the number of their known line.
    unmatched
        Rows without a known line.
    unmatched_known
        Known lines without a row.
    """
    occurrence = pl.int_range(pl.len(), dtype=pl.Int32).over(on).alias(_OCCURRENCE)
    keys = [*on, _OCCURRENCE]
    rows = rows.sort(_ARRIVAL).with_columns(occurrence)
    known = known.sort("order_id", "line").with_columns(occurrence)
    lines = known.select(*keys, "line")
    joined = rows.join(lines, on=keys, how="left", nulls_equal=True, maintain_order="left")
    matched = joined.filter(pl.col("line").is_not_null()).drop(_OCCURRENCE)
    unmatched = joined.filter(pl.col("line").is_null()).drop(_OCCURRENCE, "line")
    remaining = known.join(rows.select(keys), on=keys, how="anti", nulls_equal=True)
    return matched, unmatched, remaining.drop(_OCCURRENCE)
