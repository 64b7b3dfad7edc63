"""Decode the bodies of requests: JSON text that every reader takes alike, or an error."""

import json
from typing import Any

import orjson

from features.errors import ForesellError

REMEDY = "Send one JSON object in UTF-8, with the header Content-Type: application/json."


class MalformedBody(ForesellError):
    """The body is not JSON, or two readers would take it differently."""


def decode_json(body: bytes) -> Any:
    """Decode a body strictly.

    Besides what is not JSON, lone surrogates, NaN, infinite numbers, texts that are not UTF-8 and
    duplicate keys are refused. Integers beyond 64 bits become floats, which no field of an integer
    accepts.

    Raises
    ------
    MalformedBody
        With the cause and its position.
    """
    try:
        value = orjson.loads(body)
        if isinstance(value, dict):
            # A second pass, because orjson keeps the last of duplicate keys.
            json.loads(body, object_pairs_hook=_check_keys, parse_int=float)
    except orjson.JSONDecodeError as error:
        cause = error.msg.removesuffix(f": line {error.lineno} column {error.colno}")
        raise MalformedBody(
            f"The body is not JSON: {cause} at character {error.pos}. {REMEDY}"
        ) from None
    except RecursionError:
        raise MalformedBody(
            f"The body is nested too deeply: no field of a request is. {REMEDY}"
        ) from None
    return value


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)[:60]
        raise MalformedBody(
            f"{twice} stands twice in one object of the body; give each field once.", field=twice
        )
