"""Reasons a marketer understands, from the model's own contributions.

Features are grouped into themes (`customer_words`); the themes that moved an answer most are said
in the words of the feature that moved it most within each. Churn, next purchase and value explain
with it.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.customers.feature_phrases import feature_text, phrase_of_feature


def group_contributions(
    contributions: pl.DataFrame,
) -> tuple[list[str], NDArray[np.float64], NDArray[np.intp]]:
    """Add up the contributions of each theme's features; what has no words is dropped.

    Returns
    -------
    tuple
        The themes; their contributions, shape (rows, themes); and of each the column of
        `contributions` that moved most.
    """
    columns: dict[str, list[int]] = {}
    for number, feature in enumerate(contributions.columns):
        words = phrase_of_feature(feature)
        if words is not None:
            columns.setdefault(words.group, []).append(number)
    values = contributions.to_numpy(order="c")
    sums = np.zeros((len(values), len(columns)))
    leading = np.zeros(sums.shape, dtype=np.intp)
    for place, of in enumerate(columns.values()):
        part = values[:, of]
        sums[:, place] = part.sum(axis=1)
        # The feature that speaks is one that moved the answer as its theme did.
        same_way = part * np.where(sums[:, place] < 0, -1.0, 1.0)[:, None]
        leading[:, place] = np.array(of)[same_way.argmax(axis=1)]
    return list(columns), sums, leading


def top_explanations(
    contributions: pl.DataFrame, features: pl.DataFrame, count: int
) -> list[list[tuple[str, float]]]:
    """Return each row's `count` strongest reasons with their contributions, strongest first."""
    names = contributions.columns
    _, values, leading = group_contributions(contributions)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
    return [
        [(feature_text(row, names[leading[i, j]]), float(values[i, j])) for j in order[i]]
        for i, row in enumerate(features.iter_rows(named=True))
    ]


def explanation_columns(reasons: list[list[tuple[str, float]]]) -> list[pl.Series]:
    """Return `top_explanations` as the columns `explanations` and `contributions`.

    Contributions are rounded: their last bits depend on how many rows are added up at once.
    """
    said = [[sentence for sentence, _ in row] for row in reasons]
    moved = [[round(value, 4) for _, value in row] for row in reasons]
    return [
        pl.Series("explanations", said, dtype=pl.List(pl.String)),
        pl.Series("contributions", moved, dtype=pl.List(pl.Float64)),
    ]


def explanation_rows(
    contributions: pl.DataFrame, features: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Return `strongest` as a frame: one row a customer and reason."""
    found = top_explanations(contributions, features, count)
    rows = [
        (customer, reason, contribution)
        for customer, reasons in zip(features.get_column("customer_id"), found, strict=True)
        for reason, contribution in reasons
    ]
    schema = {"customer_id": pl.String, "reason": pl.String, "contribution": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
