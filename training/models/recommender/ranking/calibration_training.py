"""Fit of the calibration of ranking scores, with scikit-learn.

Scores, basket sizes, outcomes and weights in; a `LogisticCalibration` out.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from features.typing import Bools, Floats
from training.models.recommender.ranking.calibration import LogisticCalibration

# Inverse of the ridge penalty: negligible beside tens of thousands of examples, but it keeps the
# solution unique where all customers have the same basket size.
INVERSE_PENALTY = 1e6
MIN_SLOPE = 1e-3


def fit_calibration(
    score: Floats, basket_size: Floats, bought: Bools, weight: Floats
) -> LogisticCalibration:
    """Fit a logistic curve to purchases.

    Parameters
    ----------
    score
        Blended log-odds of candidates.
    basket_size
        Mean number of products in the customer's baskets.
    bought
        Whether the candidate was bought.
    weight
        Weight of each candidate, the inverse of the share of such candidates in the sample.
    """
    if bought.all() or not bought.any():
        # One class has no maximum likelihood estimate: keep the scale of the score and shift it to
        # the share of purchases, half a candidate added to either class.
        positive, negative = weight[bought].sum() + 0.5, weight[~bought].sum() + 0.5
        shift = float(np.log(positive / negative) - np.average(score, weights=weight))
        return LogisticCalibration(1.0, 0.0, shift)
    inputs = np.column_stack([score, np.log1p(basket_size)])
    model = LogisticRegression(
        C=INVERSE_PENALTY, solver="newton-cholesky", tol=1e-10, max_iter=200
    ).fit(inputs, bought, sample_weight=weight)
    slope, size_slope = model.coef_[0]
    return LogisticCalibration(
        max(float(slope), MIN_SLOPE), float(size_slope), float(model.intercept_[0])
    )
