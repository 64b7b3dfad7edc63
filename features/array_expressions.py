"""Narwhals expressions as NumPy operations on the records of one customer.

An expression goes in, a function of columns comes out. Columns are float64 with NaN for missing
values, int64 or bool. Comparisons with a missing value are false. Texts are codes: literals are
translated by a vocabulary. Numbers are equal to those of Polars to the last bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, reduce
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from features.columns import CUSTOMER_ID
from features.typing import Ints

Array = NDArray[Any]
Columns = Mapping[str, Array]
EPOCH = datetime(1970, 1, 1)
ONE_GROUP = np.zeros(1, np.int64)
# The column that is equal in all rows, and need not be grouped by.
CONSTANT = CUSTOMER_ID


@dataclass(frozen=True)
class Rows:
    """Columns, whose rows may be ordered by group.

    Attributes
    ----------
    columns
        The columns.
    size
        Number of rows.
    order
        Positions of the rows in `columns`, group by group; None if they are in order.
    starts
        Position in `order` of the first row of each group.
    """

    columns: Columns
    size: int
    order: Ints | None = None
    starts: Ints = field(default_factory=lambda: ONE_GROUP)

    def column(self, name: str) -> Array:
        """Return a column in the order of the rows."""
        values = self.columns[name]
        return values if self.order is None else values[self.order]

    @cached_property
    def lengths(self) -> Ints:
        """Return the number of rows of each group."""
        return np.diff(self.starts, append=self.size)

    @cached_property
    def number(self) -> Ints:
        """Number of each row in its group, from 0."""
        return np.arange(self.size) - np.repeat(self.starts, self.lengths)


Compiled = Callable[[Rows], Any]


def grouped(rows: Rows, keys: Sequence[str], order_by: Sequence[str] = ()) -> Rows:
    """Order rows by keys, and within groups of equal keys by further columns."""
    by = [rows.columns[name] for name in (*keys, *order_by)]
    order = np.lexsort(by[::-1]) if by else None
    starts = np.zeros(min(rows.size, 1), np.int64)
    if keys and rows.size:
        assert order is not None  # noqa: S101
        is_new = np.ones(rows.size, bool)
        is_new[1:] = False
        for name in keys:
            values = rows.columns[name][order]
            is_new[1:] |= values[1:] != values[:-1]
        starts = np.flatnonzero(is_new)
    return Rows(rows.columns, rows.size, order, starts)


def microseconds(instant: datetime) -> int:
    """Return an instant as it is stored in columns: microseconds since 1970-01-01."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def compile_expression(
    expr: str | nw.Expr, vocabulary: Mapping[str, int]
) -> list[tuple[str, Compiled]]:
    """Translate an expression; one of several columns becomes several."""
    expr = nw.col(expr) if isinstance(expr, str) else expr
    nodes = list(expr._nodes)
    names = nodes[0].kwargs["names"] if nodes[0].name == "col" else [_root_name(nodes[0])]
    aliases = [node.kwargs["name"] for node in nodes if node.name == "alias"]
    if aliases:
        names = names if len(names) > 1 else [aliases[-1]]
    roots = nodes[0].kwargs.get("names", [None])
    return [
        (name, _chain(nodes, root, vocabulary)) for name, root in zip(names, roots, strict=True)
    ]


def _root_name(node: Any) -> str:
    """Return the name that an expression without a column at its root has."""
    for part in node.exprs[-1:] if node.name == "when_then" else node.exprs[:1]:
        if isinstance(part, nw.Expr):
            return compile_expression(part, {})[0][0] if part._nodes[0].name == "col" else "literal"
        if isinstance(part, str) and not node.str_as_lit:
            return part
    return "len" if node.name == "len" else "literal"


def _chain(nodes: list[Any], root: str | None, vocabulary: Mapping[str, int]) -> Compiled:
    function: Compiled | None = None
    last = ""
    for node in nodes:
        if node.name == "alias":
            continue
        if node.name == "over":
            function = _over(function, last, **node.kwargs)
        else:
            function = _node(node, root, function, vocabulary)
        last = node.name
    assert function is not None  # noqa: S101
    return function


