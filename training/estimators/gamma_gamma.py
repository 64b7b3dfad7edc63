"""Gamma-Gamma model: mean spend of a customer's further purchases.

In: number of purchases and their mean spend. Out: expected mean of further purchases, the
customer's mean shrunk towards the population's; fewer purchases are shrunk more.
Sources: Fader and Hardie (2013), "The Gamma-Gamma Model of Monetary Value"; Colombo and Jiang
(1999), "A stochastic RFM model", Journal of Interactive Marketing 13.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from features.typing import Floats

# Lower bound of q: the population mean does not exist for q of 1 or below.
LEAST_Q = 1.05


@dataclass(frozen=True)
class GammaGamma:
    """Spend of a purchase is gamma(p, v); v is gamma(q, gamma) distributed over customers.

    Attributes
    ----------
    p, q, gamma
        As in the papers; `gamma` in the unit of money.
    """

    p: float
    q: float
    gamma: float

    @classmethod
    def fit(cls, purchases: ArrayLike, mean_spend: ArrayLike) -> Self:
        """Maximise the likelihood with its analytic gradient.

        Parameters
        ----------
        purchases
            Number of purchases of each customer; customers without purchases or spend are left out.
        mean_spend
            Mean spend of these purchases.
        """
        x, m = np.asarray(purchases, dtype=np.float64), np.asarray(mean_spend, dtype=np.float64)
        known = (x > 0) & (m > 0)
        x, m = x[known], m[known]
        unit = float(np.median(m))
        # Imported here because fitted models are also served, and the import takes a second.
        from scipy.optimize import minimize

        solution = minimize(
            negative_log_likelihood,
            np.log([2.0, 4.0, 3.0]),
            args=(x, m / unit),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-6.0, 12.0), (np.log(LEAST_Q), 12.0), (-12.0, 12.0)],
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )
        p, q, gamma = np.exp(solution.x)
        return cls(float(p), float(q), float(gamma * unit))

    @property
    def population_mean(self) -> float:
        """Return the mean spend of a purchase over all customers."""
        return self.gamma * self.p / (self.q - 1)

    def expected_spend(self, purchases: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Return the expected mean spend of further purchases (equation 5 of Fader and Hardie)."""
        x, m = np.asarray(purchases, dtype=np.float64), np.asarray(mean_spend, dtype=np.float64)
        weight = self.p * x / (self.p * x + self.q - 1)
        return np.asarray((1 - weight) * self.population_mean + weight * m)


def negative_log_likelihood(logs: Floats, x: Floats, m: Floats) -> tuple[float, Floats]:
    """Return the mean negative log likelihood and its gradient in the logs of p, q and gamma."""
    p, q, gamma = np.exp(logs)
    shape, total = p * x, gamma + m * x
    likelihood = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(gamma)
    likelihood += (shape - 1) * np.log(m) + shape * np.log(x) - (shape + q) * np.log(total)
    in_p = x * (digamma(shape + q) - digamma(shape) + np.log(m) + np.log(x) - np.log(total))
    in_q = digamma(shape + q) - digamma(q) + np.log(gamma) - np.log(total)
    in_gamma = q / gamma - (shape + q) / total
    gradient = np.array([in_p.mean() * p, in_q.mean() * q, in_gamma.mean() * gamma])
    return -float(likelihood.mean()), -gradient
