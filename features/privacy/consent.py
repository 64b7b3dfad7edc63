"""Consent: canonical tables in, the same tables without data of customers who did not consent out.

It is applied when a dataset is opened, so that features, models and published answers all follow
it. Purchases of customers without consent stay in the tables as anonymous ones.
"""

from collections.abc import Mapping

import narwhals as nw

from features.columns import CUSTOMER_ID
from features.typing import Frame

# Values of consent columns, case-insensitive. An import rejects others; a missing one is a no.
YES = ("true", "yes", "y", "t", "1", "1.0")
NO = ("false", "no", "n", "f", "0", "0.0")
Tables = Mapping[str, Frame]


def consent_columns(columns: list[str]) -> list[str]:
    """Return the columns of `customers` that record consent: `consent`, `consent_...`."""
    return [name for name in columns if name == "consent" or name.startswith("consent_")]


def apply_consent(tables: Tables, newest: Tables | None = None) -> Tables:
    """Remove data of customers who have not consented in every consent column.

    Their order lines become anonymous. Their rows of `customers` and `touchpoints` are removed.
    Without a consent column the tables are returned as they are.

    Parameters
    ----------
    tables
        Tables of a snapshot.
    newest
        Tables of the newest snapshot, if `tables` are older: a withdrawal applies to the past too.
    """
    ids = consenting_ids(tables if newest is None else newest)
    if ids is None:
        return tables
    consents = nw.col(CUSTOMER_ID).is_in(ids)
    kept = dict(tables)
    if CUSTOMER_ID in columns_of(tables, "orders"):
        known = nw.when(consents).then(nw.col(CUSTOMER_ID)).otherwise(None)
        kept["orders"] = tables["orders"].with_columns(known.alias(CUSTOMER_ID))
    for name in ("customers", "touchpoints"):
        if name in tables:
            kept[name] = tables[name].filter(consents)
    return kept


def consenting_ids(tables: Tables) -> list[str] | None:
    """Return the ids of consenting customers; None without a consent column."""
    columns = consent_columns(columns_of(tables, "customers"))
    if not columns:
        return None
    yes = nw.all_horizontal(*(_word(name).is_in(YES) for name in columns), ignore_nulls=False)
    customers = tables["customers"].filter(yes).select(CUSTOMER_ID).collect()
    ids: list[str] = customers.get_column(CUSTOMER_ID).to_list()
    return ids


def _word(column: str) -> nw.Expr:
    return nw.col(column).cast(nw.String).str.strip_chars().str.to_lowercase()


def columns_of(tables: Tables, name: str) -> list[str]:
    """Return the names of a table's columns; empty if there is no such table."""
    return tables[name].collect_schema().names() if name in tables else []
