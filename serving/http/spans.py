"""Spans of requests, sent to a collector by the OpenTelemetry protocol: OTLP over HTTP, in JSON.

A request's span continues the W3C trace of the client, or begins one. Spans wait in memory for a
thread that sends them; of those that a collector does not take in time, the newest are dropped.
Source: https://opentelemetry.io/docs/specs/otlp/ (OTLP/HTTP, JSON Protobuf encoding).
"""

import contextlib
import json
import logging
import queue
import secrets
import threading
import time
import urllib.request
from typing import Any

from serving.logs import RequestIds

# Spans in memory, and in a message.
MOST_WAITING, MOST_SENT = 4_096, 512
SECONDS = 1.0
KIND_SERVER, STATUS_ERROR = 2, 2

log = logging.getLogger(__name__)


class SpanExporter:
    """Sends spans to `<endpoint>/v1/traces` in a thread, which starts with the first span.

    Parameters
    ----------
    endpoint
        URL of the collector, such as http://127.0.0.1:4318.
    """

    def __init__(self, endpoint: str) -> None:
        self.url = endpoint.rstrip("/") + "/v1/traces"
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._fault: str | None = None

    def add(
        self, ids: RequestIds, parent: str | None, name: str, status: int, seconds: float
    ) -> None:
        """Add the span of a request that has just ended.

        Parameters
        ----------
        ids
            The ids of the request.
        parent
            Span of the client, if it sent one.
        name
            Method and template of the route: no path or id of a request.
        status, seconds
            Of the response.
        """
        end = time.time_ns()
        span: dict[str, Any] = {
            "traceId": ids.trace_id or secrets.token_hex(16),
            "spanId": ids.span_id or secrets.token_hex(8),
            "name": name,
            "kind": KIND_SERVER,
            "startTimeUnixNano": str(end - round(seconds * 1e9)),
            "endTimeUnixNano": str(end),
            "attributes": [
                {"key": "http.response.status_code", "value": {"intValue": str(status)}},
                {"key": "foresell.request_id", "value": {"stringValue": ids.request_id}},
            ],
        }
        span |= {"parentSpanId": parent} if parent else {}
        span |= {"status": {"code": STATUS_ERROR}} if status >= 500 else {}
        if not self._waiting.full():
            self._waiting.put(span)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            spans = [self._waiting.get()]
            # Further ones gather for the same message.
            end = time.monotonic() + SECONDS
            with contextlib.suppress(queue.Empty):
                while len(spans) < MOST_SENT:
                    spans.append(self._waiting.get(timeout=max(0, end - time.monotonic())))
            self._send(spans)

    def _send(self, spans: list[dict[str, Any]]) -> None:
        name = [{"key": "service.name", "value": {"stringValue": "foresell"}}]
        scopes = [{"scope": {"name": "foresell"}, "spans": spans}]
        content = {"resourceSpans": [{"resource": {"attributes": name}, "scopeSpans": scopes}]}
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(  # noqa: S310
            self.url, json.dumps(content).encode(), headers
        )
        fault = None
        try:
            with urllib.request.urlopen(request, timeout=5):  # noqa: S310
                pass
        except OSError as error:
            fault = str(error)
        if fault is not None and fault != self._fault:
            log.error("the collector %s takes no spans: %s", self.url, fault)
        self._fault = fault
