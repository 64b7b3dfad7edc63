"""Audiences: a condition and the readers of one published version in, customers out.

The customers are ordered by expected loss: churn probability times value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from features.columns import CUSTOMER_ID
from features.errors import InvalidInput
from serving.audience.condition import Condition, parse
from serving.customers.timing import timing_of
from training.customers.stages import UNCERTAIN
from training.customers.survival import MAX_DAYS

# Tasks that an audience reads besides churn, as far as they are published.
FURTHER_MODELS = ("next-purchase", "next-category", "value")
# Probabilities of a purchase within any number of days, not only the published ones.
PROBABILITY = re.compile(r"\bp_within_(\d{1,4})\b")
# Value fields by preference; the first published one is the default.
VALUE_FIELDS = ("value_90", "value_30", "value_365")
# Columns of published answers that are no fields of a condition.
EXCLUDED = ("explanations", "contributions", "horizon_days", "basis", "extrapolated")
# Fields of former versions, with what to use instead.
REMOVED = {"segment": "stage"}
SHOWN = ("churn_probability", "stage", "rfm_segment", "cluster", "next_category", "expected_days")


@dataclass(frozen=True)
class Audience:
    """The customers that satisfy a condition.

    Attributes
    ----------
    customers
        One row a customer, the largest expected loss first: customer_id, some fields and those of
        the condition, the value field, expected_loss, unsure, basis and explanations (of churn).
    expected_loss
        Sum over customers of churn probability times value; None where no value is published.
    value_field
        The value field.
    unsure
        Number of customers whose churn probability lies between one and two thirds or is based on
        fewer than three visits.
    """

    customers: pl.DataFrame
    expected_loss: float | None
    value_field: str | None
    unsure: int


def schema(models: Mapping[str, Any]) -> dict[str, pl.DataType]:
    """Return the fields of conditions, with their types."""
    fields: dict[str, pl.DataType] = {CUSTOMER_ID: pl.String()}
    for frame in _frames(models).values():
        fields |= {name: dtype for name, dtype in frame.schema.items() if name not in EXCLUDED}
    return fields


def find_audience(
    models: Mapping[str, Any], where: str, value_field: str | None = None
) -> Audience:
    """Find the customers that satisfy a condition.

    Parameters
    ----------
    models
        Readers of one published version by folder; `churn` and `profile` are required.
    where
        The condition, in the language of `serving.audience.condition`.
    value_field
        The field of a customer's value, by default the value of the next 90 days.

    Raises
    ------
    InvalidInput
        If the condition cannot be parsed or names an unknown field, or if `value_field` is no
        numeric field.
    """
    fields = schema(models)
    fields |= {name: pl.Float64() for name in _probabilities(where)}
    condition = parse(where, fields, REMOVED)
    value_field = _value_field(fields, value_field)
    columns = _columns(fields, condition, value_field)
    low, high = UNCERTAIN
    probability = pl.col("churn_probability")
    value = pl.col(value_field) if value_field else None
    customers = (
        _table(models, columns)
        .filter(condition.expression)
        .with_columns(
            (probability * value).alias("expected_loss"),
            (probability.is_between(low, high) | (pl.col("basis") != "history")).alias("unsure"),
        )
        .sort(
            "expected_loss",
            "churn_probability",
            CUSTOMER_ID,
            descending=[True, True, False],
            nulls_last=True,
        )
    )
    return Audience(
        customers.select(CUSTOMER_ID, *columns, "expected_loss", "unsure", "basis", "explanations"),
        float(customers.get_column("expected_loss").sum()) if value_field else None,
        value_field,
        int(customers.get_column("unsure").sum()),
    )


def _value_field(fields: Mapping[str, pl.DataType], requested: str | None) -> str | None:
    """Return the requested value field or the default; None where no value is published."""
    if requested is None:
        return next((name for name in VALUE_FIELDS if name in fields), None)
    if requested not in fields or not fields[requested].is_numeric():
        money = [name for name in fields if name.startswith(("value_", "orders_", "total_"))]
        raise InvalidInput(
            f"value = {requested!r} is no field that a customer can be worth; there is "
            f"{', '.join(money) or 'none, for no value model is published'}.",
            field="value",
        )
    return requested


def _columns(
    fields: Mapping[str, pl.DataType], condition: Condition, value_field: str | None
) -> list[str]:
    """Return the fields that an audience shows, without `customer_id`."""
    shown = [name for name in SHOWN if name in fields]
    value = [value_field] if value_field else []
    names = dict.fromkeys([*shown, *sorted(condition.fields), *value])
    return [name for name in names if name != CUSTOMER_ID]


def _frames(models: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Return published columns of customers by folder, those of the version's curves first."""
    churn, timing = models["churn"], timing_of(models)
    survival = pl.Series(
        "churn_probability", timing.known_curves.survival(churn.model.horizon_days)
    )
    frames = {"timing": timing.published_columns.with_columns(survival)}
    frames |= {"churn": churn.customers.answers, "profile": models["profile"].frame}
    for task in ("next-purchase", "value"):
        if task in models:
            frames[task] = models[task].customers.answers
    if "next-category" in models:
        frames["next-category"] = models["next-category"].most_likely
    return frames


def _table(models: Mapping[str, Any], columns: Sequence[str]) -> pl.DataFrame:
    """Join published columns and further probabilities, in the order of churn's customers."""
    frames = _frames(models)
    table = frames["churn"].select(CUSTOMER_ID, "basis", "explanations")
    missing = list(columns)
    for frame in frames.values():
        available = [name for name in missing if name in frame.columns]
        missing = [name for name in missing if name not in available]
        if available:
            table = table.join(
                frame.select(CUSTOMER_ID, *available),
                on=CUSTOMER_ID,
                how="left",
                maintain_order="left",
            )
    if missing:
        curves = timing_of(models).curves(table.get_column(CUSTOMER_ID).to_list())
        table = table.with_columns(
            pl.Series(name, curves.within(int(name.removeprefix("p_within_")))) for name in missing
        )
    return table


def _probabilities(where: str) -> list[str]:
    """Return the columns of probabilities that a condition names."""
    days = dict.fromkeys(int(number) for number in PROBABILITY.findall(where))
    return [f"p_within_{number}" for number in days if 1 <= number <= MAX_DAYS]
