"""Memoised functions of a dataset: results are stored with the snapshot that they depend on.

A function whose first argument is a dataset goes in, a `Memo` comes out. It is called like the
function; each result is computed once per dataset and set of arguments.
"""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from features.dataset import Dataset

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One stored result.

    Attributes
    ----------
    memo
        The function.
    arguments
        Its arguments besides the dataset.
    value
        What it returned.
    """

    memo: "Memo[Any, Any]"
    arguments: Hashable
    value: Any


class Memo(Generic[P, T]):
    """A function of a dataset and hashable arguments that stores its results with the dataset.

    Parameters
    ----------
    function
        Computes the result.
    tables
        Tables that the result depends on; none named means any of them.
    """

    def __init__(
        self, function: Callable[Concatenate["Dataset", P], T], tables: Collection[str]
    ) -> None:
        self.function = function
        self.tables = frozenset(tables)
        update_wrapper(self, function)

    def __call__(self, dataset: "Dataset", *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the stored result; compute and store it on the first call."""
        key = (self, _arguments(args, kwargs))
        if key not in dataset.results:
            dataset.results[key] = self.function(dataset, *args, **kwargs)
        return cast(T, dataset.results[key])

    def stored(self, dataset: "Dataset", *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the stored result; None if it has not been computed."""
        return cast(T | None, dataset.results.get((self, _arguments(args, kwargs))))

    def store(self, dataset: "Dataset", value: T, *args: P.args, **kwargs: P.kwargs) -> T:
        """Store a result that was computed elsewhere, such as together with others."""
        dataset.results[self, _arguments(args, kwargs)] = value
        return value

    def result(self, value: T, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Pair a value with arguments, for a dataset that receives it instead of computing it."""
        return Result(self, _arguments(args, kwargs), value)

    def survives(self, replaced: Collection[str]) -> bool:
        """Whether results stay valid after some tables were replaced."""
        return bool(self.tables) and self.tables.isdisjoint(replaced)


def memo(
    *tables: str,
) -> Callable[[Callable[Concatenate["Dataset", P], T]], Memo[P, T]]:
    """Memoise a function of a dataset.

    Parameters
    ----------
    tables
        Tables that the result depends on; none named means any of them.
    """

    def decorate(function: Callable[Concatenate["Dataset", P], T]) -> Memo[P, T]:
        return Memo(function, tables)

    return decorate


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    return args, tuple(sorted(kwargs.items()))
