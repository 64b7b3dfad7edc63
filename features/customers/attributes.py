"""Attributes of customers apart from purchases: age group, household, region, ...

In: the table `customers`. Out: one row per customer, texts or numbers. Attributes have no date and
are taken to hold at all times, so columns that depend on purchases do not belong in the table
(`docs/personal-data.md`).
"""

from typing import Any

import narwhals as nw

from features.columns import CUSTOMER_ID
from features.dataset import Dataset
from features.memo import memo
from features.privacy.consent import consent_columns
from features.typing import Frame

PREFIX = "attribute_"
# A column with more distinct values identifies customers (name, address, number) instead of
# describing them.
MOST_VALUES = 100


def attribute_columns(dataset: Dataset) -> list[str]:
    """Return the columns of `customers` that are attributes.

    They are of texts, numbers or truth values, of two to `MOST_VALUES` distinct values. A dataset
    that holds a part of a population takes them from the population's statistics.
    """
    if dataset.population is not None:
        return list(dataset.population.attributes)
    return _attribute_columns(dataset) if dataset.has("customers", CUSTOMER_ID) else []


@memo("customers")
def _attribute_columns(dataset: Dataset) -> list[str]:
    frame = dataset.table("customers")
    schema = frame.collect_schema()
    excluded = {CUSTOMER_ID, *consent_columns(schema.names())}
    candidates = [
        name
        for name, dtype in schema.items()
        if name not in excluded and (_is_text(dtype) or dtype.is_numeric() or dtype == nw.Boolean)
    ]
    if not candidates:
        return []
    counts = frame.select(nw.col(*candidates).n_unique()).collect().row(0)
    return [
        name for name, count in zip(candidates, counts, strict=True) if 1 < count <= MOST_VALUES
    ]


def attributes(dataset: Dataset) -> Frame:
    """Return customer_id and `attribute_<column>` for each attribute, text or float64."""
    frame = dataset.table("customers")
    schema = frame.collect_schema()
    return frame.select(
        CUSTOMER_ID,
        *(
            nw.col(name)
            .cast(nw.String if _is_text(schema[name]) else nw.Float64)
            .alias(PREFIX + name)
            for name in attribute_columns(dataset)
        ),
    ).unique(CUSTOMER_ID, keep="any")


def _is_text(dtype: Any) -> bool:
    return dtype in (nw.String, nw.Categorical, nw.Object) or isinstance(dtype, nw.Enum)
