"""Derived columns of order lines: signs, kinds, revenue, days and order ids.

Batches with the mapped columns in, batches with the canonical columns out.
"""

from datetime import datetime

import polars as pl

from features.columns import PRODUCT_ID
from features.ingest.mapping.schema import TableSource
from features.ingest.source_columns import RAW_PREFIX
from features.ingest.sources import parse
from features.ingest.validation import Rule
from features.tables import DAY, TS, Table

# Flags of modified rows, with the texts of the import report.
CAPPED, NEGATED, PRODUCTLESS = "source.capped", "source.negated", "source.no_product"
TOUCHED = {
    CAPPED: "quantity above cap_quantity counted as it",
    PRODUCTLESS: "paid for no units of a product, counted as one without a product",
    NEGATED: "quantity or revenue of a return made negative",
}


def derive_columns(table: Table, frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Add columns that follow from mapped ones: timestamps and days, ends of spans, order ids.

    Parameters
    ----------
    names
        Columns that the source has or sets.
    """
    if "ts" in table.columns and "ts" not in names:
        epoch = pl.lit(datetime(1970, 1, 1), dtype=TS)
        frame = frame.with_columns((epoch + pl.duration(days=pl.col("day"))).alias("ts"))
    if "ts" in table.columns and "day" not in names:
        frame = frame.with_columns(pl.col("ts").dt.date().cast(DAY).alias("day"))
    if "last_day" in names:
        frame = frame.with_columns((pl.col("last_day") + 1).cast(DAY).alias("to_day"))
    if table.name == "orders" and "order_id" not in names:
        keys = [pl.col(name) for name in ("customer_id", "location_id") if name in names]
        day = pl.col("day").cast(pl.Date).cast(pl.String)
        order_id = pl.concat_str([*keys, day], separator="/", ignore_nulls=True)
        frame = frame.with_columns(order_id.alias("order_id"))
    return frame


def normalise_signs(source: TableSource, frame: pl.DataFrame) -> pl.DataFrame:
    """Set the quantity, revenue and kind of order lines; both amounts of returns are negative.

    A line without a kind, in a source that states kinds, has none unless its amounts are negative.
    """
    names = [*source.columns, *source.constants]
    money = next((name for name in ("revenue", "unit_price") if name in names), None)
    quantity = pl.col("quantity") if "quantity" in names else pl.lit(1.0)
    is_return = quantity < 0
    if "quantity" not in names and money is not None:
        is_return |= (pl.col(money) < 0).fill_null(value=False)
    if "kind" in names:
        is_return |= (pl.col("kind") == "return").fill_null(value=False)
    if source.returns is not None:
        is_return |= _matches_returns(source, frame).fill_null(value=False)
    otherwise = pl.col("kind") if "kind" in names else pl.lit("sale")
    frame = frame.with_columns(
        quantity.alias("quantity"),
        pl.when(is_return).then(pl.lit("return")).otherwise(otherwise).alias("kind"),
    )
    if "unit_price" in names:
        frame = frame.with_columns((pl.col("quantity") * pl.col("unit_price")).alias("revenue"))
    returned = pl.col("kind") == "return"
    positive = pl.col("quantity") > 0 if "quantity" in names else pl.lit(value=False)
    if money is not None:
        positive |= (pl.col("revenue") > 0).fill_null(value=False)
    frame = frame.with_columns((returned & positive).alias(NEGATED))
    amounts = ["quantity"] if money is None else ["quantity", "revenue"]
    frame = frame.with_columns(
        pl.when(returned).then(-pl.col(name).abs()).otherwise(pl.col(name)).alias(name)
        for name in amounts
    )
    if source.cap_quantity is not None:
        cap = source.cap_quantity
        frame = frame.with_columns((pl.col("quantity").abs() > cap).alias(CAPPED)).with_columns(
            pl.col("quantity").clip(-cap, cap)
        )
    return frame


def without_product(lines: pl.DataFrame, conditions: list[pl.Expr]) -> pl.DataFrame:
    """Null the product of lines that meet a `no_product` condition, and count one unit."""
    if not conditions:
        return lines
    flag = pl.any_horizontal(conditions).fill_null(value=False).alias(PRODUCTLESS)
    lines = lines.with_columns(flag)
    unit = pl.when(pl.col("kind") == "return").then(-1.0).otherwise(1.0)
    return lines.with_columns(
        pl.when(~pl.col(PRODUCTLESS)).then(PRODUCT_ID).alias(PRODUCT_ID),
        pl.when(pl.col(PRODUCTLESS)).then(unit).otherwise("quantity").alias("quantity"),
    )


def sign_rules(source: TableSource) -> list[Rule]:
    """Return rules that reject lines with inconsistent amounts."""
    names = [*source.columns, *source.constants]
    rules: list[Rule] = []
    if "unit_price" in names and "quantity" in names:
        price = source.columns.get("unit_price")
        column = f"{RAW_PREFIX}{price}" if price else "quantity"
        rules.append(Rule(column, "unit_price is negative", pl.col("unit_price") < 0))
    if "quantity" in source.columns:
        column = f"{RAW_PREFIX}{source.columns['quantity']}"
        rules.append(Rule(column, "no units", pl.col("quantity") == 0))
    if "revenue" in source.columns and "quantity" in names:
        negative_sale = (pl.col("revenue") < 0) & (pl.col("kind") == "sale")
        column = f"{RAW_PREFIX}{source.columns['revenue']}"
        rules.append(Rule(column, "a sale with a negative revenue", negative_sale))
    return rules


def _matches_returns(source: TableSource, frame: pl.DataFrame) -> pl.Series:
    """Whether a row meets the mapping's condition for returns."""
    condition = source.returns
    assert condition is not None  # noqa: S101
    value = parse.text(frame.get_column(f"{RAW_PREFIX}{condition.column}"))
    if condition.starts_with is not None:
        return value.str.starts_with(condition.starts_with)
    if condition.ends_with is not None:
        return value.str.ends_with(condition.ends_with)
    return value == str(condition.equals)
