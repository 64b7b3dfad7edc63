"""The reader of each published model, by task name; a further model adds one line.

A reader is loaded from a published folder and answers without HTTP.
"""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

Loader = Callable[[Path], Any]


def _loader(name: str) -> Loader:
    """Return a loader that imports the reader on first use.

    The supervising process imports the service too, and need not load numeric libraries.
    """

    def load(folder: Path) -> Any:
        return resolve_name(name).load(folder)

    return load


READERS: dict[str, Loader] = {
    "demand": _loader("serving.demand.reader:DemandReader"),
    "churn": _loader("serving.customers.churn:ChurnReader"),
    "next-purchase": _loader("serving.customers.next_purchase:NextPurchaseReader"),
    "next-category": _loader("serving.customers.next_category:NextCategoryReader"),
    "value": _loader("serving.customers.value:ValueReader"),
    "profile": _loader("training.customers.profile:Profiles"),
    "histories": _loader("training.customers.histories:Histories"),
    "recommender": _loader("serving.recommender.reader:RecommenderReader"),
}
