"""Order lines net of returns: what customers kept, as far as it was known at an instant.

In: order lines. Out: the same lines with what is left of each purchase. A return that carries the
id of an earlier order with its product cancels units of that order; any other return, those of the
same customer's purchases of the product. Of several purchases the latest comes first. A return
that finds no earlier purchase cancels nothing.
"""

from collections.abc import Sequence

import narwhals as nw

from features.calendar import AsOf, parse_as_of
from features.columns import CUSTOMER_ID, DAY, ORDER_ID, PRODUCT_ID
from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.frames import materialise
from features.memo import memo
from features.typing import Frame

# Whether anything of a line was kept; false for returns.
IS_PURCHASE = "is_purchase"
AMOUNTS = ("quantity", "revenue", "discount")
# Units are counted in whole thousandths: sums of integers do not depend on the order of rows.
THOUSANDTHS = 1000
# A line: order ids of posted customers are unique for each customer only.
LINE = ("buyer", ORDER_ID, "line")
# Of lines at the same time, purchases come before returns.
SEQUENCE = ("ts", "is_return", ORDER_ID, "line")


@memo("orders")
def has_returns(dataset: Dataset) -> bool:
    """Whether any order line is a return."""
    returns = dataset.table("orders").filter(nw.col("kind") == "return")
    return not returns.select("kind").head(1).collect().is_empty()


def net_purchases(dataset: Dataset, as_of: AsOf) -> Frame:
    """Return the purchases known at `as_of`, less what was returned by then; see `net_lines`."""
    return net_lines(dataset, as_of).filter(nw.col(IS_PURCHASE)).drop(IS_PURCHASE)


def net_lines(dataset: Dataset, as_of: AsOf) -> Frame:
    """Return the order lines known at `as_of`, net of the returns known then.

    Returns
    -------
    narwhals.LazyFrame
        The columns of `orders`, and `is_purchase`: false for returns and for purchases that were
        returned wholly. Quantity, revenue and discount of a purchase that was returned in part
        are those of the rest; lines that are no purchases keep theirs.
    """
    lines = dataset.known("orders", as_of)
    is_sale = nw.col("kind") != "return"
    if not has_returns(dataset):
        return lines.with_columns(is_sale.alias(IS_PURCHASE))
    known = cancellations(dataset).filter(nw.col("known_ts") < parse_as_of(as_of))
    cancelled = known.group_by(*LINE).agg(nw.col("cancelled").sum())
    columns = lines.collect_schema().names()
    lines = _keyed(lines).join(cancelled, on=list(LINE), how="left")
    left = nw.col("amount") - nw.col("cancelled").fill_null(0)
    share = nw.when(left > 0).then(left / nw.col("amount")).otherwise(1.0)
    amounts = [name for name in AMOUNTS if name in columns]
    return lines.with_columns(
        (is_sale & ((left > 0) | nw.col("cancelled").is_null())).alias(IS_PURCHASE),
        *((nw.col(name) * share).alias(name) for name in amounts),
    ).select(*columns, IS_PURCHASE)


@memo("orders")
def cancellations(dataset: Dataset) -> Frame:
    """Match all returns with the purchases that they cancel.

    What a return cancels depends on earlier lines only, so that the cancellations known at an
    instant are those with an earlier `known_ts`.

    Returns
    -------
    narwhals.LazyFrame
        buyer, order_id and line of a purchase; its `amount`, how much of it a return `cancelled`
        (thousandths of units, or money where the line counts no product), and when the return was
        made: `known_ts` and `known_day`, the first day at whose start it is known. A purchase may
        have several.
    """
    lines = _keyed(dataset.table("orders")).filter(nw.col("amount") > 0)
    lines = materialise(lines.select(*LINE, "item", "ts", DAY, "is_return", "amount"))
    sales = lines.filter(nw.col("is_return") == 0)
    returns = lines.filter(nw.col("is_return") == 1)
    order, customer = ("buyer", ORDER_ID, "item"), ("buyer", "item")
    start = sales.join(returns, on=list(order), how="semi").group_by(*order).agg(nw.col("ts").min())
    returns = returns.join(start, on=list(order), how="left", suffix="_sold")
    in_order = (nw.col("ts_sold") <= nw.col("ts")).fill_null(value=False)
    returns = materialise(returns.with_columns(in_order.alias("in_order")).drop("ts_sold"))
    known_customer = nw.col("buyer") != ""
    of_order = _matches(sales, returns.filter(nw.col("in_order")), order)
    others = returns.filter(~nw.col("in_order"), known_customer)
    of_customer = _matches(sales.filter(known_customer), others, customer)
    matches = nw.concat([of_order, of_customer]).group_by(*LINE, "amount", "known_ts", "known_day")
    return materialise(_at_most_amount(matches.agg(nw.col("cancelled").sum())))


def returned_lines(lines: Frame, dataset: Dataset) -> Frame:
    """Return those of some purchases that were returned, one row per purchase and return.

    Returns
    -------
    narwhals.LazyFrame
        The columns of `lines`, with the `quantity` that was returned, and `known_day`, the first
        day at whose start the return is known.
    """
    columns = [*lines.collect_schema().names(), "known_day"]
    matches = cancellations(dataset).drop("amount")
    returned = nw.col("quantity") * (nw.col("cancelled") / nw.col("amount"))
    lines = _keyed(lines).join(matches, on=list(LINE), how="inner")
    return lines.with_columns(returned.alias("quantity")).select(columns)


