"""Doubts about order lines: the profile of a file in, comments for the reader of the draft out."""

import json

import polars as pl

from features.ingest.mapping_draft.sections import FileProfile

# Share of all receipts above which an account may be that of a till.
_ACCOUNT_SHARE = 0.2
_MIN_CUSTOMERS = 10
# Accounts of tills that shops of any size use.
_WALK_IN = {"0", "-1", "guest", "gast", "anonymous", "unknown", "walk-in", "walkin", "cash", "none"}
_MIN_WALK_IN_SHARE = 0.02


def order_doubts(file: FileProfile, columns: dict[str, str]) -> list[str]:
    """Return what should be checked in the lines of a file, one sentence each.

    Parameters
    ----------
    columns
        Source column by canonical column.
    """
    return [
        *_prices(file, columns),
        *_returns(file, columns),
        *_missing_customers(file, columns),
    ]


def _prices(file: FileProfile, columns: dict[str, str]) -> list[str]:
    role = next((role for role in ("unit_price", "revenue") if role in columns), None)
    if role is None:
        return []
    name = columns[role]
    share = _share(file.columns[name].numbers == 0)
    if not share:
        return []
    drop = f'drop = [ {{ column = {_quoted(name)}, in = [0, "0.00"], reason = "no price" }} ]'
    return [f"{share} of the lines have {_quoted(name)} = 0; if they are no sales: {drop}"]


def _returns(file: FileProfile, columns: dict[str, str]) -> list[str]:
    if "quantity" not in columns:
        return []
    name = columns["quantity"]
    share = _share(file.columns[name].numbers < 0)
    return (
        [f"{share} of the lines have a negative {_quoted(name)}: they are returns"] if share else []
    )


def _missing_customers(file: FileProfile, columns: dict[str, str]) -> list[str]:
    if "customer_id" not in columns:
        return []
    name = columns["customer_id"]
    missing = file.columns[name].values.is_null()
    share = _share(missing)
    if not share or name in file.first_line_columns:
        return []
    return [f"{share} of the lines have no customer; they count for products, not for customers"]


def walk_in_accounts(file: FileProfile, columns: dict[str, str]) -> list[str]:
    """Return the comment on an account with a large part of all receipts, with the key for it."""
    if "customer_id" not in columns:
        return []
    name = columns["customer_id"]
    receipt = [columns[role] for role in ("order_id", "ts") if role in columns][:1]
    ids = file.columns[name].values.cast(pl.String)
    frame = pl.DataFrame({"customer": ids}).with_columns(
        file.columns[column].values.cast(pl.String).alias("receipt") for column in receipt
    )
    receipts = frame.unique().drop_nulls("customer")
    counts = receipts.group_by("customer").len().sort("len", "customer", descending=[True, False])
    if counts.height < _MIN_CUSTOMERS:
        return []
    total = frame.select(receipt and "receipt").n_unique() if receipt else frame.height
    lines = []
    for account, count in counts.head(3).iter_rows():
        share = count / max(1, total)
        is_walk_in = account.lower() in _WALK_IN and share >= _MIN_WALK_IN_SHARE
        if share < _ACCOUNT_SHARE and not is_walk_in:
            continue
        lines += [
            f"# {_quoted(name)} = {_quoted(account)} has {share:.0%} of all receipts. If it is an "
            "account of the till and no customer:",
            f"# no_customer = [ {{ column = {_quoted(name)}, in = [{_quoted(account)}] }} ]",
        ]
    return lines


def _share(matches: pl.Series) -> str:
    """Return the share of rows that match, as text; empty if none does."""
    count = int(matches.sum() or 0)
    share = count / max(1, len(matches))
    return "" if not count else f"{share:.1%}" if share >= 0.001 else f"{count:,}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
