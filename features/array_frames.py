"""Feature functions on the records of one customer, as arrays instead of lazy frames.

Planning a query of a frame library takes a hundred times as long as running it on the records of
one customer. An `ArrayFrame` takes the place of a lazy frame in a feature function. It records the
steps once, and `ArrayFrame.rows` runs them on arrays. The features are those of the lazy frames to
the last bit; `features.array_expressions` describes the columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from features.array_expressions import (
    CONSTANT,
    Array,
    Columns,
    Compiled,
    Rows,
    compile_expression,
    full,
    grouped,
)
from features.typing import Ints


class ArrayFrame:
    """A frame of one customer that records its steps and runs them on arrays.

    Parameters
    ----------
    names
        Names of the columns.
    compute
        Returns the columns from the tables and the results of earlier steps.
    vocabulary
        Codes of text literals.

    Raises
    ------
    NotImplementedError
        If a step or an expression is not supported.
    """

    def __init__(
        self,
        names: Sequence[str],
        compute: "Callable[[Run], Columns]",
        vocabulary: Mapping[str, int],
    ) -> None:
        self.names = list(names)
        self.compute = compute
        self.vocabulary = vocabulary

    @classmethod
    def table(
        cls, name: str, columns: Sequence[str], vocabulary: Mapping[str, int]
    ) -> "ArrayFrame":
        """Return the frame of a table, whose columns are passed to `rows`."""
        return cls(columns, lambda run: run.tables[name], vocabulary)

    def rows(self, tables: Mapping[str, Columns]) -> Columns:
        """Run the recorded steps on tables."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return Run(tables, {}).columns(self)

    def collect_schema(self) -> nw.Schema:
        """Return the names of the columns; their types are not recorded."""
        return nw.Schema(dict.fromkeys(self.names, nw.Unknown()))

    def with_columns(self, *exprs: Any, **named: Any) -> "ArrayFrame":
        """Add columns, or replace them."""
        compiled = self._compile(*exprs, **named)
        names = dict.fromkeys([*self.names, *(name for name, _ in compiled)])

        def compute(run: Run) -> Columns:
            columns = run.columns(self)
            rows = Rows(columns, size_of(columns))
            return {**columns, **{name: full(fn(rows), rows.size) for name, fn in compiled}}

        return self._next(list(names), compute)

    def select(self, *exprs: Any) -> "ArrayFrame":
        """Keep or compute columns."""
        compiled = self._compile(*exprs)

        def compute(run: Run) -> Columns:
            columns = run.columns(self)
            rows = Rows(columns, size_of(columns))
            return {name: full(fn(rows), rows.size) for name, fn in compiled}

        return self._next([name for name, _ in compiled], compute)

    def drop(self, *names: str) -> "ArrayFrame":
        """Remove columns."""
        return self.select(*(name for name in self.names if name not in names))

    def filter(self, *exprs: Any) -> "ArrayFrame":
        """Keep the rows for which all expressions hold."""
        compiled = self._compile(*exprs)

        def compute(run: Run) -> Columns:
            columns = run.columns(self)
            rows = Rows(columns, size_of(columns))
            kept = np.ones(rows.size, bool)
            for _, fn in compiled:
                kept &= fn(rows)
            return columns if kept.all() else {name: v[kept] for name, v in columns.items()}

        return self._next(self.names, compute)

    def unique(self, subset: str | Sequence[str] | None = None, **_: Any) -> "ArrayFrame":
        """Keep the first row of each group of equal rows."""
        names = [subset] if isinstance(subset, str) else subset or self.names
        keys = self._keys(names)

        def compute(run: Run) -> Columns:
            columns = run.columns(self)
            rows = grouped(Rows(columns, size_of(columns)), keys)
            first = rows.starts if rows.order is None else rows.order[rows.starts]
            return {name: values[first] for name, values in columns.items()}

        return self._next(self.names, compute)

    def group_by(self, *keys: Any) -> "_Grouped":
        """Group rows with equal keys."""
        names = [name for key in keys for name in ([key] if isinstance(key, str) else key)]
        return _Grouped(self, names)

    def join(self, other: "ArrayFrame", on: Any, how: str = "inner") -> "ArrayFrame":
        """Join a frame with at most one row of each key."""
        keys = self._keys([on] if isinstance(on, str) else on)
        added = [name for name in other.names if name not in keys and name not in self.names]
        if how not in ("left", "inner"):
            raise NotImplementedError(f"join {how}")

        def compute(run: Run) -> Columns:
            left, right = run.columns(self), run.columns(other)
            position = _positions(left, right, keys)
            matched = position >= 0
            if how == "inner":
                left = {name: values[matched] for name, values in left.items()}
                position, matched = position[matched], matched[matched]
            joined = {name: _taken(right[name], position, matched) for name in added}
            return {**left, **joined}

        return self._next([*self.names, *added], compute)

    def _next(self, names: Sequence[str], compute: "Callable[[Run], Columns]") -> "ArrayFrame":
        return ArrayFrame(names, compute, self.vocabulary)

    def _keys(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name != CONSTANT]

    def _compile(self, *exprs: Any, **named: Any) -> list[tuple[str, Compiled]]:
        flat: list[Any] = []
        for expr in exprs:
            flat += [expr] if isinstance(expr, str | nw.Expr) else list(expr)
        flat += [expr.alias(name) for name, expr in named.items()]
        return [pair for expr in flat for pair in compile_expression(expr, self.vocabulary)]


