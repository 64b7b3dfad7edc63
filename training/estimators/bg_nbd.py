"""BG/NBD and MBG/NBD: purchase rates and drop-out of customers (buy-till-you-die models).

In: repeat purchases, age at the last purchase and age of each customer. Out: the probability of
inactivity, the expected number of purchases and the time to the next one.
Sources: Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way", Marketing Science 24;
Batislam, Denizel and Filiztekin (2007), "Empirical Validation and Comparison of Models for Customer
Base Analysis", International Journal of Research in Marketing 24.
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.special import betaln, digamma, gammaln, polygamma

from features.typing import Floats

# Most distinct combinations of the three inputs that the likelihood is computed on; of more, an
# evenly spaced sample.
MAX_GROUPS = 50_000
# Points of the quadrature over the log-odds of drop-out, and the bound of these log-odds; the
# integral beyond the bound is added in closed form.
POINTS, MAX_LOG_ODDS = 96, 16.0
# Customers per batch of the quadrature: bounds the memory.
BATCH = 20_000


@dataclass(frozen=True)
class BgNbd:
    """BG/NBD: gamma(r, alpha) purchase rates, beta(a, b) drop-out after each repeat purchase.

    Attributes
    ----------
    r, alpha
        Shape and rate of the purchase rate; `alpha` in the unit of time.
    a, b
        Parameters of the beta distribution of the probability of drop-out after a purchase.
    """

    # Occasions of drop-out besides those after repeat purchases.
    EXTRA_DROPOUTS: ClassVar[int] = 0

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Self:
        """Maximise the likelihood (equation 6 of the paper) with its analytic gradient.

        Parameters
        ----------
        frequency
            Number of purchases after the first.
        recency
            Age at the last purchase, 0 for customers with one purchase.
        age
            Time since the first purchase, above 0.
        """
        rows = np.column_stack([frequency, recency, age]).astype(np.float64)
        groups, weight = np.unique(rows, axis=0, return_counts=True)
        if len(groups) > MAX_GROUPS:
            chosen = np.linspace(0, len(groups) - 1, MAX_GROUPS).astype(int)
            groups, weight = groups[chosen], weight[chosen]
        scale = float(groups[:, 2].max())
        x, t_x, t = groups[:, 0], groups[:, 1] / scale, groups[:, 2] / scale
        # Imported here because fitted models are also served, and the import takes a second.
        from scipy.optimize import minimize

        solution = minimize(
            negative_log_likelihood,
            np.log([1.0, 0.5, 1.0, 2.0]),
            args=(x, t_x, t, weight / weight.sum(), cls.EXTRA_DROPOUTS),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 8.0)] * 4,
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )
        r, alpha, a, b = np.exp(solution.x)
        return cls(float(r), float(alpha * scale), float(a), float(b))

    def alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Floats:
        """Return P(the customer has not dropped out).

        Under BG/NBD it is 1 for customers with one purchase, so it is not a churn score.
        """
        x, t_x, t = (np.asarray(values, dtype=np.float64) for values in (frequency, recency, age))
        dropouts = x + self.EXTRA_DROPOUTS
        log_odds = np.log(self.a / (self.b + np.maximum(dropouts, 1) - 1)) + (self.r + x) * np.log(
            (self.alpha + t) / (self.alpha + t_x)
        )
        odds = np.exp(np.minimum(log_odds, 700.0))
        return np.asarray(np.where(dropouts > 0, 1 / (1 + odds), 1.0))

    def inactivity(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: ArrayLike
    ) -> Floats:
        """Return P(no purchase in the next `ahead` time units); arguments broadcast."""
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        ratio = (self.alpha + t) / (self.alpha + t + np.asarray(ahead, dtype=np.float64))
        alive = self.alive(frequency, recency, age)
        return np.asarray(1 - alive + alive * ratio ** (self.r + x))

    def monotone_inactivity(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: ArrayLike
    ) -> Floats:
        """Return `inactivity`, raised where a purchase yesterday would raise it.

        Under BG/NBD customers may drop out after repeat purchases alone, so that the second
        purchase of a new customer can be bad news. Customers with one purchase get at least the
        inactivity of customers whose second one was yesterday; the age is at least one day.
        """
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        ratio = (self.alpha + t) / (self.alpha + t + np.asarray(ahead, dtype=np.float64))
        # The least probability over all ages: it must not fall as customers grow older.
        alive = self.alive(1.0, 0.0, 1.0)
        after_second = 1 - alive + alive * ratio ** (self.r + 1)
        inactivity = self.inactivity(frequency, recency, age, ahead)
        return np.asarray(np.where(x == 0, np.maximum(inactivity, after_second), inactivity))

    def inverse_inactivity(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, probability: ArrayLike
    ) -> Floats:
        """Return the time at which P(no purchase) has fallen to a probability, above 0.

        It is infinite if P(no purchase at all) is larger.
        """
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        alive = self.alive(frequency, recency, age)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            remaining = (np.asarray(probability) - (1 - alive)) / alive
            ratio = np.exp(-np.log(np.maximum(remaining, 0.0)) / (self.r + x))
            time = (self.alpha + t) * (ratio - 1)
        return np.asarray(np.where(remaining > 0, time, np.inf))

    def expected_purchases(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: float
    ) -> Floats:
        """Return the expected number of purchases in the next `ahead` time units.

        An active customer buys at a rate of gamma(r + x, alpha + t) and drops out with a
        probability p of beta(a, b + occasions survived). The mean of (1 - exp(-rate p ahead)) / p
        is integrated numerically: its closed form in the literature, a hypergeometric function,
        overflows for frequent buyers.
        """
        x, t = np.broadcast_arrays(
            np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        )
        flat_x, flat_t = np.atleast_1d(x).ravel(), np.atleast_1d(t).ravel()
        if_alive = np.empty(len(flat_x))
        for start in range(0, len(flat_x), BATCH):
            part = slice(start, start + BATCH)
            if_alive[part] = self._purchases_if_alive(flat_x[part], flat_t[part], ahead)
        return np.asarray(if_alive.reshape(x.shape) * self.alive(frequency, recency, age))

    def _purchases_if_alive(self, x: Floats, t: Floats, ahead: float) -> Floats:
        a, b = self.a, self.b + x + self.EXTRA_DROPOUTS
        middle = digamma(a) - digamma(b)
        spread = np.sqrt(polygamma(1, a) + polygamma(1, b))
        low = np.clip(middle - 10 * spread, -MAX_LOG_ODDS, MAX_LOG_ODDS - 1)
        high = np.clip(middle + 10 * spread, low + 1, MAX_LOG_ODDS)
        nodes, weights = _quadrature()
        half = (high - low)[:, None] / 2
        log_odds = low[:, None] + half * (1 + nodes)
        log_p, log_q = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
        density = np.exp(a * log_p + b[:, None] * log_q - betaln(a, b)[:, None])
        p, shape, reach = np.exp(log_p), (self.r + x)[:, None], ahead / (self.alpha + t)[:, None]
        inner = (density * -np.expm1(-shape * np.log1p(p * reach)) / p * half) @ weights
        # Beyond the bounds the integrand is constant and the density a power function. Where nearly
        # all customers stay, or nearly all drop out, a bound lies on the other side of the density
        # and contributes nothing.
        at_low, at_high = (
            np.exp(np.where(sign * end > 0, power * -np.abs(end), -np.inf) - betaln(a, b))
            for sign, end, power in ((-1, low, a), (1, high, b))
        )
        below, above = at_low / a, at_high / b
        shape, reach = shape[:, 0], reach[:, 0]
        outer = below * shape * reach + above * -np.expm1(-shape * np.log1p(reach))
        return np.asarray(inner + outer)


class ModifiedBgNbd(BgNbd):
    """MBG/NBD: a customer may also drop out after the first purchase."""

    EXTRA_DROPOUTS: ClassVar[int] = 1


def purchase_history(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return the models' frequency, recency and age, in days, from customer features."""
    visits, tenure, inactive = (
        features.get_column(name).to_numpy() for name in ("visits", "tenure", "recency")
    )
    return visits - 1, tenure - inactive, tenure


