"""BG/NBD: how often a customer buys and whether they still do, from three numbers a customer.

Repeat purchases, age at the last of them and age go in; the chance of silence and the expected
number of purchases come out. Churn reads it as features and, with next purchase, as a baseline.
Source: Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way", Marketing Science 24.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln, hyp2f1

Floats = NDArray[np.float64]

# Customers alike in all three numbers are counted once; beyond this many kinds, a sample does.
MAX_KINDS = 20_000


@dataclass(frozen=True)
class BgNbd:
    """Purchase rates are gamma(r, alpha), drop-out after each purchase is beta(a, b).

    Attributes
    ----------
    r, alpha
        Shape and rate of the purchase rate; `alpha` in the unit of time.
    a, b
        Of the beta distribution of the chance to drop out after a purchase.
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Maximise the likelihood (their equation 6) with its analytic gradient.

        Parameters
        ----------
        frequency
            Purchases after the first.
        recency
            Age at the last purchase, 0 where there is one purchase only.
        age
            Time since the first purchase, above 0.
        """
        rows = np.column_stack([frequency, recency, age]).astype(np.float64)
        kinds, weight = np.unique(rows, axis=0, return_counts=True)
        if len(kinds) > MAX_KINDS:
            chosen = np.linspace(0, len(kinds) - 1, MAX_KINDS).astype(int)
            kinds, weight = kinds[chosen], weight[chosen]
        scale = float(kinds[:, 2].max())
        x, t_x, t = kinds[:, 0], kinds[:, 1] / scale, kinds[:, 2] / scale
        found = minimize(
            _loss,
            np.log([1.0, 0.5, 1.0, 2.0]),
            args=(x, t_x, t, weight / weight.sum()),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 8.0)] * 4,
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )
        r, alpha, a, b = np.exp(found.x)
        return cls(float(r), float(alpha * scale), float(a), float(b))

    def alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Floats:
        """P(the customer has not dropped out); 1 for one-time buyers, so no churn score."""
        x, t_x, t = (np.asarray(values, dtype=np.float64) for values in (frequency, recency, age))
        log_odds = np.log(self.a / (self.b + np.maximum(x, 1) - 1)) + (self.r + x) * np.log(
            (self.alpha + t) / (self.alpha + t_x)
        )
        odds = np.exp(np.minimum(log_odds, 700.0))
        return np.asarray(np.where(x > 0, 1 / (1 + odds), 1.0))

    def silence(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: ArrayLike
    ) -> Floats:
        """P(no purchase in the next `ahead`); arguments broadcast."""
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        ratio = (self.alpha + t) / (self.alpha + t + np.asarray(ahead, dtype=np.float64))
        return np.asarray(1 - self.alive(frequency, recency, age) * (1 - ratio ** (self.r + x)))

    def expected_purchases(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: float
    ) -> Floats:
        """Mean number of purchases in the next `ahead` (their equation 10)."""
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        ratio = (alpha + t) / (alpha + t + ahead)
        gauss = hyp2f1(r + x, b + x, a + b + x - 1, ahead / (alpha + t + ahead))
        unconditional = (a + b + x - 1) / (a - 1) * (1 - ratio ** (r + x) * gauss)
        return np.asarray(unconditional * self.alive(frequency, recency, age))


def purchases(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return frequency, recency and age in this model's sense from customer features, in days."""
    visits, tenure, silent = (
        features.get_column(name).to_numpy() for name in ("visits", "tenure", "recency")
    )
    return visits - 1, tenure - silent, tenure


def _loss(logs: Floats, x: Floats, t_x: Floats, t: Floats, weight: Floats) -> tuple[float, Floats]:
    """Weighted mean negative log likelihood and its gradient in the logs of the parameters."""
    r, alpha, a, b = np.exp(logs)
    repeat = x > 0
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    stayed = -(r + x) * np.log(alpha + t)
    left = np.where(
        repeat, np.log(a / (b + np.maximum(x, 1) - 1)) - (r + x) * np.log(alpha + t_x), -np.inf
    )
    either = np.logaddexp(stayed, left)
    share = np.exp(left - either)  # of the likelihood that stems from having dropped out
    in_r = digamma(r + x) - digamma(r) + np.log(alpha)
    in_r -= (1 - share) * np.log(alpha + t) + share * np.log(alpha + t_x)
    in_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + t) + share / (alpha + t_x))
    both = digamma(a + b) - digamma(a + b + x)
    in_a = both + share / a
    in_b = both + digamma(b + x) - digamma(b) - share / (b + np.maximum(x, 1) - 1)
    gradient = np.array([in_r @ weight * r, in_alpha @ weight * alpha])
    gradient = np.append(gradient, [in_a @ weight * a, in_b @ weight * b])
    return -float((common + either) @ weight), -gradient
