"""BG/NBD and its modified kind: how often a customer buys and whether they still do.

Repeat purchases, age at the last of them and age go in; the chance of silence and the expected
number of purchases come out. Churn, next purchase and value read them as features, baselines and
as what answers where there is too little to learn from.
Sources: Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way", Marketing Science 24;
Batislam, Denizel and Filiztekin (2007), "Empirical Validation and Comparison of Models for Customer
Base Analysis", International Journal of Research in Marketing 24.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln, polygamma

from features.typing import Floats

# Customers alike in all three numbers are counted once; beyond this many kinds, a sample does.
MAX_KINDS = 50_000
# The chance to drop out is integrated over its log-odds, in this many points, no further out than
# this: what lies beyond is added in closed form.
POINTS, FARTHEST = 96, 16.0
# Customers integrated at a time: bounds the memory.
AT_ONCE = 20_000


@dataclass(frozen=True)
class BgNbd:
    """Purchase rates are gamma(r, alpha), drop-out after each repeat purchase is beta(a, b).

    Attributes
    ----------
    r, alpha
        Shape and rate of the purchase rate; `alpha` in the unit of time.
    a, b
        Of the beta distribution of the chance to drop out after a purchase.
    """

    # Chances to drop out that a customer has had besides those after repeat purchases.
    FIRST: ClassVar[int] = 0

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
            loss,
            np.log([1.0, 0.5, 1.0, 2.0]),
            args=(x, t_x, t, weight / weight.sum(), cls.FIRST),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 8.0)] * 4,
            options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8},
        )
        r, alpha, a, b = np.exp(found.x)
        return cls(float(r), float(alpha * scale), float(a), float(b))

    def alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Floats:
        """P(the customer has not dropped out).

        Under BG/NBD it is 1 for who came once, so it is no churn score.
        """
        x, t_x, t = (np.asarray(values, dtype=np.float64) for values in (frequency, recency, age))
        chances = x + self.FIRST
        log_odds = np.log(self.a / (self.b + np.maximum(chances, 1) - 1)) + (self.r + x) * np.log(
            (self.alpha + t) / (self.alpha + t_x)
        )
        odds = np.exp(np.minimum(log_odds, 700.0))
        return np.asarray(np.where(chances > 0, 1 / (1 + odds), 1.0))

    def silence(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: ArrayLike
    ) -> Floats:
        """P(no purchase in the next `ahead`); arguments broadcast."""
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        ratio = (self.alpha + t) / (self.alpha + t + np.asarray(ahead, dtype=np.float64))
        return np.asarray(1 - self.alive(frequency, recency, age) * (1 - ratio ** (self.r + x)))

    def median_wait(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> Floats:
        """Time within which the next purchase is as likely as not; infinite where it never is."""
        x, t = np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        silent = 1 - 0.5 / self.alive(frequency, recency, age)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.exp(-np.log(np.maximum(silent, 0.0)) / (self.r + x))
            wait = (self.alpha + t) * (ratio - 1)
        return np.asarray(np.where(silent > 0, wait, np.inf))

    def expected_purchases(
        self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike, ahead: float
    ) -> Floats:
        """Mean number of purchases in the next `ahead`.

        Who is alive buys at a rate of gamma(r + x, alpha + t) and drops out with a chance p of
        beta(a, b + chances survived); the mean of (1 - exp(-rate p ahead)) / p is what the
        hypergeometric function stands for in the literature. It is integrated here: that function
        overflows for frequent buyers.
        """
        x, t = np.broadcast_arrays(
            np.asarray(frequency, dtype=np.float64), np.asarray(age, dtype=np.float64)
        )
        flat_x, flat_t = np.atleast_1d(x).ravel(), np.atleast_1d(t).ravel()
        if_alive = np.empty(len(flat_x))
        for start in range(0, len(flat_x), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            if_alive[part] = self._while_alive(flat_x[part], flat_t[part], ahead)
        return np.asarray(if_alive.reshape(x.shape) * self.alive(frequency, recency, age))

    def _while_alive(self, x: Floats, t: Floats, ahead: float) -> Floats:
        a, b = self.a, self.b + x + self.FIRST
        middle = digamma(a) - digamma(b)
        spread = np.sqrt(polygamma(1, a) + polygamma(1, b))
        low = np.clip(middle - 10 * spread, -FARTHEST, FARTHEST - 1)
        high = np.clip(middle + 10 * spread, low + 1, FARTHEST)
        nodes, weights = np.polynomial.legendre.leggauss(POINTS)
        half = (high - low)[:, None] / 2
        log_odds = low[:, None] + half * (1 + nodes)
        log_p, log_q = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
        density = np.exp(a * log_p + b[:, None] * log_q - betaln(a, b)[:, None])
        p, shape, reach = np.exp(log_p), (self.r + x)[:, None], ahead / (self.alpha + t)[:, None]
        inner = (density * -np.expm1(-shape * np.log1p(p * reach)) / p * half) @ weights
        # Beyond the ends the integrand is flat and the density a power; where nearly all
        # customers stay, or nearly all leave, an end lies on the other side and holds nothing.
        at_low, at_high = (
            np.exp(np.where(sign * end > 0, power * -np.abs(end), -np.inf) - betaln(a, b))
            for sign, end, power in ((-1, low, a), (1, high, b))
        )
        tiny, sure = at_low / a, at_high / b
        shape, reach = shape[:, 0], reach[:, 0]
        outer = tiny * shape * reach + sure * -np.expm1(-shape * np.log1p(reach))
        return np.asarray(inner + outer)


class ModifiedBgNbd(BgNbd):
    """BG/NBD in which a customer may also drop out after the first purchase (MBG/NBD)."""

    FIRST: ClassVar[int] = 1


def purchases(features: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return frequency, recency and age in this model's sense from customer features, in days."""
    visits, tenure, silent = (
        features.get_column(name).to_numpy() for name in ("visits", "tenure", "recency")
    )
    return visits - 1, tenure - silent, tenure


def loss(
    logs: Floats, x: Floats, t_x: Floats, t: Floats, weight: Floats, first: int
) -> tuple[float, Floats]:
    """Weighted mean negative log likelihood and its gradient in the logs of the parameters.

    Parameters
    ----------
    logs
        Of r, alpha, a and b.
    x, t_x, t, weight
        Frequency, recency and age of the kinds of customer, and each kind's share.
    first
        1 where a customer may drop out after the first purchase, 0 where not.
    """
    r, alpha, a, b = np.exp(logs)
    n = x + first
    before = b + np.maximum(n, 1) - 1
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + n) - betaln(a, b)
    stayed = -(r + x) * np.log(alpha + t)
    left = np.where(n > 0, np.log(a / before) - (r + x) * np.log(alpha + t_x), -np.inf)
    either = np.logaddexp(stayed, left)
    share = np.exp(left - either)  # of the likelihood that stems from having dropped out
    in_r = digamma(r + x) - digamma(r) + np.log(alpha)
    in_r -= (1 - share) * np.log(alpha + t) + share * np.log(alpha + t_x)
    in_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + t) + share / (alpha + t_x))
    both = digamma(a + b) - digamma(a + b + n)
    in_a = both + share / a
    in_b = both + digamma(b + n) - digamma(b) - share / before
    gradient = np.array([in_r @ weight * r, in_alpha @ weight * alpha])
    gradient = np.append(gradient, [in_a @ weight * a, in_b @ weight * b])
    return -float((common + either) @ weight), -gradient
