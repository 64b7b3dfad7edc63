"""What makes an order line of what a source says: signs, kinds, revenue, order ids.

Batches with the mapped columns in, batches with the canonical ones out; used by `mapped`.
"""

from datetime import datetime

import polars as pl

from features.ingest.mapping.schema import TableSource
from features.ingest.sources import parse
from features.ingest.validation import RAW, Rule
from features.tables import DAY, TS, Table

# Flags that tell which rows were changed.
CAPPED, TURNED, PRODUCTLESS = "source.capped", "source.turned", "source.no_product"
CHANGED = {
    CAPPED: "quantity above cap_quantity counted as it",
    PRODUCTLESS: "paid for no units of a product, counted as one without a product",
    TURNED: "quantity or revenue of a return made negative",
}


def completed(table: Table, frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Add what a table's definition derives: days of instants, ends of promotions."""
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
        made = pl.concat_str([*keys, day], separator="/", ignore_nulls=True)
        frame = frame.with_columns(made.alias("order_id"))
    return frame


def signed(source: TableSource, frame: pl.DataFrame) -> pl.DataFrame:
    """Give order lines their quantity, revenue and kind, returns negative in both."""
    names = [*source.columns, *source.constants]
    money = next((name for name in ("revenue", "unit_price") if name in names), None)
    quantity = pl.col("quantity") if "quantity" in names else pl.lit(1.0)
    back = quantity < 0
    if "quantity" not in names and money is not None:
        back |= (pl.col(money) < 0).fill_null(value=False)
    if "kind" in names:
        back |= (pl.col("kind") == "return").fill_null(value=False)
    if source.returns is not None:
        back |= _is_return(source, frame).fill_null(value=False)
    frame = frame.with_columns(
        quantity.alias("quantity"),
        pl.when(back).then(pl.lit("return")).otherwise(pl.lit("sale")).alias("kind"),
    )
    if "unit_price" in names:
        frame = frame.with_columns((pl.col("quantity") * pl.col("unit_price")).alias("revenue"))
    returned = pl.col("kind") == "return"
    positive = pl.col("quantity") > 0 if "quantity" in names else pl.lit(value=False)
    if money is not None:
        positive |= (pl.col("revenue") > 0).fill_null(value=False)
    frame = frame.with_columns((returned & positive).alias(TURNED))
    turned = ["quantity"] if money is None else ["quantity", "revenue"]
    frame = frame.with_columns(
        pl.when(returned).then(-pl.col(name).abs()).otherwise(pl.col(name)).alias(name)
        for name in turned
    )
    if source.cap_quantity is not None:
        cap = source.cap_quantity
        frame = frame.with_columns((pl.col("quantity").abs() > cap).alias(CAPPED)).with_columns(
            pl.col("quantity").clip(-cap, cap)
        )
    return frame


def sign_rules(source: TableSource) -> list[Rule]:
    """Reasons to keep out lines whose amounts contradict each other."""
    names = [*source.columns, *source.constants]
    rules: list[Rule] = []
    if "unit_price" in names and "quantity" in names:
        price = source.columns.get("unit_price")
        column = f"{RAW}{price}" if price else "quantity"
        rules.append(Rule(column, "unit_price is negative", pl.col("unit_price") < 0))
    if "quantity" in source.columns:
        column = f"{RAW}{source.columns['quantity']}"
        rules.append(Rule(column, "no units", pl.col("quantity") == 0))
    if "revenue" in source.columns and "quantity" in names:
        below = (pl.col("revenue") < 0) & (pl.col("kind") == "sale")
        column = f"{RAW}{source.columns['revenue']}"
        rules.append(Rule(column, "a sale with a negative revenue", below))
    return rules


def _is_return(source: TableSource, frame: pl.DataFrame) -> pl.Series:
    rule = source.returns
    assert rule is not None  # noqa: S101
    value = parse.text(frame.get_column(f"{RAW}{rule.column}"))
    if rule.starts_with is not None:
        return value.str.starts_with(rule.starts_with)
    if rule.ends_with is not None:
        return value.str.ends_with(rule.ends_with)
    return value == str(rule.equals)
