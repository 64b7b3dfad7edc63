"""Log lines and trace ids."""

import json
import logging

import pytest

from serving.logs import JsonFormatter, RequestIds, current, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_is_json_with_the_ids_of_the_request():
    token = current.set(RequestIds("one", TRACE, "b7ad6b7169203331"))
    try:
        record = logging.makeLogRecord({"name": "serving", "msg": "a\nb", "levelname": "INFO"})
        line = JsonFormatter().format(record)
    finally:
        current.reset(token)
    assert "\n" not in line
    content = json.loads(line)
    assert content["message"] == "a\nb"
    assert (content["request_id"], content["trace_id"]) == ("one", TRACE)


def test_outside_of_requests_a_line_has_no_ids():
    assert "request_id" not in json.loads(JsonFormatter().format(logging.makeLogRecord({})))


def test_a_trace_goes_on_with_a_new_span():
    trace, span = trace_of(f"00-{TRACE}-b7ad6b7169203331-01")
    assert trace == TRACE
    assert len(span) == 16
    assert span != "b7ad6b7169203331"


@pytest.mark.parametrize("header", [None, "", "00-0-0-00", f"00-{'0' * 32}-b7ad6b7169203331-01"])
def test_an_invalid_trace_is_none(header):
    assert trace_of(header) is None
