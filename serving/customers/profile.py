"""A customer's profile: how they buy, where they stand, and what every model says of them.

Asks the readers of one published version; the HTTP routes ask here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.customers.posted_history import PostedCustomers, key_of
from training.customers.profile import FAVOURITE_COLUMNS, describe

Rows = list[dict[str, Any]]

# Said once, of the customer, and not again under each model.
SHARED = ("customer_id", "basis")
# What a profile reads of a published version besides churn, as far as it is there.
BESIDES = ("next-purchase", "next-category", "value")
# How many categories a profile shows.
CATEGORIES = 5
STANDING = ("stage", "rfm_segment", "rfm_score")
NOBODY: dict[str, Any] = {
    "cluster": None,
    "first_purchase": None,
    "last_purchase": None,
    "visits": 0,
    "days_since_purchase": None,
    "usual_gap_days": None,
    "spend_per_visit": None,
    "top_categories": [],
    **dict.fromkeys(FAVOURITE_COLUMNS),
}


def profiles(models: Mapping[str, Any], who: Sequence[str] | PostedCustomers) -> Rows:
    """Answer for each customer, in the order asked.

    Parameters
    ----------
    models
        Readers of one published version by folder; `churn` and `profile` are required.
    who
        Customers, by id or by their own orders.

    Returns
    -------
    list of dict
        customer_id, basis, what `training.customers.profile.describe` returns, stage, rfm_segment
        and rfm_score, and under churn, next_purchase and value what those models answer; null
        where the version has no such model. next_categories has the categories that the customer
        likeliest buys from within two weeks, those with enough history alone.

    Raises
    ------
    InvalidInput
        If an order lacks what is needed.
    """
    churn = models["churn"]
    answered: dict[str, Rows] = {
        name: models[task].answer(who)
        for name, task in (("next_purchase", "next-purchase"), ("value", "value"))
        if task in models
    }
    by_category = models.get("next-category")
    rows, habits = churn.answer(who), _habits(models, who)
    soonest = [[]] * len(rows) if by_category is None else by_category.soonest(who, CATEGORIES)
    found = []
    for number, (row, own, next_categories) in enumerate(zip(rows, habits, soonest, strict=True)):
        said = {name: _own(answer[number]) for name, answer in answered.items()}
        found.append(
            {name: row[name] for name in (*SHARED, *STANDING)}
            | {name: value for name, value in own.items() if name != "customer_id"}
            | {"churn": _own(row, STANDING), "next_purchase": None, "value": None}
            | {"next_categories": [_own(one) for one in next_categories]}
            | said
        )
    return found


def _habits(models: Mapping[str, Any], who: Sequence[str] | PostedCustomers) -> Rows:
    profile = models["profile"]
    if isinstance(who, PostedCustomers):
        frame = describe(who.dataset(models["churn"].population), who.as_of, profile.clusters)
        said = {row["customer_id"]: row for row in frame.iter_rows(named=True)}
        keys: Sequence[str] = [key_of(number) for number in range(len(who.names))]
    else:
        said, keys = profile.select(who), who
    return [said.get(key) or NOBODY for key in keys]


def _own(row: dict[str, Any], besides: tuple[str, ...] = ()) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in (*SHARED, *besides)}
