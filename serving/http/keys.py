"""API keys: created once, stored as hashes, looked up by every worker.

`<home>/api-keys.json` in; the scopes of a presented key out. Keys have 256 random bits, so that a
plain SHA-256 is enough to store them.
"""

import hashlib
import secrets
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import InvalidInput, NotFound
from features.storage.snapshots import write_durably

FILE = "api-keys.json"
PREFIX = "fsk_"
# How often workers look whether the file changed.
RELOAD_SECONDS = 1.0

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class ApiKey(BaseModel):
    """A stored key.

    Attributes
    ----------
    name
        Whom it was given to.
    sha256
        Hash of the key.
    scopes
        What it may do; `admin` includes the others.
    created
        When it was created.
    rate
        Units per second that it may use; None for the limit of the service.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    scopes: frozenset[Scope]
    created: datetime
    rate: float | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key may do what needs a scope."""
        return scope in self.scopes or "admin" in self.scopes


class _File(BaseModel):
    keys: list[ApiKey] = []


class KeyStore:
    """The keys of a home.

    Parameters
    ----------
    home
        Folder of the file.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self._by_hash: dict[str, ApiKey] = {}
        self._stamp: tuple[int, int] | None = None
        self._checked = -RELOAD_SECONDS

    def create(self, name: str, scopes: Iterable[Scope], rate: float | None = None) -> str:
        """Create a key and return it; only its hash is stored.

        Raises
        ------
        InvalidInput
            If there is a key of that name, or no scope.
        """
        keys, chosen = self.stored(), frozenset(scopes)
        if any(key.name == name for key in keys):
            raise InvalidInput(
                f"name = {name!r} is taken: revoke that key first, or choose another name.",
                field="name",
            )
        if not chosen or not chosen <= set(SCOPES):
            raise InvalidInput(
                f"scope = {', '.join(sorted(chosen)) or 'none'}: choose among {', '.join(SCOPES)}.",
                field="scope",
            )
        key = PREFIX + secrets.token_urlsafe(32)
        created = datetime.now().astimezone()
        stored = ApiKey(name=name, sha256=_hash(key), scopes=chosen, created=created, rate=rate)
        self._write([*keys, stored])
        return key

    def revoke(self, name: str) -> None:
        """Delete a key; services refuse it within a second.

        Raises
        ------
        NotFound
            If there is no key of that name.
        """
        keys = self.stored()
        if not any(key.name == name for key in keys):
            raise NotFound(
                f"There is no key {name!r}; there is "
                f"{', '.join(key.name for key in keys) or 'none'}.",
                field="name",
            )
        self._write([key for key in keys if key.name != name])

    def stored(self) -> list[ApiKey]:
        """Read the stored keys.

        Raises
        ------
        InvalidInput
            If the file cannot be read.
        """
        try:
            return _File.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return []
        except (OSError, ValidationError):
            raise InvalidInput(
                f"{self.path} cannot be read: delete it and create the keys again, with "
                "`foresell keys create`.",
                field="keys",
            ) from None

    def find(self, key: str) -> ApiKey | None:
        """Return the stored key that equals a presented one; None for a wrong or revoked key."""
        self._reload()
        # A look-up by hash takes the same time for all wrong keys.
        return self._by_hash.get(_hash(key))

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked < RELOAD_SECONDS:
            return
        self._checked = now
        try:
            state = self.path.stat()
            stamp = (state.st_mtime_ns, state.st_ino)
        except OSError:
            self._by_hash, self._stamp = {}, None
            return
        if stamp == self._stamp:
            return
        try:
            self._by_hash = {key.sha256: key for key in self.stored()}
            self._stamp = stamp
        except InvalidInput:
            # Nobody gets in with a damaged file.
            self._by_hash, self._stamp = {}, None

    def _write(self, keys: list[ApiKey]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self.path, _File(keys=keys).model_dump_json(indent=1) + "\n")
        self.path.chmod(0o600)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
