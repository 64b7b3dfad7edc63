"""Pseudonymisation of a raw batch: customer ids in, pseudonyms out, before any other step."""

import polars as pl

from features.ingest.source_columns import FAULT, RAW_PREFIX
from features.ingest.sources import parse
from features.ingest.sources.mapped_rules import ID_BYTES, REPLACEMENT
from features.privacy.pseudonyms import Pseudonyms


def pseudonymise_column(batch: pl.DataFrame, column: str, pseudonyms: Pseudonyms) -> pl.DataFrame:
    """Replace the ids of a raw column by pseudonyms.

    An invalid id is replaced by a marker that fails the same rule. In unreadable rows, any raw
    value may be a shifted id: all raw columns become null.
    """
    ids = parse.identifier(batch.get_column(column))
    replaced = pseudonyms.pseudonymise(ids)
    invalid = {
        REPLACEMENT: ids.str.contains(REPLACEMENT, literal=True),
        "-" * (ID_BYTES + 1): ids.str.len_bytes() > ID_BYTES,
    }
    for marker, is_invalid in invalid.items():
        replaced = replaced.set(is_invalid.fill_null(value=False), marker)
    batch = batch.with_columns(replaced.alias(column))
    readable = pl.col(FAULT).is_null()
    return batch.with_columns(pl.when(readable).then(pl.col(rf"^{RAW_PREFIX}.*$")))
