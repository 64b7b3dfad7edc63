"""Audiences: the customers for whom a condition holds, what stands to be lost, and how surely.

Asks the readers of one published version; the command line and the HTTP routes ask here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from features.columns import CUSTOMER_ID
from features.errors import InvalidInput
from serving.audience.condition import understand
from training.customers.survival import MOST_DAYS

# What an audience reads of a published version besides churn, as far as it is there.
BESIDES = ("next-purchase", "next-category", "value")
# Any number of days may be asked for, not only those that are published.
CHANCE = re.compile(r"\bp_within_(\d{1,4})\b")
# Of the values that are published, the first of these is what a customer is worth.
WORTH = ("value_90", "value_30", "value_365")
# The chances between which to call a customer leaving, or staying, is wrong more than one time
# in three.
UNSURE = (1 / 3, 2 / 3)
# What of the published answers is no field: words, or said elsewhere.
NO_FIELDS = ("explanations", "contributions", "horizon_days", "basis")
SHOWN = ("churn_probability", "stage", "rfm_segment", "cluster", "next_category", "expected_days")


@dataclass(frozen=True)
class Audience:
    """The customers for whom a condition holds.

    Attributes
    ----------
    customers
        One row a customer, those first with whom most stands to be lost: customer_id, what the
        condition reads, some fields besides, worth, expected_loss, unsure and reasons (of churn).
    expected_loss
        The sum over customers of the chance of churn times worth; None where no value is
        published.
    worth
        The field that says what a customer is worth.
    unsure
        For how many of them the model is unsure: the chance of churn lies between one and two
        thirds, or the answer rests on fewer than three visits.
    """

    customers: pl.DataFrame
    expected_loss: float | None
    worth: str | None
    unsure: int


def schema(models: Mapping[str, Any]) -> dict[str, pl.DataType]:
    """Return the fields that a condition may name, with their types."""
    found: dict[str, pl.DataType] = {CUSTOMER_ID: pl.String()}
    for frame in _frames(models).values():
        found |= {name: kind for name, kind in frame.schema.items() if name not in NO_FIELDS}
    return found


def audience(models: Mapping[str, Any], where: str, worth: str | None = None) -> Audience:
    """Find the customers for whom `where` holds.

    Parameters
    ----------
    models
        Readers of one published version by folder; `churn` and `profile` are required.
    where
        The condition, as `serving.audience.condition` reads it.
    worth
        The field that says what a customer is worth, by default the value of the next 90 days.

    Raises
    ------
    InvalidInput
        If the condition is not understood or names a field that there is not.
    """
    fields = schema(models)
    fields |= {name: pl.Float64() for name in _further_chances(models, where)}
    condition = understand(where, fields)
    if worth is None:
        worth = next((name for name in WORTH if name in fields), None)
    elif worth not in fields or not fields[worth].is_numeric():
        money = [name for name in fields if name.startswith(("value_", "orders_", "total_"))]
        raise InvalidInput(
            f"value = {worth!r} is no field that a customer can be worth; there is "
            f"{', '.join(money) or 'none, for no value model is published'}.",
            field="value",
        )
    shown = [name for name in SHOWN if name in fields]
    wanted = dict.fromkeys([*shown, *sorted(condition.fields), *([worth] if worth else [])])
    table = _table(models, [name for name in wanted if name != CUSTOMER_ID])
    low, high = UNSURE
    leaves = pl.col("churn_probability")
    table = table.filter(condition.expression).with_columns(
        (leaves * (pl.col(worth) if worth else None)).alias("expected_loss"),
        (leaves.is_between(low, high) | (pl.col("basis") != "history")).alias("unsure"),
    )
    table = table.sort(
        "expected_loss",
        "churn_probability",
        CUSTOMER_ID,
        descending=[True, True, False],
        nulls_last=True,
    )
    columns = [CUSTOMER_ID, *(name for name in wanted if name != CUSTOMER_ID)]
    loss = table.get_column("expected_loss").sum() if worth else None
    return Audience(
        table.select(*columns, "expected_loss", "unsure", "basis", "explanations"),
        None if loss is None else float(loss),
        worth,
        int(table.get_column("unsure").sum()),
    )


def _frames(models: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Return what is published of customers, by where it comes from; churn's comes first."""
    found = {"churn": models["churn"].customers.answers, "profile": models["profile"].frame}
    for task in ("next-purchase", "value"):
        if task in models:
            found[task] = models[task].customers.answers
    if "next-category" in models:
        found["next-category"] = models["next-category"].likeliest
    return found


def _table(models: Mapping[str, Any], wanted: Sequence[str]) -> pl.DataFrame:
    """Lay the fields that are wanted side by side, in the order of churn's customers."""
    frames = _frames(models)
    table = frames["churn"].select(CUSTOMER_ID, "basis", "explanations")
    left = list(wanted)
    for frame in frames.values():
        here = [name for name in left if name in frame.columns]
        left = [name for name in left if name not in here]
        if here:
            table = table.join(
                frame.select(CUSTOMER_ID, *here), on=CUSTOMER_ID, how="left", maintain_order="left"
            )
    ids = table.get_column(CUSTOMER_ID).to_list()
    for name in left:
        days = int(name.removeprefix("p_within_"))
        chances = models["next-purchase"].chance(ids, days)
        table = table.with_columns(pl.Series(name, np.asarray(chances)))
    return table


def _further_chances(models: Mapping[str, Any], where: str) -> list[str]:
    if "next-purchase" not in models:
        return []
    named = dict.fromkeys(int(days) for days in CHANCE.findall(where))
    return [f"p_within_{days}" for days in named if 1 <= days <= MOST_DAYS]
