"""What a request gets for a customer that the records do not know: an answer, or an error."""

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from features.errors import NotFound
from serving.entries import Answer, Result

Unknown = Annotated[
    Literal["newcomer", "error"],
    Field(
        description="what an id without a known purchase gets: the answer of a newcomer, or an "
        "entry of `errors`; 404 if all ids are unknown"
    ),
]


def answer_known(
    customer_ids: Sequence[str],
    known: Container[str],
    as_of: datetime,
    answer: Callable[[Sequence[str]], list[Answer]],
) -> list[Result]:
    """Answer for the known customers; the others get an error."""
    answers = iter(answer([name for name in customer_ids if name in known]))
    return [
        next(answers) if name in known else _unknown(f"customer_ids[{position}]", name, as_of)
        for position, name in enumerate(customer_ids)
    ]


def _unknown(field: str, name: str, as_of: datetime) -> NotFound:
    return NotFound(
        f"{field} = {name!r} is not known: no purchase of this customer is recorded before "
        f"{as_of.date()}. Correct the id, post the orders in histories, or leave unknown out for "
        "the answer of a newcomer.",
        field=field,
    )
