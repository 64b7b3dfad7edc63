"""Results of a request for many: by entry an answer, or the error of what is unknown."""

from collections.abc import Callable, Sequence
from typing import Any

from features.errors import NotFound
from serving.stopping import check_stopped

Answer = dict[str, Any]
Result = Answer | NotFound


def each(ids: Sequence[str], field: str, answer: Callable[[str, str], Answer]) -> list[Result]:
    """Answer each entry of a list, given its id and its field in the request.

    Parameters
    ----------
    field
        The field that holds the list.
    answer
        Raises `NotFound` for an unknown entry, which then is its result.
    """
    results: list[Result] = []
    for position, name in enumerate(ids):
        check_stopped()
        try:
            results.append(answer(name, f"{field}[{position}]"))
        except NotFound as error:
            results.append(error)
    return results


def split(results: Sequence[Result]) -> tuple[list[Answer], list[Answer]]:
    """Return the answers, and the errors in the fields of `schemas.EntryError`.

    Raises
    ------
    NotFound
        If there are errors only.
    """
    answers = [result for result in results if not isinstance(result, NotFound)]
    unknown = [(i, result) for i, result in enumerate(results) if isinstance(result, NotFound)]
    if unknown and not answers:
        raise unknown[0][1]
    return answers, [
        {"position": i, "code": "not_found", "message": error.message, "field": error.field}
        for i, error in unknown
    ]
