"""Consent: who has not said yes is nobody to personal models, and what they bought still counts.

Applied where a dataset is opened, so that features, models, batch answers and what is published
all know the same people, and none of them has to ask.
"""

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from features.columns import CUSTOMER_ID

# Of a column of flags or of words, in capitals or not; everything else, and nothing, is a no.
YES = ("true", "yes", "y", "t", "1", "1.0")
NO = ("false", "no", "n", "f", "0", "0.0")
Tables = Mapping[str, nw.LazyFrame[Any]]


def consent_columns(columns: list[str]) -> list[str]:
    """Return those columns of `customers` that say who agreed: `consent`, `consent_...`."""
    return [name for name in columns if name == "consent" or name.startswith("consent_")]


def apply_consent(tables: Tables, asked: Tables | None = None) -> Tables:
    """Leave out whoever has not agreed, in every column that asks.

    Their order lines become anonymous; their rows of `customers` and `touchpoints` go. Tables
    of a retailer who records no consent are returned as they are.

    Parameters
    ----------
    asked
        The newest tables, where `tables` are older: a withdrawal holds for the past too.
    """
    agreed = consenting_ids(tables if asked is None else asked)
    if agreed is None:
        return tables
    said_yes = nw.col(CUSTOMER_ID).is_in(agreed)
    kept = dict(tables)
    if CUSTOMER_ID in columns_of(tables, "orders"):
        known = nw.when(said_yes).then(nw.col(CUSTOMER_ID)).otherwise(None)
        kept["orders"] = tables["orders"].with_columns(known.alias(CUSTOMER_ID))
    for name in ("customers", "touchpoints"):
        if name in tables:
            kept[name] = tables[name].filter(said_yes)
    return kept


def consenting_ids(tables: Tables) -> list[str] | None:
    """Return the ids of those who agreed; None where nobody was asked."""
    asked = consent_columns(columns_of(tables, "customers"))
    if not asked:
        return None
    yes = nw.all_horizontal(*(_word(name).is_in(YES) for name in asked), ignore_nulls=False)
    found = tables["customers"].filter(yes).select(CUSTOMER_ID).collect().get_column(CUSTOMER_ID)
    ids: list[str] = found.to_list()
    return ids


def is_unclear(columns: list[str]) -> nw.Expr:
    """Say where an answer is neither a yes nor a no; at least one column has to be given."""
    unclear = (~_word(name).is_in((*YES, *NO)) for name in columns)
    return nw.any_horizontal(*unclear, ignore_nulls=True)


def _word(column: str) -> nw.Expr:
    return nw.col(column).cast(nw.String).str.strip_chars().str.to_lowercase()


def columns_of(tables: Tables, name: str) -> list[str]:
    """Return the names of a table's columns; none where there is no such table."""
    return tables[name].collect_schema().names() if name in tables else []
