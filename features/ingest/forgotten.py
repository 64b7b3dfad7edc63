"""Erased customers of a dataset: stored as salted hashes, anonymised in every later import.

Owns the file of hashes. Neither a repeated import nor a corrected file restores an erased customer.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from features.columns import CUSTOMER_ID, ORDER_ID
from features.ingest.source_columns import FAULT, FORGOTTEN, RAW_PREFIX
from features.ingest.validation import Rule
from features.privacy.pseudonyms import Pseudonyms
from features.storage.snapshots import write_durably
from features.tables import Table

ANONYMOUS = "customer asked to be forgotten: the line is anonymous"
_FILE = "forgotten.json"
_EXCLUDED = "customer asked to be forgotten"


@dataclass(frozen=True)
class ForgottenCustomers:
    """The erased customers of one dataset.

    Attributes
    ----------
    pseudonyms
        Hashes ids with a salt of the dataset.
    hashes
        Hashes of the erased ids as the dataset stores ids.
    """

    pseudonyms: Pseudonyms
    hashes: frozenset[str]

    @staticmethod
    def file(folder: Path) -> Path:
        """Return the path of a dataset's file of hashes."""
        return folder / _FILE

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a dataset's erased customers; without a file there are none, and a new salt."""
        path = cls.file(folder)
        if not path.is_file():
            return cls(Pseudonyms(secrets.token_bytes(32)), frozenset())
        content = json.loads(path.read_text())
        return cls(Pseudonyms(bytes.fromhex(content["salt"])), frozenset(content["hashes"]))

    def add(self, folder: Path, customer_ids: Collection[str]) -> Self:
        """Add customers, and write the file durably."""
        hashes = self.hashes | {
            self.pseudonyms.pseudonym(customer_id) for customer_id in customer_ids
        }
        content = {"salt": self.pseudonyms.key.hex(), "hashes": sorted(hashes)}
        write_durably(self.file(folder), json.dumps(content, indent=1))
        return type(self)(self.pseudonyms, hashes)

    def contains(self, customer_ids: pl.Series) -> pl.Series:
        """Whether each id belongs to an erased customer."""
        if not self.hashes:
            return pl.repeat(False, len(customer_ids), dtype=pl.Boolean, eager=True)  # noqa: FBT003
        hashes = self.pseudonyms.pseudonymise(customer_ids)
        return hashes.is_in(list(self.hashes)).fill_null(value=False)

    def anonymise(self, table: Table, batch: pl.DataFrame) -> pl.DataFrame:
        """Flag rows of erased customers with FORGOTTEN, and anonymise their order lines."""
        if not self.hashes or CUSTOMER_ID not in batch.columns:
            return batch
        flags = self.contains(batch.get_column(CUSTOMER_ID)) | self._in_unreadable_rows(batch)
        batch = batch.with_columns(flags.alias(FORGOTTEN))
        if table.name != "orders":
            return batch
        return self.anonymise_orders(batch, pl.col(FORGOTTEN))

    def anonymise_orders(self, orders: pl.DataFrame, erased: pl.Expr) -> pl.DataFrame:
        """Null the customer of order lines, and hash order ids that contain the customer's id."""
        derived = orders.select(
            erased & pl.col(ORDER_ID).str.starts_with(pl.col(CUSTOMER_ID) + "/")
        )
        derived_ids = derived.to_series().fill_null(value=False)
        order_ids = orders.get_column(ORDER_ID)
        if derived_ids.any():
            order_ids = self.pseudonyms.pseudonymise(order_ids).zip_with(derived_ids, order_ids)
        return orders.with_columns(
            order_ids.alias(ORDER_ID), pl.when(~erased).then(CUSTOMER_ID).alias(CUSTOMER_ID)
        ).select(orders.columns)

    def rules(self, table: Table) -> list[Rule]:
        """Return the rule that excludes erased customers from tables other than orders."""
        if not self.hashes or CUSTOMER_ID not in table.columns or table.name == "orders":
            return []
        return [Rule(CUSTOMER_ID, _EXCLUDED, pl.col(FORGOTTEN), dropped=True)]

    def _in_unreadable_rows(self, batch: pl.DataFrame) -> pl.Series:
        """Whether any field of an unreadable row is an erased id, since fields may be shifted."""
        flags = pl.repeat(False, batch.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003
        if FAULT not in batch.columns or batch.get_column(FAULT).null_count() == batch.height:
            return flags
        unreadable = batch.get_column(FAULT).is_not_null()
        rows = batch.filter(unreadable)
        by_field = [
            self.contains(rows.get_column(name).cast(pl.String).str.strip_chars())
            for name in batch.columns
            if name.startswith(RAW_PREFIX)
        ]
        if not by_field:
            return flags
        erased = pl.DataFrame(by_field).select(pl.any_horizontal(pl.all())).to_series()
        return flags.scatter(unreadable.arg_true(), erased)
