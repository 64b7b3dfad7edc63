"""The log of the service: text or JSON lines, with the ids of the request that is answered.

No customer id, key or body reaches it.
"""

import json
import logging
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

# Loggers of the server and of the service.
LOGGERS = ("serving", "bentoml", "uvicorn", "circus")
TEXT = "%(asctime)s [%(levelname)s] [foresell] %(message)s"
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class RequestIds:
    """Ids of a request: its own, and those of W3C trace context if the client sent them."""

    request_id: str
    trace_id: str | None = None
    span_id: str | None = None


current: ContextVar[RequestIds | None] = ContextVar("request_ids", default=None)


def trace_of(traceparent: str | None) -> tuple[str, str] | None:
    """Return the trace id of a header `traceparent` and a new span id; None if it is invalid."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or set(match[1]) == {"0"} or set(match[2]) == {"0"}:
        return None
    return match[1], secrets.token_hex(8)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        ids = current.get()
        if ids is not None:
            line |= {name: value for name, value in vars(ids).items() if value is not None}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(form: str) -> None:
    """Write the logs of the service and of its server to standard error.

    Parameters
    ----------
    form
        `text` or `json`.
    """
    logger = logging.getLogger("serving")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        logger.handlers[0].setFormatter(logging.Formatter(TEXT))
        logger.setLevel(logging.INFO)
        logger.propagate = False
    if form == "json":
        for name in (*LOGGERS, None):
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(JsonFormatter())
