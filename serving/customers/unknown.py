"""What a request gets for a customer that the records do not know: an answer, or an error."""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from features.errors import NotFound

Unknown = Annotated[
    Literal["newcomer", "error"],
    Field(
        description="what an id without a known purchase gets: the answer of a newcomer, or error "
        "404"
    ),
]


def check_known(customer_ids: Sequence[str], known: Container[str], as_of: datetime) -> None:
    """Check that all customers of a request are known.

    Raises
    ------
    NotFound
        Naming the first that is not.
    """
    for position, name in enumerate(customer_ids):
        if name not in known:
            field = f"customer_ids[{position}]"
            raise NotFound(
                f"{field} = {name!r} is not known: no purchase of this customer is recorded before "
                f"{as_of.date()}. Correct the id, post the orders in histories, or leave unknown "
                "out for the answer of a newcomer.",
                field=field,
            )