def _node(
    node: Any, root: str | None, inner: Compiled | None, vocabulary: Mapping[str, int]
) -> Compiled:
    """Translate one node, which is applied to the result of `inner`."""
    if node.name == "col":
        assert root is not None  # noqa: S101
        return lambda rows: rows.column(root)
    if node.name == "lit":
        value = _literal(node.kwargs["value"], vocabulary)
        return lambda _: value
    if node.name == "len":
        return lambda rows: rows.lengths
    arguments = [_argument(part, vocabulary, str_as_literal=node.str_as_lit) for part in node.exprs]
    if inner is not None:
        arguments = [inner, *arguments]
    if node.name == "cast" or node.name in ROW_OPERATIONS:
        is_cast = node.name == "cast"
        operation = _cast_to(node.kwargs["dtype"]) if is_cast else ROW_OPERATIONS[node.name]
        kwargs = {} if is_cast or node.name in WITHOUT_OPTIONS else node.kwargs
        if len(arguments) == 1 and not kwargs:
            (only,) = arguments
            return lambda rows: operation(only(rows))
        if len(arguments) == 2 and not kwargs:
            left, right = arguments
            return lambda rows: operation(left(rows), right(rows))
        return lambda rows: operation(*(argument(rows) for argument in arguments), **kwargs)
    if node.name in GROUP_OPERATIONS:
        group_operation, kwargs = GROUP_OPERATIONS[node.name], node.kwargs
        (only,) = arguments
        return lambda rows: group_operation(rows, only(rows), **kwargs)
    raise NotImplementedError(f"Expressions with {node.name} are not evaluated on arrays.")


def _argument(part: Any, vocabulary: Mapping[str, int], *, str_as_literal: bool) -> Compiled:
    if isinstance(part, nw.Expr) or (isinstance(part, str) and not str_as_literal):
        ((_, function),) = compile_expression(part, vocabulary)
        return function
    value = _literal(part, vocabulary)
    return lambda _: value


def _literal(value: Any, vocabulary: Mapping[str, int]) -> Any:
    if isinstance(value, str):
        return vocabulary[value]
    if isinstance(value, datetime):
        return microseconds(value)
    return np.nan if value is None else value


def _over(
    inner: Compiled | None, last: str, partition_by: Sequence[str], order_by: Sequence[str]
) -> Compiled:
    """Evaluate an expression within each group, in the order of the rows of the frame."""
    assert inner is not None  # noqa: S101
    keys = [name for name in partition_by if name != CONSTANT]
    is_aggregate = last in AGGREGATES

    def evaluate(rows: Rows) -> Array:
        groups = grouped(rows, keys, order_by)
        values = inner(groups)
        if is_aggregate:
            values = np.repeat(values, groups.lengths)
        if groups.order is None:
            return np.asarray(values)
        result = np.empty_like(values)
        result[groups.order] = values
        return np.asarray(result)

    return evaluate


def full(values: Any, size: int) -> Array:
    """Return values as a column; a scalar is repeated."""
    array = np.asarray(values)
    return array if array.ndim else np.full(size, array)


def _cast_to(dtype: Any) -> Callable[..., Any]:
    if dtype == nw.Float64:
        return lambda values: np.asarray(values, np.float64)
    if not dtype.is_integer():
        raise NotImplementedError(f"Casts to {dtype} are not evaluated on arrays.")
    return _integers


def _integers(values: Any) -> Any:
    values = np.asarray(values)
    # Whole numbers with missing ones stay floats.
    is_float = values.dtype.kind == "f"
    return values if is_float and np.isnan(values).any() else values.astype(np.int64, copy=False)


def _is_null(values: Array) -> Array:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def _fill_null(values: Array, fill: Any) -> Array:
    missing = _is_null(values)
    if not missing.any():
        return values
    return np.where(missing, fill, values)


