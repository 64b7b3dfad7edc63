"""Customer profiles: how customers buy, their segments, and the predictions of every model.

Customers and the readers of one published version go in, one row a customer comes out.
"""

from collections.abc import Collection, Mapping
from typing import Any

from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import Customers, Row
from serving.customers.timing import timing_of
from training.customers.profile import FAVOURITE_COLUMNS, describe

# Columns of the customer that are not repeated under each model.
SHARED = ("customer_id", "basis")
# Tasks whose answers a profile shows besides churn, as far as they are published.
FURTHER_MODELS = ("next-purchase", "next-category", "value")
# Likely categories of a profile at most.
MAX_CATEGORIES = 5
SEGMENTS = ("stage", "rfm_segment", "rfm_score")
WITHOUT_PURCHASE: Row = {
    "cluster": None,
    "first_purchase": None,
    "last_purchase": None,
    "visits": 0,
    "days_since_purchase": None,
    "usual_gap_days": None,
    "spend_per_visit": None,
    "returned_value": None,
    "top_categories": [],
    **dict.fromkeys(FAVOURITE_COLUMNS),
}


def profiles(models: Mapping[str, Any], customers: Customers) -> list[Row]:
    """Return the profile of each customer, in request order.

    Parameters
    ----------
    models
        Readers of one published version by folder; `churn` and `profile` are required.
    customers
        Customers, by id or by their posted orders.

    Returns
    -------
    list of dict
        customer_id, basis, the columns of `training.customers.profile.describe`, stage,
        rfm_segment and rfm_score, and under churn, next_purchase and value the answers of those
        models; null where the version has no such model. next_categories has the categories that
        the customer most likely buys from within two weeks, among those with enough history.

    Raises
    ------
    InvalidInput
        If a posted order lacks a column that a model needs.
    """
    timing = timing_of(models)
    churn = models["churn"].answer(customers, timing=timing)
    next_category = models.get("next-category")
    categories: list[list[Row]] = (
        [[] for _ in churn]
        if next_category is None
        else next_category.likely_categories(customers, MAX_CATEGORIES)
    )
    predictions: dict[str, list[Row]] = {
        name: models[task].answer(customers, timing=timing)
        for name, task in (("next_purchase", "next-purchase"), ("value", "value"))
        if task in models
    }
    return [
        {name: row[name] for name in (*SHARED, *SEGMENTS)}
        | _without(described, ("customer_id",))
        | {"churn": _without(row, (*SHARED, *SEGMENTS)), "next_purchase": None, "value": None}
        | {"next_categories": [_without(category, SHARED) for category in likely]}
        | {name: _without(rows[number], SHARED) for name, rows in predictions.items()}
        for number, (row, described, likely) in enumerate(
            zip(churn, _descriptions(models, customers), categories, strict=True)
        )
    ]


def _descriptions(models: Mapping[str, Any], customers: Customers) -> list[Row]:
    """Return how each customer buys, by look-up or from posted orders."""
    profile = models["profile"]
    if isinstance(customers, PostedCustomers):
        dataset = customers.dataset(models["churn"].population)
        frame = describe(dataset, customers.as_of, profile.clusters)
        rows = {row["customer_id"]: row for row in frame.iter_rows(named=True)}
        return [rows.get(key, WITHOUT_PURCHASE) for key in customers.keys]
    rows = profile.select(customers)
    return [rows.get(name, WITHOUT_PURCHASE) for name in customers]


def _without(row: Row, names: Collection[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}
