"""Spans arrive at a collector, which is an HTTP server here."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.http import spans
from serving.http.middleware import Guard, Policy
from serving.http.spans import SpanExporter

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    """Its address, and the messages that it gets."""
    messages = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            messages.put((self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", messages
    server.shutdown()
    server.server_close()


def test_a_request_has_a_span_in_the_trace_of_the_client(collector, monkeypatch):
    url, messages = collector
    monkeypatch.setattr(spans, "SECONDS", 0.01)
    routes = [Route("/thing/{name}", lambda _: PlainTextResponse("here"))]
    app = Guard(Starlette(routes=routes), Policy(spans=SpanExporter(url)))
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "r1"}
    with TestClient(app) as client:
        assert client.get("/thing/secret", headers=headers).status_code == 200
        assert client.get("/livez").status_code == 404

    path, content = messages.get(timeout=20)
    (span,) = content["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert path == "/v1/traces"
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, PARENT)
    assert len(span["spanId"]) == 16
    assert span["name"].startswith("GET ")
    assert "secret" not in json.dumps(content)
    assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
    attributes = {one["key"]: one["value"] for one in span["attributes"]}
    assert attributes["http.response.status_code"] == {"intValue": "200"}
    assert messages.empty()


def test_a_collector_that_is_away_stops_no_request(monkeypatch, caplog):
    exporter = SpanExporter("http://127.0.0.1:9")
    with caplog.at_level("ERROR"):
        exporter._send([{}])
    assert "takes no spans" in caplog.text or not caplog.records
