"""Who may send a request, and how many: hosts, keys, rates and load.

Each check takes the scope of a request and raises `Refused`, before the body is read.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from starlette.types import Scope

from serving.http.keys import ApiKey, KeyStore
from serving.http.keys import Scope as KeyScope

# Requests without a key: they reveal no prediction and change nothing.
OPEN = frozenset({"/", "/docs", "/v1/openapi.json", "/livez", "/healthz", "/readyz"})
PROBES = frozenset({"/livez", "/healthz", "/readyz", "/metrics"})
WRITES = frozenset({"/v1/events", "/v1/products"})
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# A client may use the units of so many seconds at once.
BURST_SECONDS = 2.0
# Body bytes of one unit, beside the one of each request.
BYTES_PER_UNIT = 1_000
MOST_CLIENTS = 10_000
# Key of the scope in which the server states when a request arrived, by `time.monotonic`.
ARRIVED = "foresell.arrived"

Check = Callable[[Scope], None]


class Refused(Exception):
    """A request that is not answered.

    Parameters
    ----------
    status, code, message
        Of the response.
    headers
        Further headers of the response.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header's value; None if it is missing."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def declared_length(scope: Scope) -> int:
    """Return the length of the body that the headers declare; 0 if they declare none."""
    value = header(scope, b"content-length") or ""
    return int(value) if value.isdecimal() and value.isascii() else 0


def required_scope(scope: Scope) -> KeyScope | None:
    """Return the scope that a request needs; None if it needs no key."""
    path = scope["path"]
    if scope["method"] == "DELETE" or path.startswith("/v1/admin"):
        return "admin"
    if path in OPEN or path.startswith("/docs/"):
        return None
    return "write" if path in WRITES else "read"


@dataclass(frozen=True)
class HostCheck:
    """Refuse requests for other hosts than the allowed ones.

    A web page whose name points to this address could otherwise read a service on loopback.

    Attributes
    ----------
    allowed
        Names without port; `*` allows all.
    """

    allowed: Collection[str]

    def __call__(self, scope: Scope) -> None:
        """Raise 400 if the header `Host` names another host."""
        if "*" in self.allowed:
            return
        name = (header(scope, b"host") or "").lower()
        host = name[: name.rindex("]") + 1] if "]" in name else name.partition(":")[0]
        if host not in self.allowed:
            raise Refused(
                400,
                "unknown_host",
                "The header Host does not name this service; set FORESELL_ALLOWED_HOSTS.",
            )


@dataclass(frozen=True)
class KeyCheck:
    """Require a key with the scope of the request, in `Authorization: Bearer` or `X-API-Key`.

    Attributes
    ----------
    keys
        The stored keys.
    required
        Whether requests without a key are refused; a wrong key always is.
    """

    keys: KeyStore
    required: bool

    def __call__(self, scope: Scope) -> None:
        """Raise 401 without a valid key, 403 if it lacks the scope; store the key in the scope."""
        needed = required_scope(scope)
        presented = _presented(scope)
        if needed is None or (presented is None and not self.required):
            return
        challenge = {"www-authenticate": "Bearer"}
        if presented is None:
            raise Refused(
                401,
                "unauthorized",
                "An API key is required: send it as `Authorization: Bearer KEY`.",
                challenge,
            )
        key = self.keys.find(presented)
        if key is None:
            raise Refused(401, "unauthorized", "The API key is not valid.", challenge)
        if not key.allows(needed):
            raise Refused(403, "forbidden", f"The API key lacks the scope {needed!r}.")
        scope.setdefault("state", {})["key"] = key


def _presented(scope: Scope) -> str | None:
    authorization = header(scope, b"authorization") or ""
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return header(scope, b"x-api-key")


@dataclass
class RateLimit:
    """A token bucket for each key, or each address without a key.

    A request costs one unit, and one more for each 1,000 bytes of its body.

    Attributes
    ----------
    units
        Units per second of clients whose key states no other; None for no limit.
    share
        Share of the units that this process grants: one of so many workers.
    clock
        Seconds.
    """

    units: float | None
    share: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, scope: Scope) -> None:
        """Raise 429 if the client has used up its units."""
        if scope["path"] in PROBES:
            return
        key: ApiKey | None = scope.get("state", {}).get("key")
        rate = self.units if key is None or key.rate is None else key.rate
        if rate is None:
            return
        rate *= self.share
        client = (scope.get("client") or ("",))[0] if key is None else key.name
        cost = 1 + declared_length(scope) // BYTES_PER_UNIT
        # However large, a request is possible with a full bucket.
        size = max(rate * BURST_SECONDS, 1.0)
        needed, now = min(cost, size), self.clock()
        left, since = self._buckets.get(client, (size, now))
        left = min(size, left + rate * (now - since))
        if left < needed:
            self._buckets[client] = (left, now)
            wait = (needed - left) / rate
            raise Refused(
                429,
                "rate_limited",
                f"More than {rate / self.share:g} units per second: ask again in {wait:.1f} s.",
                {"retry-after": str(max(1, round(wait + 0.5)))},
            )
        if client not in self._buckets and len(self._buckets) >= MOST_CLIENTS:
            self._buckets.clear()
        self._buckets[client] = (left - cost, now)


@dataclass
class LoadLimit:
    """Refuse requests at once when there are too many, instead of answering all of them late.

    Attributes
    ----------
    most
        Requests in progress at the same time.
    seconds
        Longest time that a request may have waited for its turn.
    clock
        Seconds, as in the scope's `ARRIVED`.
    running
        Requests in progress.
    """

    most: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    running: int = 0

    def __call__(self, scope: Scope) -> None:
        """Raise 503 if the process is overloaded."""
        if scope["path"] in PROBES:
            return
        arrived = scope.get(ARRIVED)
        waited = 0.0 if arrived is None else self.clock() - arrived
        if self.running >= self.most or waited > self.seconds:
            raise Refused(
                503, "overloaded", "The service is overloaded; ask again.", {"retry-after": "1"}
            )