def _sum(rows: Rows, values: Any) -> Array:
    values = full(values, rows.size)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), 0.0, values)
    elif values.dtype.kind == "b":
        values = values.astype(np.int64)
    return np.add.reduceat(values, rows.starts) if rows.size else values[:0]


def _reduced(ufunc: Any) -> Callable[[Rows, Array], Array]:
    def reduce(rows: Rows, values: Array) -> Array:
        return ufunc.reduceat(values, rows.starts) if rows.size else values[:0]

    return reduce


def _quantile(rows: Rows, values: Array, quantile: float, interpolation: str = "linear") -> Array:
    if interpolation != "linear":
        raise NotImplementedError(f"quantiles with {interpolation} interpolation")
    result = np.full(len(rows.starts), np.nan)
    for group, (start, length) in enumerate(zip(rows.starts, rows.lengths, strict=True)):
        part = values[start : start + length]
        part = np.sort(part[~np.isnan(part)] if part.dtype.kind == "f" else part)
        if len(part):
            # Polars sorts missing values first, which decides the last bit of the share.
            missing = length - len(part)
            place = quantile * (len(part) - 1) + missing
            low = int(place)
            below, above = part[low - missing], part[min(low + 1, length - 1) - missing]
            result[group] = below if below == above else (place - low) * (above - below) + below
    return result


def _shift(rows: Rows, values: Array, n: int) -> Array:
    if n != 1:
        raise NotImplementedError(f"shift by {n}")
    shifted = np.empty(rows.size)
    shifted[1:] = values[:-1]
    shifted[rows.starts] = np.nan
    return shifted


def _cum_count(rows: Rows, values: Array, *, reverse: bool) -> Array:
    if reverse or _is_null(values).any():
        raise NotImplementedError("cum_count in reverse or of missing values")
    return rows.number + 1


def _rank(rows: Rows, values: Array, method: str, *, descending: bool) -> Array:
    if method != "ordinal":
        raise NotImplementedError(f"rank {method}")
    group = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    order = np.lexsort((-values if descending else values, group))
    ranks = np.empty(rows.size, np.int64)
    ranks[order] = rows.number + 1
    return ranks


# Operations on the values of each row, and those whose options change nothing here.
ROW_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "__add__": np.add,
    "__sub__": np.subtract,
    "__rsub__": lambda a, b: np.subtract(b, a),
    "__mul__": np.multiply,
    "__truediv__": np.true_divide,
    "__rtruediv__": lambda a, b: np.true_divide(b, a),
    "__floordiv__": np.floor_divide,
    "__mod__": np.mod,
    "__neg__": np.negative,
    "__invert__": np.logical_not,
    "__and__": np.logical_and,
    "__or__": np.logical_or,
    "__gt__": np.greater,
    "__ge__": np.greater_equal,
    "__lt__": np.less,
    "__le__": np.less_equal,
    "__eq__": np.equal,
    "__ne__": np.not_equal,
    "round": np.rint,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "clip_lower": np.maximum,
    "clip_upper": np.minimum,
    "max_horizontal": np.fmax,
    "min_horizontal": np.fmin,
    "is_null": _is_null,
    "fill_null": _fill_null,
    "all_horizontal": lambda *values, **_: reduce(np.logical_and, values),
    "when_then": lambda condition, then, otherwise=np.nan: np.where(condition, then, otherwise),
}
WITHOUT_OPTIONS = ("round", "fill_null", "all_horizontal")
# Operations on the values of each group: with one value a group, or with one a row.
AGGREGATES = ("len", "sum", "max", "min", "count", "median", "quantile")
GROUP_OPERATIONS: Mapping[str, Callable[..., Array]] = {
    "sum": _sum,
    "max": _reduced(np.fmax),
    "min": _reduced(np.fmin),
    "count": lambda rows, values: _sum(rows, ~_is_null(values)),
    "median": lambda rows, values: _quantile(rows, values, 0.5),
    "quantile": _quantile,
    "shift": _shift,
    "cum_count": _cum_count,
    "rank": _rank,
}
