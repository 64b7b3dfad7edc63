"""Which line of an order is which, where the source numbers none: rows in, line numbers out.

Exports overlap, cut orders in the middle and correct lines. A line is recognised by its content
and, of several with one content, by its place among them; what is left is taken for a corrected
line where order, product and kind are those of a known one; anything else is a new line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

FILE = "#file"
_NTH, _VISIT, _BESIDE = "#nth", "#visit", "#beside"


@dataclass(frozen=True)
class LineIdentity:
    """By what a corrected line is recognised.

    Attributes
    ----------
    corrected_by
        Columns that a correction leaves alone, besides the order; none where nothing but its
        content tells a line from its neighbour.
    """

    corrected_by: tuple[str, ...]


def identity(mapped: Sequence[str]) -> LineIdentity:
    """Choose what recognises a corrected line, from the columns that the source has."""
    own_orders = "order_id" in mapped
    if "product_id" not in mapped:
        return LineIdentity(("kind",) if own_orders else ())
    # Where an order is what a customer bought in a day, another time is another purchase.
    return LineIdentity(("product_id", "kind") if own_orders else ("product_id", "kind", "ts"))


def number_lines(rows: pl.DataFrame, known: pl.DataFrame, rule: LineIdentity) -> pl.DataFrame:
    """Give each row, as `line`, the number of the line that it is.

    Parameters
    ----------
    rows
        Order lines in the order in which they came, with FILE.
    known
        Lines that have a number already, with the same columns but FILE, by order and line.
    """
    names = known.columns
    several = rows.get_column(FILE).n_unique() > 1
    counted = pl.int_range(pl.len(), dtype=pl.Int32).over("order_id")
    # How many files before this one have lines of the order.
    visit = pl.col(FILE).ne_missing(pl.col(FILE).shift()).cum_sum().over("order_id")
    rows = rows.with_columns(counted.alias("line"), (visit if several else pl.lit(1)).alias(_VISIT))
    met = known.join(rows.select(pl.col("order_id").unique()), on="order_id", how="semi")
    again = pl.concat([met, rows.filter(pl.col(_VISIT) > 1).select(names)]).get_column("order_id")
    if again.is_empty():
        return rows.select(names)
    if not several and rows.select(names).sort("order_id", "line").equals(known):
        return rows.select(names)
    twice = pl.col("order_id").is_in(again.unique().implode())
    rest = rows.filter(twice)
    numbered = [rows.filter(~twice).select(names)]
    for number in range(1, 1 + int(rest.get_column(_VISIT).max() or 0)):  # type: ignore[arg-type]
        arriving = rest.filter(pl.col(_VISIT) == number).select(names)
        recognised = _recognised(arriving, met, rule)
        numbered.append(recognised)
        kept = met.join(recognised, on=["order_id", "line"], how="anti", maintain_order="left")
        met = pl.concat([kept, recognised])
    return pl.concat(numbered)


def _recognised(rows: pl.DataFrame, known: pl.DataFrame, rule: LineIdentity) -> pl.DataFrame:
    """Recognise the rows that one file has of some orders among the lines known of them."""
    names = rows.columns
    content = [name for name in names if name not in ("line", "day")]
    place = pl.int_range(pl.len(), dtype=pl.Int32)
    rows = rows.drop("line").with_row_index(_BESIDE)
    found, left, spare = _matched(rows, known, content)
    parts = [found]
    if rule.corrected_by:
        same = [name for name in ("order_id", *rule.corrected_by) if name in names]
        found, left, _ = _matched(left, spare, same)
        parts.append(found)
    last = known.group_by("order_id").agg((pl.col("line").max() + 1).alias("#next"))
    new = left.sort(_BESIDE).join(last, on="order_id", how="left", maintain_order="left")
    start = pl.col("#next").fill_null(0)
    parts.append(
        new.with_columns((start + place.over("order_id")).cast(pl.Int32).alias("line")).drop(
            "#next"
        )
    )
    columns = [*rows.columns, "line"]
    return pl.concat([part.select(columns) for part in parts]).sort(_BESIDE).select(names)


def _matched(
    rows: pl.DataFrame, known: pl.DataFrame, on: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Match the n-th row of some values with the n-th known line of them.

    Returns
    -------
    Rows with the line that each is; the rows left over; the lines left over.
    """
    nth = pl.int_range(pl.len(), dtype=pl.Int32).over(on).alias(_NTH)
    keys = [*on, _NTH]
    rows = rows.sort(_BESIDE).with_columns(nth)
    known = known.sort("order_id", "line").with_columns(nth)
    lines = known.select(*keys, "line")
    both = rows.join(lines, on=keys, how="left", nulls_equal=True, maintain_order="left")
    found = both.filter(pl.col("line").is_not_null()).drop(_NTH)
    left = both.filter(pl.col("line").is_null()).drop(_NTH, "line")
    spare = known.join(rows.select(keys), on=keys, how="anti", nulls_equal=True).drop(_NTH)
    return found, left, spare
