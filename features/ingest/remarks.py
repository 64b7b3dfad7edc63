"""Remarks on imported order lines that deserve a check: stored lines in, texts with counts out."""

import polars as pl

from features.columns import CUSTOMER_ID, ORDER_ID

# Share of all receipts above which an account may be that of a till.
_ACCOUNT_SHARE = 0.2
_MIN_CUSTOMERS = 10


def dominant_account(lines: pl.LazyFrame) -> dict[str, int]:
    """Return a remark, with the number of lines, on an account with a large part of all receipts.

    The account with the most lines is examined.
    """
    if CUSTOMER_ID not in lines.collect_schema().names():
        return {}
    counts = (
        lines.filter(pl.col(CUSTOMER_ID).is_not_null())
        .group_by(CUSTOMER_ID)
        .len()
        .collect(engine="streaming")
    )
    if counts.height < _MIN_CUSTOMERS:
        return {}
    account, count = counts.sort("len", CUSTOMER_ID, descending=[True, False]).row(0)
    total = int(lines.select(pl.len()).collect().item())
    # Receipts are counted only where their share can be large: counting all takes memory.
    if count < _ACCOUNT_SHARE / 2 * total:
        return {}
    own = lines.filter(pl.col(CUSTOMER_ID) == account)
    receipts, all_receipts = (
        int(rows.select(pl.col(ORDER_ID).n_unique()).collect(engine="streaming").item())
        for rows in (own, lines)
    )
    share = receipts / max(1, all_receipts)
    if share < _ACCOUNT_SHARE:
        return {}
    return {
        f"customer {account!r} has {share:.0%} of all receipts; if it is an account of the till, "
        "no_customer in the mapping leaves it out": count
    }
