"""Keyed hashes in the place of customers' ids: who holds the key can find a person, nobody else.

`sources.mapped` puts them in while it reads, so that nothing else ever sees the id; `intake`
keeps a dataset to the key that it was begun with.
"""

import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import polars as pl

from features.errors import InvalidInput
from features.storage.snapshots import write_durably

KEY_VARIABLE = "FORESELL_PSEUDONYM_KEY"
# Numbers of customers are few enough to try them all: what stops that is the key alone.
_KEY_CHARS = 16
# A letter first: a pseudonym is never taken for a number.
_FIRST = "p"
_BYTES = 16
_CHECK = "pseudonym-key-check"


@dataclass(frozen=True)
class Pseudonyms:
    """What turns ids into pseudonyms (HMAC-SHA-256, RFC 2104, cut to 128 bits).

    Attributes
    ----------
    key
        The secret. It is not shown, logged or written.
    """

    key: bytes = field(repr=False)

    @classmethod
    def from_key(cls, key: str | None) -> Self:
        """Make pseudonyms by a key from the environment.

        Raises
        ------
        InvalidInput
            If there is none, or one so short that it could be found by trying.
        """
        if not key:
            raise InvalidInput(
                f"pseudonymise = true needs a key, but {KEY_VARIABLE} is not set; "
                "set it to a secret, such as from `openssl rand -hex 32`.",
                field=KEY_VARIABLE,
            )
        if len(key) < _KEY_CHARS:
            raise InvalidInput(
                f"The key in {KEY_VARIABLE} is shorter than {_KEY_CHARS} letters: it could be "
                "found by trying; take a longer one, such as from `openssl rand -hex 32`.",
                field=KEY_VARIABLE,
            )
        return cls(key.encode())

    @property
    def check(self) -> str:
        """What tells this key from another, and tells nothing of it."""
        return self._hashed("check", "")

    def pseudonymise(self, ids: pl.Series) -> pl.Series:
        """Return the pseudonym of each id; of none, none."""
        distinct = ids.drop_nulls().unique()
        hashed = [self.pseudonym(value) for value in distinct]
        return ids.replace_strict(distinct, hashed, default=None, return_dtype=pl.String)

    def pseudonym(self, customer_id: str) -> str:
        """Return the pseudonym of one id."""
        return _FIRST + self._hashed("customer", customer_id)

    def _hashed(self, purpose: str, text: str) -> str:
        found = hmac.digest(self.key, f"{purpose}\0{text}".encode(), "sha256")
        return found[:_BYTES].hex()


def require_same_key(folder: Path, check: str | None, *, has_data: bool) -> None:
    """Hold a dataset to the key with which it was begun, or to none.

    Parameters
    ----------
    folder
        The dataset's.
    check
        Of the key of what arrives; None where ids arrive as they are.
    has_data
        Whether the dataset holds anything yet.

    Raises
    ------
    InvalidInput
        If one person would have two ids.
    """
    kept = read_key_check(folder)
    name = folder.name
    if not has_data:
        if check is not None:
            write_durably(folder / _CHECK, check)
        else:
            (folder / _CHECK).unlink(missing_ok=True)
    elif kept is None and check is not None:
        raise InvalidInput(
            f"Dataset {name} holds customers under their own ids, and pseudonymise = true would "
            "give each a second one; import under another name and delete "
            f"{folder}, or take pseudonymise away.",
            field="pseudonymise",
        )
    elif kept is not None and check is None:
        raise InvalidInput(
            f"Dataset {name} holds pseudonyms, and ids would arrive as they are; say "
            "pseudonymise = true in the mapping again.",
            field="pseudonymise",
        )
    elif kept != check:
        raise InvalidInput(
            f"The key in {KEY_VARIABLE} is not the one of dataset {name}; set that "
            "one, or import under another name.",
            field=KEY_VARIABLE,
        )


def read_key_check(folder: Path) -> str | None:
    """Return what tells the key of a dataset's pseudonyms; None where ids are as they came."""
    path = folder / _CHECK
    return path.read_text() if path.is_file() else None
