"""Who asked to be forgotten: remembered by salted hashes alone, and anonymous when they return.

`erasure` adds to them; `staging` applies them to whatever comes in, so that neither a repeated
import nor a corrected file brings a person back.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.columns import CUSTOMER_ID
from features.ingest.validation import FAULT, FORGOTTEN, RAW, Rule
from features.privacy.pseudonyms import Pseudonyms
from features.storage.snapshots import write_durably
from features.tables import Table

ANONYMOUS = "customer asked to be forgotten: the line is anonymous"
_FILE = "forgotten.json"
_KEPT_OUT = "customer asked to be forgotten"


@dataclass(frozen=True)
class Forgotten:
    """The forgotten of one dataset.

    Attributes
    ----------
    hashed
        By a salt of the dataset's own.
    hashes
        Of their ids as the dataset stores them.
    """

    hashed: Pseudonyms
    hashes: frozenset[str]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read them; before the first there are none."""
        path = folder / _FILE
        if not path.is_file():
            return cls(Pseudonyms(secrets.token_bytes(32)), frozenset())
        content = json.loads(path.read_text())
        return cls(Pseudonyms(bytes.fromhex(content["salt"])), frozenset(content["hashes"]))

    def with_(self, folder: Path, customer_ids: Collection[str]) -> Self:
        """Add people, durably."""
        hashes = self.hashes | {self.hashed.pseudonym(one) for one in customer_ids}
        content = {"salt": self.hashed.key.hex(), "hashes": sorted(hashes)}
        write_durably(folder / _FILE, json.dumps(content, indent=1))
        return type(self)(self.hashed, hashes)

    def among(self, customer_ids: pl.Series) -> pl.Series:
        """Say which ids are of forgotten people."""
        if not self.hashes:
            return pl.repeat(False, len(customer_ids), dtype=pl.Boolean, eager=True)  # noqa: FBT003
        return (
            self.hashed.pseudonymise(customer_ids).is_in(list(self.hashes)).fill_null(value=False)
        )

    def leave_out(self, table: Table, batch: pl.DataFrame) -> pl.DataFrame:
        """Mark the rows of forgotten people with FORGOTTEN, and make their order lines nobody's."""
        if not self.hashes or CUSTOMER_ID not in batch.columns:
            return batch
        gone = self.among(batch.get_column(CUSTOMER_ID)) | self._in_a_faulty_row(batch)
        batch = batch.with_columns(gone.alias(FORGOTTEN))
        return self.made_anonymous(batch, pl.col(FORGOTTEN)) if table.name == "orders" else batch

    def made_anonymous(self, orders: pl.DataFrame, gone: pl.Expr) -> pl.DataFrame:
        """Take the customer from order lines, and from order ids that were made of them."""
        mine = orders.select(gone & pl.col("order_id").str.starts_with(pl.col(CUSTOMER_ID) + "/"))
        made = mine.to_series().fill_null(value=False)
        hidden = orders.get_column("order_id")
        if made.any():
            hidden = self.hashed.pseudonymise(hidden).zip_with(made, hidden)
        return orders.with_columns(
            hidden.alias("order_id"), pl.when(~gone).then(CUSTOMER_ID).alias(CUSTOMER_ID)
        ).select(orders.columns)

    def rules(self, table: Table) -> list[Rule]:
        """Keep out what tells of nothing but a person."""
        if not self.hashes or CUSTOMER_ID not in table.columns or table.name == "orders":
            return []
        return [Rule(CUSTOMER_ID, _KEPT_OUT, pl.col(FORGOTTEN), dropped=True)]

    def _in_a_faulty_row(self, batch: pl.DataFrame) -> pl.Series:
        """Look in every field where a row's fields may have slipped."""
        found = pl.repeat(False, batch.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003
        if FAULT not in batch.columns or batch.get_column(FAULT).null_count() == batch.height:
            return found
        faulty = batch.get_column(FAULT).is_not_null()
        rows = batch.filter(faulty)
        raw = [name for name in batch.columns if name.startswith(RAW)]
        any_of = [
            self.among(rows.get_column(name).cast(pl.String).str.strip_chars()) for name in raw
        ]
        hit = pl.DataFrame(any_of).select(pl.any_horizontal(pl.all())) if any_of else None
        return found if hit is None else found.scatter(faulty.arg_true(), hit.to_series())