def _at_most_amount(matches: Frame) -> Frame:
    """Let returns by order and by customer together cancel no more of a line than there was."""
    total = nw.col("cancelled").cum_sum().over(*LINE, order_by="known_ts")
    before = total - nw.col("cancelled")
    left = (nw.col("amount") - before).clip(lower_bound=0)
    return (
        matches.with_columns(left.alias("left"))
        .with_columns(nw.min_horizontal("cancelled", "left").alias("cancelled"))
        .filter(nw.col("cancelled") > 0)
        .drop("left")
    )


def _keyed(lines: Frame) -> Frame:
    """Add buyer and item, empty where unknown, whether the line is a return, and its amount."""
    names = lines.collect_schema().names()

    def text(column: str) -> nw.Expr:
        return nw.col(column).fill_null("") if column in names else nw.lit("")

    return lines.with_columns(
        text(CUSTOMER_ID).alias("buyer"),
        text(PRODUCT_ID).alias("item"),
        (nw.col("kind") == "return").cast(nw.Int64).alias("is_return"),
        _amount(names).alias("amount"),
    )


def _amount(names: Sequence[str]) -> nw.Expr:
    """Return thousandths of units, or units of money for lines that count no product."""
    units = (nw.col("quantity").abs() * THOUSANDTHS).round().cast(nw.Int64)
    if "revenue" not in names:
        return units
    money = (nw.col("revenue").abs() * MONEY_UNIT).round().cast(nw.Int64).fill_null(0)
    if PRODUCT_ID not in names:
        return money
    return nw.when(nw.col(PRODUCT_ID).is_null()).then(money).otherwise(units)


def _matches(sales: Frame, returns: Frame, scope: tuple[str, ...]) -> Frame:
    """Match the returns of each scope with its purchases as a stack: the last in, the first out.

    The height of a stack after a line is what had been kept by then. A purchase raises it and a
    return lowers it through the same levels: at each level, a return cancels the purchase that
    crossed the level last.
    """
    stacks = returns.select(*scope).unique().with_row_index("stack", order_by=scope)
    lines = nw.concat([sales, returns.select(sales.collect_schema().names())])
    lines = lines.join(stacks, on=list(scope)).with_row_index("number", order_by=SEQUENCE)
    signed = nw.when(nw.col("is_return") == 1).then(-nw.col("amount")).otherwise(nw.col("amount"))
    lines = lines.with_columns(_running(signed.cum_sum()).alias("balance"))
    # Returns without a purchase do not lower the stack below the ground.
    lowest = _running(nw.col("balance").cum_min())
    lines = lines.with_columns((nw.col("balance") - lowest.clip(upper_bound=0)).alias("after"))
    lines = lines.with_columns(_running(nw.col("after").shift(1)).fill_null(0).alias("before"))
    crossings = _crossings(materialise(lines)).with_columns(
        nw.col(column).shift(-1).over("stack", "level", order_by="number").alias(name)
        for column, name in (("ts", "known_ts"), (DAY, "known_day"))
    )
    cancelled = crossings.filter(nw.col("is_return") == 0, ~nw.col("known_ts").is_null())
    known_day = (nw.col("known_day") + 1).alias("known_day")
    return cancelled.select(*LINE, "amount", "cancelled", "known_ts", known_day)


def _running(expression: nw.Expr) -> nw.Expr:
    return expression.over("stack", order_by="number")


def _crossings(lines: Frame) -> Frame:
    """Return one row per line and range of levels it crosses: `level` and `cancelled` more above.

    A range lies between successive heights of the stack, so that a line crosses all of it or
    nothing. To compare a line with the levels near it only, stacks are cut into sections as high
    as their largest line, of which a line touches two at most.
    """
    section = nw.col("amount").max().over("stack").alias("section")
    lines = lines.with_columns(
        section,
        nw.min_horizontal("before", "after").alias("low"),
        nw.max_horizontal("before", "after").alias("high"),
    ).filter(nw.col("low") < nw.col("high"))
    ends = [lines.select("stack", "section", nw.col(end).alias("level")) for end in ("low", "high")]
    above = nw.col("level").shift(-1).over("stack", order_by="level")
    ranges = (
        nw.concat(ends)
        .unique()
        .with_columns((above - nw.col("level")).alias("cancelled"))
        .with_columns((nw.col("level") // nw.col("section")).alias("at"))
        .filter(~nw.col("cancelled").is_null())
        .drop("section")
    )
    lines = lines.with_columns((nw.col("low") // nw.col("section")).alias("at"))
    top = (nw.col("high") - 1) // nw.col("section")
    upper = lines.filter(top > nw.col("at")).with_columns(top.alias("at"))
    near = nw.concat([lines, upper]).join(ranges, on=["stack", "at"])
    return near.filter(nw.col("level") >= nw.col("low"), nw.col("level") < nw.col("high"))