@dataclass(frozen=True)
class _Grouped:
    frame: ArrayFrame
    names: list[str]

    def agg(self, *exprs: Any) -> ArrayFrame:
        """Aggregate each group to a row."""
        compiled = self.frame._compile(*exprs)
        keys = self.frame._keys(self.names)

        def compute(run: Run) -> Columns:
            columns = run.columns(self.frame)
            rows = grouped(Rows(columns, size_of(columns)), keys)
            first = rows.starts if rows.order is None else rows.order[rows.starts]
            result = {name: columns[name][first] for name in self.names}
            return {**result, **{name: fn(rows) for name, fn in compiled}}

        return self.frame._next([*self.names, *(name for name, _ in compiled)], compute)


@dataclass(frozen=True)
class Run:
    """One run: the tables, and the results of steps, which several later steps may read."""

    tables: Mapping[str, Columns]
    results: dict[int, Columns]

    def columns(self, frame: ArrayFrame) -> Columns:
        """Return the columns of a step; computed once."""
        known = self.results.get(id(frame))
        if known is None:
            known = self.results[id(frame)] = frame.compute(self)
        return known


def size_of(columns: Columns) -> int:
    """Return the number of rows."""
    return len(next(iter(columns.values())))


def _positions(left: Columns, right: Columns, keys: Sequence[str]) -> Ints:
    """Return the row of `right` with the keys of each row of `left`; -1 if there is none."""
    size, others = size_of(left), size_of(right)
    if not keys:
        return np.zeros(size, np.int64) if others else np.full(size, -1)
    if not others:
        return np.full(size, -1)
    order = np.lexsort([right[name] for name in keys[::-1]])
    if len(keys) == 1:
        sorted_keys, wanted = right[keys[0]][order], left[keys[0]]
        at = np.minimum(np.searchsorted(sorted_keys, wanted), others - 1)
        return np.where(sorted_keys[at] == wanted, order[at], -1)
    rows = {
        key: row for row, key in enumerate(zip(*(right[n].tolist() for n in keys), strict=True))
    }
    wanted_keys = zip(*(left[name].tolist() for name in keys), strict=True)
    return np.array([rows.get(key, -1) for key in wanted_keys], np.int64)


def _taken(values: Array, position: Ints, matched: NDArray[np.bool_]) -> Array:
    if matched.all():
        return np.asarray(values[position])
    taken = np.full(len(position), np.nan)
    taken[matched] = values[position[matched]]
    return taken
