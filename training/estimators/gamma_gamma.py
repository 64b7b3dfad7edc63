"""Gamma-Gamma: what a customer spends on an average purchase, from how many there were.

The number of purchases and their mean go in; the expected mean of further purchases comes out: the
customer's own mean, drawn towards everyone's the more, the fewer purchases there are. Value reads
it. Source: Fader and Hardie (2013), "The Gamma-Gamma Model of Monetary Value"; Colombo and Jiang
(1999), "A stochastic RFM model", Journal of Interactive Marketing 13.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from features.typing import Floats

# At q = 1 and below, the mean over all customers does not exist.
LEAST_Q = 1.05


@dataclass(frozen=True)
class GammaGamma:
    """A purchase's spend is gamma(p, v), and v varies between customers as gamma(q, gamma).

    Attributes
    ----------
    p, q, gamma
        As published; `gamma` in the unit of money.
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
            Purchases of each customer; who has none or a mean spend of nothing says nothing here.
        mean_spend
            Their mean spend.
        """
        x, m = np.asarray(purchases, dtype=np.float64), np.asarray(mean_spend, dtype=np.float64)
        told = (x > 0) & (m > 0)
        x, m = x[told], m[told]
        unit = float(np.median(m))
        found = minimize(
            loss,
            np.log([2.0, 4.0, 3.0]),
            args=(x, m / unit),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-6.0, 12.0), (np.log(LEAST_Q), 12.0), (-12.0, 12.0)],
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )
        p, q, gamma = np.exp(found.x)
        return cls(float(p), float(q), float(gamma * unit))

    @property
    def population_mean(self) -> float:
        """Mean spend of a purchase over all customers."""
        return self.gamma * self.p / (self.q - 1)

    def expected_spend(self, purchases: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Mean spend of a customer's further purchases (their equation 5)."""
        x, m = np.asarray(purchases, dtype=np.float64), np.asarray(mean_spend, dtype=np.float64)
        own = self.p * x / (self.p * x + self.q - 1)
        return np.asarray((1 - own) * self.population_mean + own * m)


def loss(logs: Floats, x: Floats, m: Floats) -> tuple[float, Floats]:
    """Mean negative log likelihood and its gradient in the logs of p, q and gamma."""
    p, q, gamma = np.exp(logs)
    shape, total = p * x, gamma + m * x
    likelihood = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(gamma)
    likelihood += (shape - 1) * np.log(m) + shape * np.log(x) - (shape + q) * np.log(total)
    in_p = x * (digamma(shape + q) - digamma(shape) + np.log(m) + np.log(x) - np.log(total))
    in_q = digamma(shape + q) - digamma(q) + np.log(gamma) - np.log(total)
    in_gamma = q / gamma - (shape + q) / total
    gradient = np.array([in_p.mean() * p, in_q.mean() * q, in_gamma.mean() * gamma])
    return -float(likelihood.mean()), -gradient
