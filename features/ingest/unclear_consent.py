"""Unclear consent: rules that quarantine it, and the withdrawal of what was stored before.

A value that is neither yes nor no may be a withdrawal, so a consent that an earlier import stored
for the customer does not outlive it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from features.columns import CUSTOMER_ID
from features.ingest.source_columns import RAW_PREFIX
from features.ingest.validation import Rule
from features.privacy.consent import NO, YES, consent_columns
from features.storage.snapshots import scan_parts, write_part

_UNCLEAR = "is neither yes nor no"


def consent_rules(columns: Mapping[str, str]) -> list[Rule]:
    """Reject values of consent columns that are neither a yes nor a no; none is a no.

    Parameters
    ----------
    columns
        Column of the source by column of `customers`.
    """
    rules = []
    for name in consent_columns([*columns]):
        word = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase()
        unclear = ~word.is_in([*YES, *NO])
        rules.append(Rule(f"{RAW_PREFIX}{columns[name]}", f"{name} {_UNCLEAR}", unclear))
    return rules


def withdraw_unclear(folder: Path, stored: Sequence[str], rejected: pl.LazyFrame) -> list[str]:
    """Null the stored consent of customers whose new one is unclear.

    Parameters
    ----------
    folder
        The dataset's folder.
    stored
        Names of the parts of `customers`.
    rejected
        Quarantine report of the arriving rows of `customers`.

    Returns
    -------
    The names of the parts, some of them written anew.
    """
    unclear = rejected.filter(pl.col("reason").str.ends_with(_UNCLEAR), ~pl.col("dropped"))
    ids = unclear.select(pl.col(CUSTOMER_ID).unique()).collect().to_series()
    names = list(stored)
    if ids.is_empty():
        return names
    for number, name in enumerate(stored):
        rows = scan_parts(folder, [name]).collect()
        withdrawn = pl.col(CUSTOMER_ID).is_in(ids.implode())
        consents = consent_columns(rows.columns)
        if consents and rows.select(withdrawn.any()).item():
            changed = (pl.when(~withdrawn).then(pl.col(name)).alias(name) for name in consents)
            names[number] = write_part(folder, "customers", rows.with_columns(*changed))
    return names
