"""Objects that are loaded from published files, once for files with the same content.

Models of one training run hold equal parts in files of their own. In memory they are one object,
and what is computed with it for a request is computed once.
"""

import hashlib
from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakValueDictionary

_Loaded = TypeVar("_Loaded")
# Objects in use by the digest of what they were loaded from.
_IN_USE: WeakValueDictionary[bytes, object] = WeakValueDictionary()


def load_once(load: Callable[[], _Loaded], *content: bytes) -> _Loaded:
    """Return the object in use that was loaded from this content, or load it.

    Parameters
    ----------
    load
        Returns an immutable object; a function of `content` alone.
    content
        What it is loaded from, beginning with the name of its type.
    """
    key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in content)).digest()
    known = _IN_USE.get(key)
    if known is None:
        known = _IN_USE[key] = load()
    return cast(_Loaded, known)