@cache
def _quadrature() -> tuple[Floats, Floats]:
    """Return the nodes and weights of Gauss-Legendre quadrature, which take long to compute."""
    return np.polynomial.legendre.leggauss(POINTS)


def negative_log_likelihood(
    logs: Floats, x: Floats, t_x: Floats, t: Floats, weight: Floats, extra_dropouts: int
) -> tuple[float, Floats]:
    """Return the weighted mean negative log likelihood and its gradient in log parameters.

    Parameters
    ----------
    logs
        Logarithms of r, alpha, a and b.
    x, t_x, t, weight
        Frequency, recency, age and share of each group of equal customers.
    extra_dropouts
        1 if a customer may drop out after the first purchase, else 0.
    """
    r, alpha, a, b = np.exp(logs)
    n = x + extra_dropouts
    before = b + np.maximum(n, 1) - 1
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + n) - betaln(a, b)
    still_active = -(r + x) * np.log(alpha + t)
    dropped_out = np.where(n > 0, np.log(a / before) - (r + x) * np.log(alpha + t_x), -np.inf)
    either = np.logaddexp(still_active, dropped_out)
    share = np.exp(dropped_out - either)  # of the likelihood, from customers who have dropped out
    in_r = digamma(r + x) - digamma(r) + np.log(alpha)
    in_r -= (1 - share) * np.log(alpha + t) + share * np.log(alpha + t_x)
    in_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + t) + share / (alpha + t_x))
    both = digamma(a + b) - digamma(a + b + n)
    in_a = both + share / a
    in_b = both + digamma(b + n) - digamma(b) - share / before
    gradient = np.array([in_r @ weight * r, in_alpha @ weight * alpha])
    gradient = np.append(gradient, [in_a @ weight * a, in_b @ weight * b])
    return -float((common + either) @ weight), -gradient
