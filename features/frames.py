"""Frames from a caller: a frame of any engine in, a Polars frame out.

All frames that a user passes go through `to_polars`: records, ids to predict for, plans.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any

import narwhals as nw
import polars as pl

from features.errors import InvalidInput
from features.typing import Floats, Frame

# Causes for which a column of pandas has no Arrow type, such as values of several types.
_NOT_CONVERTIBLE = (
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,
    pl.exceptions.PolarsError,
)
# Missing values of pandas and Python as text.
_MISSING = ("None", "nan", "NaT", "<NA>")


def to_polars(native: Any, name: str, columns: Collection[str] | None = None) -> pl.DataFrame:
    """Return a frame of pandas, Polars or any engine that Narwhals supports as a Polars frame.

    Columns of Python objects and of categories become text, decimals become floats.

    Parameters
    ----------
    native
        The frame; a lazy one is collected.
    name
        What the frame is, for error messages.
    columns
        Columns to convert, if the frame has them; None for all.

    Raises
    ------
    InvalidInput
        If it is no frame, names a column twice, or a column holds lists or other nested values.
    """
    try:
        frame = nw.from_native(native)
        names = frame.collect_schema().names()
        kept = [column for column in names if columns is None or column in columns]
        frame = frame.select(kept)
    except (TypeError, ValueError, nw.exceptions.NarwhalsError) as error:
        cause = " ".join(str(error).split())
        raise InvalidInput(
            f"{name} is no data frame that can be read ({type(native).__name__}): "
            f"{cause.rstrip('.')}. Pass a frame of pandas, Polars, or an engine that Narwhals "
            "supports.",
            field=name,
        ) from error
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("polars")
    return pl.DataFrame([series_to_polars(frame.get_column(column), name) for column in kept])


def series_to_polars(values: nw.Series[Any], name: str) -> pl.Series:
    """Return a series of any engine as a Polars series, with types as in `to_polars`.

    Raises
    ------
    InvalidInput
        If it holds lists or other nested values.
    """
    column = f"column {values.name!r} of {name}" if values.name else name
    # The type of a column of objects is that of its first values.
    is_object = str(getattr(values.to_native(), "dtype", "")) == "object"
    if is_object or values.dtype == nw.Object:
        return to_text(values.to_list(), column).alias(values.name)
    try:
        converted = values.to_polars()
    except _NOT_CONVERTIBLE:
        return to_text(values.to_list(), column).alias(values.name)
    dtype = converted.dtype
    if dtype.is_nested() or dtype in (pl.Binary, pl.Duration):
        raise _unusable(column, str(dtype))
    if dtype in (pl.Categorical, pl.Enum, pl.Null, pl.Time):
        return converted.cast(pl.String)
    return converted.cast(pl.Float64) if dtype.is_decimal() else converted


def to_text(values: Iterable[Any], name: str) -> pl.Series:
    """Return Python values as text; missing ones (None, NaN, NaT) are null.

    Raises
    ------
    InvalidInput
        If a value is a list, a dictionary or bytes.
    """
    texts: list[str | None] = []
    for value in values:
        if isinstance(value, Sequence | Mapping | Set) and not isinstance(value, str):
            raise _unusable(name, type(value).__name__)
        text = value if isinstance(value, str) else str(value)
        texts.append(None if text in _MISSING and not isinstance(value, str) else text)
    return pl.Series(name, texts, dtype=pl.String)


def _unusable(name: str, kind: str) -> InvalidInput:
    return InvalidInput(
        f"{name[0].upper()}{name[1:]} holds values of the type {kind}; give text, numbers, dates "
        "or yes and no.",
        field=name,
    )


def frame_of_rows(values: Floats, names: Sequence[str]) -> pl.DataFrame:
    """Return a matrix as a frame; for a single row, ten times as fast as Polars' constructor."""
    if len(values) == 1:
        schema = dict.fromkeys(names, pl.Float64)
        return pl.from_dicts([dict(zip(names, values[0].tolist(), strict=True))], schema=schema)
    return pl.DataFrame(values, schema=list(names), orient="row")


def materialise(frame: Frame) -> Frame:
    """Compute a frame of any engine and hold the rows in memory as a Polars frame.

    A frame that only records its steps (`features.array_frames`) is returned as it is.
    """
    if not isinstance(frame, nw.LazyFrame):
        return frame
    return nw.from_native(frame.collect().to_polars().lazy())
