"""Customer: what is known of a customer apart from how they buy: age, household, region, ...

The table `customers` goes in, one row a customer comes out; `features.customers.builder` joins it
where a
retailer keeps such facts. They have no date: what is recorded is taken to have held all along, so
nothing belongs there that buying changes (`docs/personal-data.md`). Words stay words: models learn
what they mean from the customers they are fitted to.
"""

from typing import Any

import narwhals as nw

from features.columns import CUSTOMER_ID
from features.dataset import Dataset
from features.memo import memo
from features.privacy.consent import consent_columns
from features.typing import Frame

PREFIX = "attribute_"
# A column of more values tells customers from each other (a name, an address, a number) rather
# than kinds of customers.
MOST_VALUES = 100


def attribute_columns(dataset: Dataset) -> list[str]:
    """Name the columns of `customers` that describe: of words or numbers, few of them.

    A dataset that holds only some customers takes them from its population's statistics.
    """
    if dataset.population is not None:
        return list(dataset.population.attributes)
    return _attribute_columns(dataset) if dataset.has("customers", CUSTOMER_ID) else []


@memo("customers")
def _attribute_columns(dataset: Dataset) -> list[str]:
    frame = dataset.table("customers")
    schema = frame.collect_schema()
    excluded = {CUSTOMER_ID, *consent_columns(schema.names())}
    named = [
        name
        for name, dtype in schema.items()
        if name not in excluded and (_is_text(dtype) or dtype.is_numeric() or dtype == nw.Boolean)
    ]
    if not named:
        return []
    counts = frame.select(nw.col(*named).n_unique()).collect().row(0)
    return [name for name, count in zip(named, counts, strict=True) if 1 < count <= MOST_VALUES]


def attributes(dataset: Dataset) -> Frame:
    """Return customer_id and `attribute_...` of each column, text or a number."""
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
