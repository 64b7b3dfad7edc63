"""Batch predictions of customer models: known customers from their features, others as new ones.

Features and requested ids go in; one row of predictions per requested id, and what each prediction
is based on, come out.
"""

from collections.abc import Callable

import numpy as np
import polars as pl

# Visits from which on a customer's own gaps between visits are used.
FEW_VISITS = 3


def predict_customers(
    features: pl.DataFrame,
    ids: pl.DataFrame | None,
    predict_known: Callable[[pl.DataFrame], pl.DataFrame],
    predict_new: Callable[[pl.Series], pl.DataFrame],
) -> pl.DataFrame:
    """Predict for `ids` in their order, by default for every customer of `features`.

    Parameters
    ----------
    features
        One row a customer with a purchase.
    ids
        The requested customers, in the column `customer_id`.
    predict_known
        Predicts from rows of `features`.
    predict_new
        Predicts for the ids of customers without a purchase.
    """
    if ids is None:
        return predict_known(features)
    requested = ids.select("customer_id")
    known = predict_known(features.join(requested.unique(), on="customer_id", how="semi"))
    new = requested.join(known, on="customer_id", how="anti").unique(maintain_order=True)
    rows = pl.concat([known, predict_new(new.get_column("customer_id"))])
    return requested.join(rows, on="customer_id", how="left", maintain_order="left")


def basis(features: pl.DataFrame) -> pl.Series:
    """Return what each customer's prediction is based on, by the number of visits.

    `history` from three visits on, `few_purchases` with two. With one visit there is no gap between
    visits, so the prediction reflects customers of the same tenure: `population`.
    """
    visits = features.get_column("visits").to_numpy()
    conditions = [visits >= FEW_VISITS, visits >= FEW_VISITS - 1]
    names = np.select(conditions, ["history", "few_purchases"], "population")
    return pl.Series("basis", names.tolist(), pl.String)
