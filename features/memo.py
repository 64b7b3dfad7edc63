"""Memoised functions of a dataset: results are kept with the snapshot that they depend on.

The decorator `memo` takes a function whose first argument is a dataset and returns a `Memo`. It is
called like the function, and computes each result once per dataset and arguments.
"""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast


class HoldsResults(Protocol):
    """An object that keeps results by function and arguments, as a dataset does."""

    @property
    def results(self) -> dict[tuple["Memo[Any, Any, Any]", Hashable], Any]:
        """Results by function and arguments."""


D = TypeVar("D", bound=HoldsResults)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One result.

    Attributes
    ----------
    memo
        The function.
    arguments
        Its arguments after the dataset.
    value
        The returned value.
    """

    memo: "Memo[Any, Any, Any]"
    arguments: Hashable
    value: Any


class Memo(Generic[D, P, T]):
    """A function of a dataset and hashable arguments that keeps its results with the dataset.

    Parameters
    ----------
    function
        Computes the result.
    tables
        Tables that the result depends on; empty means all tables.
    """

    def __init__(self, function: Callable[Concatenate[D, P], T], tables: Collection[str]) -> None:
        self.function = function
        self.tables = frozenset(tables)
        update_wrapper(self, function)

    def __call__(self, dataset: D, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the stored result; compute and store it on the first call."""
        key = (self, _arguments(args, kwargs))
        if key not in dataset.results:
            dataset.results[key] = self.function(dataset, *args, **kwargs)
        return cast(T, dataset.results[key])

    def stored(self, dataset: D, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the stored result; None if there is none."""
        return cast(T | None, dataset.results.get((self, _arguments(args, kwargs))))

    def store(self, dataset: D, value: T, *args: P.args, **kwargs: P.kwargs) -> T:
        """Store a result that was computed elsewhere, for example together with others."""
        dataset.results[self, _arguments(args, kwargs)] = value
        return value

    def result(self, value: T, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Pair a value with arguments; `Dataset.with_results` takes such results."""
        return Result(self, _arguments(args, kwargs), value)

    def survives(self, replaced: Collection[str]) -> bool:
        """Whether results stay valid after some tables are replaced."""
        return bool(self.tables) and self.tables.isdisjoint(replaced)


def memo(*tables: str) -> Callable[[Callable[Concatenate[D, P], T]], Memo[D, P, T]]:
    """Memoise a function of a dataset.

    Parameters
    ----------
    tables
        Tables that the result depends on; none means all tables.
    """

    def decorate(function: Callable[Concatenate[D, P], T]) -> Memo[D, P, T]:
        return Memo(function, tables)

    return decorate


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    return args, tuple(sorted(kwargs.items()))
