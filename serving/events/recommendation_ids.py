"""Ids of lists, which tell by themselves what was shown: version, list, and reason by product.

Nothing is stored of a list. Its id has a keyed hash of the customer, which nobody without the key
of the home can reverse, and a keyed digest, without which an id counts for nothing.
"""

import hmac
import os
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, get_args
from zlib import crc32

from serving.recommender.query import LISTS
from serving.recommender.schemas import Reason

_KEY_FILE = "recommendation.key"
_REASONS: tuple[str, ...] = get_args(get_args(Reason)[0])
# Registered version and list.
_HEAD = struct.Struct(">IB")
# Of each product: 12 bits of a checksum, and 4 of its reason.
_ITEM = struct.Struct(">H")
_CUSTOMER_BYTES, _DIGEST_BYTES = 4, 6
MOST_ITEMS = 100


@dataclass(frozen=True)
class Shown:
    """What an id tells of its list.

    Attributes
    ----------
    version
        Number of the recommender's version.
    list_name
        The list.
    items
        Of each product, its checksum and its reason.
    """

    version: int
    list_name: str
    items: tuple[tuple[int, str], ...]

    def reasons(self, product_id: str | None) -> list[str]:
        """Return the reason of a product; those of all for None, and none if it was not shown."""
        if product_id is None:
            return [reason for _, reason in self.items]
        checksum = _checksum(product_id)
        return [reason for shown, reason in self.items if shown == checksum][:1]


@dataclass(frozen=True)
class RecommendationIds:
    """Writes and reads ids of lists.

    Attributes
    ----------
    key
        The secret of the home.
    """

    key: bytes

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the key of a home; the first process creates it.

        Without a place for it, as in a read-only home, ids are valid in this process alone.
        """
        path = home / _KEY_FILE
        with suppress(OSError):
            if not path.exists():
                home.mkdir(parents=True, exist_ok=True)
                draft = home / f".{_KEY_FILE}.{os.getpid()}"
                draft.write_bytes(secrets.token_bytes(32))
                draft.chmod(0o600)
                # Fails if another process was first.
                with suppress(FileExistsError):
                    path.hardlink_to(draft)
                draft.unlink()
            return cls(path.read_bytes())
        return cls(secrets.token_bytes(32))

    def add(self, version: int, list_name: str, lists: Sequence[dict[str, Any]]) -> None:
        """Add the field `recommendation_id` to lists, each with `customer_id` and `items`."""
        head = _HEAD.pack(version, LISTS.index(list_name))
        for one in lists:
            one["recommendation_id"] = self._id(head, one)

    def read(self, recommendation_id: str) -> Shown | None:
        """Return what an id tells; None if it is not of this home."""
        try:
            content = urlsafe_b64decode(recommendation_id + "=" * (-len(recommendation_id) % 4))
        except ValueError:
            return None
        content, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if len(content) < _HEAD.size or not hmac.compare_digest(self._digest(content), digest):
            return None
        version, number = _HEAD.unpack_from(content)
        packed = content[_HEAD.size : -_CUSTOMER_BYTES]
        items = tuple((item >> 4, _REASONS[item & 15]) for (item,) in _ITEM.iter_unpack(packed))
        return Shown(version, LISTS[number], items)

    def _id(self, head: bytes, one: Mapping[str, Any]) -> str:
        items = b"".join(
            _ITEM.pack(_checksum(item["product_id"]) << 4 | _REASONS.index(item["reason"]))
            for item in one["items"][:MOST_ITEMS]
        )
        content = head + items
        customer = content + b"\0" + str(one["customer_id"]).encode()
        content += blake2b(customer, key=self.key, digest_size=_CUSTOMER_BYTES).digest()
        return urlsafe_b64encode(content + self._digest(content)).rstrip(b"=").decode()

    def _digest(self, content: bytes) -> bytes:
        return blake2b(content, key=self.key, digest_size=_DIGEST_BYTES, person=b"list").digest()


def _checksum(product_id: str) -> int:
    return crc32(product_id.encode()) & 0xFFF
