"""Readers of what models published: plain questions in, plain answers out; no HTTP here."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

Reader = Callable[[Path], Any]


def _reader(name: str) -> Reader:
    """Import a reader when it first reads.

    The process that watches over the workers imports the service too, and should not spend
    seconds on numeric libraries that it never calls.
    """

    def load(folder: Path) -> Any:
        return resolve_name(name).load(folder)

    return load


READERS: dict[str, Reader] = {
    "demand": _reader("serving.demand.reader:DemandAnswers"),
    "churn": _reader("serving.customers.churn:ChurnAnswers"),
    "next-purchase": _reader("serving.customers.next_purchase:NextPurchaseAnswers"),
    "next-category": _reader("serving.customers.next_category:NextCategoryAnswers"),
    "value": _reader("serving.customers.value:ValueAnswers"),
    "profile": _reader("training.customers.profile:Profiles"),
    "recommender": _reader("serving.recommender.reader:RecommenderAnswers"),
}
