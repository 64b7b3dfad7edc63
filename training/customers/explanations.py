"""Explanations of predictions about customers: sentences with their contributions.

In: contributions of features to a raw score, and the features. Out: per customer, the largest
contributions of groups of features, each explained by its leading feature.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.columns import CUSTOMER_ID
from features.typing import Floats
from training.customers.feature_phrases import feature_text, phrase_of_feature


def group_contributions(
    contributions: pl.DataFrame,
) -> tuple[list[str], Floats, NDArray[np.intp]]:
    """Sum the contributions of each group of features; features without a group are dropped.

    Returns
    -------
    tuple
        The groups; their contributions, shape (rows, groups); and the position, among the columns
        of `contributions`, of each group's leading feature.
    """
    columns: dict[str, list[int]] = {}
    for number, feature in enumerate(contributions.columns):
        phrase = phrase_of_feature(feature)
        if phrase is not None:
            columns.setdefault(phrase.group, []).append(number)
    values = contributions.to_numpy(order="c")
    sums = np.zeros((len(values), len(columns)))
    leading = np.zeros(sums.shape, dtype=np.intp)
    for group, members in enumerate(columns.values()):
        part = values[:, members]
        sums[:, group] = part.sum(axis=1)
        # The leading feature has the largest contribution of the group's sign.
        signed = part * np.where(sums[:, group] < 0, -1.0, 1.0)[:, None]
        leading[:, group] = np.array(members)[signed.argmax(axis=1)]
    return list(columns), sums, leading


def top_explanations(
    contributions: pl.DataFrame, features: pl.DataFrame, count: int
) -> list[list[tuple[str, float]]]:
    """Return each row's `count` sentences of the largest absolute contributions, in that order."""
    names = contributions.columns
    _, values, leading = group_contributions(contributions)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
    return [
        [(feature_text(row, names[leading[i, j]]), float(values[i, j])) for j in order[i]]
        for i, row in enumerate(features.iter_rows(named=True))
    ]


def explanation_columns(explanations: list[list[tuple[str, float]]]) -> list[pl.Series]:
    """Return `top_explanations` as the columns `explanations` and `contributions`.

    Contributions are rounded: their last bits depend on the number of rows in a batch.
    """
    sentences = [[sentence for sentence, _ in row] for row in explanations]
    contributions = [[round(value, 4) for _, value in row] for row in explanations]
    return [
        pl.Series("explanations", sentences, dtype=pl.List(pl.String)),
        pl.Series("contributions", contributions, dtype=pl.List(pl.Float64)),
    ]


def explanation_rows(
    contributions: pl.DataFrame, features: pl.DataFrame, count: int
) -> pl.DataFrame:
    """Return `top_explanations` as a frame, one row per customer and sentence.

    Returns
    -------
    polars.DataFrame
        customer_id, reason (the sentence), contribution.
    """
    explanations = top_explanations(contributions, features, count)
    rows = [
        (customer, sentence, contribution)
        for customer, row in zip(features.get_column(CUSTOMER_ID), explanations, strict=True)
        for sentence, contribution in row
    ]
    schema = {CUSTOMER_ID: pl.String, "reason": pl.String, "contribution": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
