"""Calibration of ranking scores to probabilities.

Blended log-odds and basket sizes in; probabilities of purchase out. The curve is plain numbers:
`calibration_training` fits it with scikit-learn, which serving does not install.
"""

from dataclasses import dataclass

import numpy as np

from features.typing import Floats


@dataclass(frozen=True)
class LogisticCalibration:
    """Logistic regression of a purchase on the ranking score and the customer's basket size.

    Attributes
    ----------
    slope
        Coefficient of the score, above zero: the probability never reverses the ranking.
    size_slope
        Coefficient of the log of one plus the mean number of products in a basket.
    intercept
        Log-odds at zero.
    """

    slope: float
    size_slope: float
    intercept: float

    def probability(self, score: Floats, basket_size: Floats) -> Floats:
        """Return the probability of purchase for each score."""
        log_odds = self.slope * score + self.size_slope * np.log1p(basket_size) + self.intercept
        probability: Floats = 1.0 / (1.0 + np.exp(-log_odds))
        return probability
