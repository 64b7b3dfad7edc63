"""Bodies that two readers could take differently are refused, and no body is an internal error."""

import contextlib
import json
import math
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.decode import MalformedBody, decode_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_other_encoders_write_is_read_alike(value):
    for body in (json.dumps(value).encode(), orjson.dumps(value)):
        assert decode_json(body) == value


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_read_as_every_reader_does(body):
    with contextlib.suppress(MalformedBody):
        assert decode_json(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (rb'{"customer_ids": ["\ud800"]}', "surrogate"),
        (b'{"k": NaN}', "unexpected"),
        (b'{"k": 1e400}', "infinity"),
        (b'{"k": ' + b"1" * 5_000 + b"}", "infinity"),
        pytest.param(
            b'{"k": ' + b"[" * 990 + b"]" * 990 + b"}",
            "nested too deeply",
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="its decoder goes deeper"),
        ),
        (b"[" * 5_000, "depth"),
        (b'{"k": 1, "k": 2}', "k stands twice"),
        (b'{"plan": [{"depth": 0.1, "depth": 0.2}]}', "depth stands twice"),
        (b'{"k": "\xff"}', "UTF-8"),
        (b"", "empty"),
        (b'{"k": 1', "character 7"),
    ],
)
def test_an_ambiguous_body_is_refused_with_its_cause(body, cause):
    with pytest.raises(MalformedBody, match=cause):
        decode_json(body)


def test_an_integer_beyond_64_bits_is_read_as_a_float():
    value = decode_json(b'{"k": 1%s}' % (b"0" * 30))["k"]
    assert isinstance(value, float)
    assert math.isclose(value, 1e30)
