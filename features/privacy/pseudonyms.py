"""Pseudonyms: customer ids in, keyed hashes out.

Sources replace ids while they read, so that no id is stored. A dataset accepts pseudonyms of one
key only; a keyed check value is stored with it.
"""

import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import polars as pl

from features.errors import InvalidInput
from features.storage.snapshots import write_durably

KEY_VARIABLE = "FORESELL_PSEUDONYM_KEY"
# Customer numbers can be enumerated, so only the length of the key prevents a search.
_MIN_KEY_LENGTH = 16
# A leading letter keeps a pseudonym from being read as a number.
_PREFIX = "p"
_BYTES = 16
# File in the folder of a dataset.
_CHECK_FILE = "pseudonym-key-check"


@dataclass(frozen=True)
class Pseudonyms:
    """Replaces ids by pseudonyms: HMAC-SHA-256 (RFC 2104), truncated to 128 bits.

    Attributes
    ----------
    key
        The secret. It is never shown, logged or stored.
    """

    key: bytes = field(repr=False)

    @classmethod
    def from_key(cls, key: str | None) -> Self:
        """Use the key from the environment.

        Raises
        ------
        InvalidInput
            If the key is missing or too short.
        """
        if not key:
            raise InvalidInput(
                f"pseudonymise = true needs a key, but {KEY_VARIABLE} is not set; "
                "set it to a secret, such as from `openssl rand -hex 32`.",
                field=KEY_VARIABLE,
            )
        if len(key) < _MIN_KEY_LENGTH:
            raise InvalidInput(
                f"The key in {KEY_VARIABLE} is shorter than {_MIN_KEY_LENGTH} letters: it can be "
                "found by a search; set a longer one, such as from `openssl rand -hex 32`.",
                field=KEY_VARIABLE,
            )
        return cls(key.encode())

    @property
    def check(self) -> str:
        """A value that identifies the key without revealing it."""
        return self._hashed("check", "")

    def pseudonymise(self, ids: pl.Series) -> pl.Series:
        """Return the pseudonym of each id; a missing id stays missing."""
        distinct = ids.drop_nulls().unique()
        hashed = [self.pseudonym(value) for value in distinct]
        return ids.replace_strict(distinct, hashed, default=None, return_dtype=pl.String)

    def pseudonym(self, customer_id: str) -> str:
        """Return the pseudonym of one id."""
        return _PREFIX + self._hashed("customer", customer_id)

    def _hashed(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self.key, f"{purpose}\0{text}".encode(), "sha256")
        return digest[:_BYTES].hex()


def require_same_key(folder: Path, check: str | None, *, has_data: bool) -> None:
    """Check that a dataset and arriving ids use the same key, or none.

    Parameters
    ----------
    folder
        Folder of the dataset.
    check
        Check value of the key of arriving ids; None if they are not pseudonymised.
    has_data
        Whether the dataset has data. If not, it takes on the key of the arriving ids.

    Raises
    ------
    InvalidInput
        If the keys differ: a customer would have two ids.
    """
    stored = read_key_check(folder)
    name = folder.name
    if not has_data:
        if check is not None:
            write_durably(folder / _CHECK_FILE, check)
        else:
            (folder / _CHECK_FILE).unlink(missing_ok=True)
    elif stored is None and check is not None:
        raise InvalidInput(
            f"Dataset {name} has customer ids without pseudonyms, and pseudonymise = true would "
            "give each customer a second id; import under another name and run "
            f"`foresell data remove {name}`, or remove pseudonymise.",
            field="pseudonymise",
        )
    elif stored is not None and check is None:
        raise InvalidInput(
            f"Dataset {name} has pseudonyms, and the arriving ids are not pseudonymised; set "
            "pseudonymise = true in the mapping again.",
            field="pseudonymise",
        )
    elif stored != check:
        raise InvalidInput(
            f"The key in {KEY_VARIABLE} is not the one of dataset {name}; set that one, or import "
            "under another name.",
            field=KEY_VARIABLE,
        )


def read_key_check(folder: Path) -> str | None:
    """Return the check value of a dataset's key; None if its ids are not pseudonymised."""
    path = folder / _CHECK_FILE
    return path.read_text() if path.is_file() else None
