"""Complete responses: an entity tag for reads, and compression where the client takes it."""

import gzip
from hashlib import blake2b

from anyio import to_thread
from fastapi import Request
from starlette.responses import Response

# Smaller bodies fit into one packet anyway.
LEAST_BYTES = 1_400
# Larger bodies are compressed in a thread: 100 kB take about a millisecond.
INLINE_BYTES = 100_000
# The fastest level: answers shrink to a fifth, and higher ones save a tenth more.
LEVEL = 1
# Answers change with every version, so a stored one is asked for again, which costs a 304.
CACHE_CONTROL = "private, no-cache"


def with_entity_tag(request: Request, response: Response) -> Response:
    """Add an entity tag of the content, which names the versions; 304 if the client has it.

    The tag is weak, because it is the same with and without compression.
    """
    if request.method != "GET" or response.status_code != 200:
        return response
    tag = f'W/"{blake2b(bytes(response.body), digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": CACHE_CONTROL}
    known = request.headers.get("if-none-match", "")
    if known == "*" or tag in (part.strip() for part in known.split(",")):
        return Response(None, 304, headers)
    response.headers.update(headers)
    return response


async def compressed(request: Request, response: Response) -> Response:
    """Compress a long body if the client accepts gzip."""
    body = bytes(response.body)
    if len(body) < LEAST_BYTES:
        return response
    response.headers["vary"] = "Accept-Encoding"
    if not _accepts_gzip(request.headers.get("accept-encoding", "")):
        return response
    if len(body) <= INLINE_BYTES:
        content = gzip.compress(body, LEVEL, mtime=0)
    else:
        content = await to_thread.run_sync(lambda: gzip.compress(body, LEVEL, mtime=0))
    headers = dict(response.headers) | {
        "content-encoding": "gzip",
        "content-length": str(len(content)),
    }
    return Response(content, response.status_code, headers)


def _accepts_gzip(header: str) -> bool:
    for part in header.split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
