"""Validation errors in; sentences that name the field, its value and the cause out."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from features.errors import InvalidInput
from serving.http.decode import REMEDY

# Parts of a value or a name that an error quotes, in characters.
QUOTED = 60
BITS = 64
# Fields that stand for each other; a request gives one of them.
EITHER = ("customer_ids", "histories")


def invalid_input(error: ValidationError, *, is_tagged: bool = False) -> InvalidInput:
    """Describe the first error of a request.

    Parameters
    ----------
    is_tagged
        Whether locations begin with the tag of one of several requests.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    location = first["loc"][1:] if is_tagged else first["loc"]
    field, kind = path(location), first["type"]
    value = first["input"]
    if kind == "value_error":
        # Our own validators state the field.
        return InvalidInput(first["msg"].removeprefix("Value error, "), field=field or None)
    if not field:
        return InvalidInput(f"The body is no JSON object. {REMEDY}")
    if field in EITHER and kind in ("missing", "extra_forbidden"):
        message = f"{EITHER[0]} is required, or {EITHER[1]} in its place, and not both."
    elif kind == "missing":
        message = f"{field} is required."
    elif kind == "extra_forbidden":
        message = f"{field} = {quote(value)} is not a field of this request; see /docs."
    else:
        cause = first["msg"][:1].lower() + first["msg"][1:]
        message = f"{field} = {quote(value)}: {cause}."
    return InvalidInput(message, field=field)


def path(parts: Sequence[str | int]) -> str:
    """Join the parts of a location, such as `series[0].product_id`."""
    joined = ""
    for part in parts:
        if isinstance(part, int):
            joined += f"[{part}]"
        elif part == "[key]":
            # The part before is the invalid key, which ends the path.
            break
        else:
            joined += f".{part[:QUOTED]}" if joined else part[:QUOTED]
    return joined


def quote(value: Any) -> str:
    """Return a value as JSON, but only the size of a collection, which may hold customer ids."""
    if isinstance(value, list | dict):
        return f"<{len(value)} entries>"
    if isinstance(value, int) and value.bit_length() > BITS:
        return f"<an integer of {value.bit_length()} bits>"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."
