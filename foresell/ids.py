"""Ids to predict for: a list, a series or a frame from a caller in, a frame of key columns out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from features.columns import CUSTOMER_ID
from features.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from features.dataset import Dataset
    from training.contract import Model

_KINDS = "a list or a series of ids, or a frame"


def ids_of(model: Model, ids: Any) -> pl.DataFrame:
    """Return the ids of a model's entities as a frame of its key columns.

    Parameters
    ----------
    model
        The model: customers are its entities, or the series of its grain.
    ids
        A list, an array or a series of the ids of one key column; a list of tuples for several
        key columns; or a frame of pandas, Polars or another engine with the key columns.

    Raises
    ------
    InvalidInput
        If it is something else, lacks a key column, or an id is missing.
    """
    from training.models.demand.model import DemandModel

    keys: tuple[str, ...] = (CUSTOMER_ID,)
    if isinstance(model, DemandModel):
        from features.demand.grain import Grain

        keys = Grain.parse(model.grain).keys
    return read_ids(ids, keys)


def read_ids(ids: Any, keys: Sequence[str]) -> pl.DataFrame:
    """Return ids as a frame of key columns, as `ids_of`; further columns of a frame are kept."""
    from features.ingest.sources.parse import identifier

    frame = _to_frame(ids, keys)
    for key in keys:
        if key not in frame.columns:
            raise InvalidInput(
                f"ids lack the column {key!r}; they need {', '.join(keys)}, and have "
                f"{', '.join(frame.columns)}.",
                field=f"ids.{key}",
            )
    frame = frame.with_columns(identifier(frame.get_column(key)).alias(key) for key in keys)
    for key in keys:
        missing = frame.get_column(key).is_null()
        if missing.any():
            raise InvalidInput(
                f"ids.{key} is missing in row {missing.arg_max()}; leave the row out.",
                field=f"ids.{key}",
            )
    return frame


def check_known(dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> None:
    """Check that a purchase of each customer is recorded before `as_of`; other keys are not read.

    Raises
    ------
    NotFound
        Naming the first customer without one.
    """
    from training.customers.cutoffs import known_customer_days

    if CUSTOMER_ID not in ids.columns:
        return
    unknown = ids.join(known_customer_days(dataset, as_of), on=CUSTOMER_ID, how="anti")
    if not unknown.is_empty():
        raise NotFound(
            f"ids.{CUSTOMER_ID} = {unknown.item(0, CUSTOMER_ID)!r} is not known: dataset "
            f"{dataset.name} has no purchase of this customer before {as_of.date()}. Correct the "
            "id, or leave unknown out for the answer of a newcomer.",
            field=f"ids.{CUSTOMER_ID}",
        )


def _to_frame(ids: Any, keys: Sequence[str]) -> pl.DataFrame:
    import narwhals as nw
    import polars as pl

    from features.frames import series_to_polars, to_polars, to_text

    native = nw.from_native(ids, allow_series=True, pass_through=True)
    if isinstance(native, nw.DataFrame | nw.LazyFrame):
        return to_polars(ids, "ids")
    if isinstance(native, nw.Series):
        columns = [series_to_polars(native, "ids")]
    elif isinstance(ids, Iterable) and not isinstance(ids, str | bytes | dict):
        values = list(ids)
        if len(keys) > 1 and all(isinstance(value, tuple) for value in values):
            widths = {len(value) for value in values} or {len(keys)}
            if widths != {len(keys)}:
                raise _wrong(ids, keys)
            columns = [to_text((value[i] for value in values), "ids") for i in range(len(keys))]
        else:
            columns = [to_text(values, "ids")]
    else:
        raise _wrong(ids, keys)
    if len(columns) != len(keys):
        raise _wrong(ids, keys)
    return pl.DataFrame([column.alias(key) for column, key in zip(columns, keys, strict=True)])


def _wrong(ids: Any, keys: Sequence[str]) -> InvalidInput:
    expected = _KINDS if len(keys) == 1 else "a frame, or a list of tuples,"
    return InvalidInput(
        f"ids are given as {type(ids).__name__}; give {expected} of {', '.join(keys)}.",
        field="ids",
    )
