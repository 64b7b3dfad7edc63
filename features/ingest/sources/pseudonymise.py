"""Raw customers' ids out of a batch, pseudonyms in, before anything else sees it; for `mapped`."""

import polars as pl

from features.ingest.sources import parse
from features.ingest.sources.mapped_rules import ID_BYTES, UNREAD
from features.ingest.validation import FAULT, RAW
from features.privacy.pseudonyms import Pseudonyms


def hide(batch: pl.DataFrame, column: str, pseudonyms: Pseudonyms) -> pl.DataFrame:
    """Put pseudonyms in a raw column; an id that cannot be one keeps its fault alone."""
    ids = parse.identity(batch.get_column(column))
    hidden = pseudonyms.pseudonymise(ids)
    faults = {
        UNREAD: ids.str.contains(UNREAD, literal=True),
        "-" * (ID_BYTES + 1): ids.str.len_bytes() > ID_BYTES,
    }
    for mark, faulty in faults.items():
        hidden = hidden.set(faulty.fill_null(value=False), mark)
    batch = batch.with_columns(hidden.alias(column))
    # Where fields have slipped, the id may stand in any of them.
    sound = pl.col(FAULT).is_null()
    return batch.with_columns(pl.when(sound).then(pl.col(rf"^{RAW}.*$")))
