"""Time-aware item weighting: a customer's past purchases in, their weights at an instant out.

TAIW (Romanov, Lashinin, Ananyeva and Kolesnikov 2023, RecSys): a product's score is the sum, over
the customer's purchases of it, of a function of the days since. The function is that of SLRC (Wang
et al. 2019, WWW): an exponential density, for short-term repetition, mixed with a normal one, for
the product's usual gap.
"""

from dataclasses import dataclass, replace
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl
from scipy import sparse

from features.interactions.builder import PAIR
from features.returns import net_purchases
from features.typing import Floats, Ints
from training.models.recommender.candidates import RecommenderInputs
from training.models.recommender.inputs.interactions import code_expression, sum_by_code

# Purchases from which the functions are learnt: more change the lists little.
MAX_PURCHASES = 500_000
STEPS, LEARNING_RATE = 20, 0.2
# Precision of the normal prior of a product's parameters around those of all products.
MASS_PRECISION, SHAPE_PRECISION = 20.0, 200.0
# Share of a customer's purchases that no earlier one explains: it bounds the gain of a single one.
UNEXPLAINED = 1e-3


@dataclass(frozen=True)
class Purchases:
    """Purchases by customer code, product code and day, one per order."""

    rows: Ints
    cols: Ints
    days: Ints

    @classmethod
    def of(cls, inputs: RecommenderInputs) -> Self:
        """Collect the purchases known at the instant of the inputs."""
        known = inputs.interactions
        bought = net_purchases(inputs.dataset, inputs.as_of)
        bought = bought.group_by(*PAIR, "order_id").agg(nw.col("day").min())
        frame = (
            bought.collect()
            .to_polars()
            .with_columns(
                code_expression("customer_id", known.customers),
                code_expression("product_id", known.products),
            )
        )
        frame = frame.drop_nulls(PAIR).sort("customer_id", "product_id", "day")
        rows, cols, days = (
            frame.get_column(name).cast(pl.Int64).to_numpy() for name in (*PAIR, "day")
        )
        return cls(rows, cols, days)


@dataclass(frozen=True)
class Weighting:
    """The weight of a purchase by the days since, for each product.

    Attributes
    ----------
    parameters
        Shape (5, products): log of the mass, log-odds of the exponential part, logs of its rate a
        day and of mean and deviation in days of the normal part.
    """

    parameters: Floats

    @classmethod
    def fit(cls, purchases: Purchases, products: int) -> Self:
        """Learn the functions from what each customer bought again on the last day.

        A product bought that day is product i with probability score i over the sum of the
        customer's scores. The parameters of all products are learnt first; those of a product vary
        around them.
        """
        examples = _Examples.of(purchases, products)
        start = np.log([1.0, 2.0, 1 / 60, 20.0, 10.0])[:, None]
        shared = examples.shared()._minimum(start, np.zeros((5, 1)), 3 * STEPS)
        precision = np.array([MASS_PRECISION, *(4 * [SHAPE_PRECISION])])[:, None]
        parameters = np.repeat(shared, products, axis=1)
        return cls(examples._minimum(parameters, precision, STEPS))

    def weights(self, cols: Ints, age: Floats) -> Floats:
        """Return the weights of purchases `age` days ago."""
        mass, share, exponential, normal, _ = _parts(self.parameters, cols, age)
        return np.asarray(mass * (share * exponential + (1 - share) * normal))


def time_aware_weights(inputs: RecommenderInputs) -> sparse.csr_matrix:
    """Return TAIW's scores, shape (customers, products)."""
    purchases = Purchases.of(inputs)
    shape = inputs.interactions.shape
    weighting = Weighting.fit(purchases, shape[1])
    values = weighting.weights(purchases.cols, (inputs.day - purchases.days).astype(np.float64))
    return sparse.csr_matrix((values, (purchases.rows, purchases.cols)), shape=shape)


@dataclass(frozen=True)
class _Examples:
    """Purchases before each customer's last day of purchase, and what was bought on it.

    Attributes
    ----------
    cols, age
        Product of each purchase, and days from it to the last day.
    pair
        Number of the customer and product of each purchase.
    customer, outcomes
        By pair: code of the customer, and 1 if the product was bought on the last day, else 0.
    """

    cols: Ints
    age: Floats
    pair: Ints
    customer: Ints
    outcomes: Floats

    @classmethod
    def of(cls, purchases: Purchases, products: int) -> Self:
        """Divide the purchases of a sample of customers."""
        rows, cols, days = purchases.rows, purchases.cols, purchases.days
        if len(rows) > MAX_PURCHASES:
            # Every n-th customer.
            kept = rows % -(-len(rows) // MAX_PURCHASES) == 0
            rows, cols, days = rows[kept], cols[kept], days[kept]
        last = np.zeros(rows.max(initial=0) + 1, np.int64)
        np.maximum.at(last, rows, days)
        earlier, keys = days < last[rows], rows * products + cols
        pairs, pair = np.unique(keys[earlier], return_inverse=True)
        age = (last[rows] - days)[earlier].astype(np.float64)
        outcomes = np.isin(pairs, keys[~earlier]).astype(np.float64)
        return cls(cols[earlier], age, pair, pairs // products, outcomes)

    def shared(self) -> "_Examples":
        """Return the examples as if all were of one product."""
        return replace(self, cols=np.zeros_like(self.cols))

    def _minimum(self, start: Floats, precision: Floats, steps: int) -> Floats:
        """Minimise the penalised negative log-likelihood by Adam (Kingma and Ba 2015)."""
        parameters, mean, square = start, np.zeros_like(start), np.zeros_like(start)
        for step in range(1, steps + 1):
            gradient = self._gradient(parameters) + precision * (parameters - start)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.95 * square + 0.05 * gradient**2
            scale = np.sqrt(square / (1 - 0.95**step)) + 1e-9
            parameters = parameters - LEARNING_RATE * mean / (1 - 0.9**step) / scale
        return parameters

    def _gradient(self, parameters: Floats) -> Floats:
        """Return the gradient of the negative log-likelihood, shaped as the parameters."""
        cols, products = self.cols, parameters.shape[1]
        mass, share, exponential, normal, z = _parts(parameters, cols, self.age)
        rate, mean, deviation = (np.exp(parameters[row])[cols] for row in (2, 3, 4))
        weight = mass * (share * exponential + (1 - share) * normal)
        score = sum_by_code(self.pair, weight, len(self.outcomes))
        customers = int(self.customer.max(initial=0)) + 1
        total = sum_by_code(self.customer, score, customers)
        bought = sum_by_code(self.customer, self.outcomes, customers)
        unexplained = UNEXPLAINED * total[self.customer]
        by_score = self.outcomes / np.maximum(score + unexplained, 1e-300)
        by_total = bought / np.maximum(total, 1e-300)
        by_total -= UNEXPLAINED * sum_by_code(self.customer, by_score, customers)
        slope = mass * (by_total[self.customer] - by_score)[self.pair]
        normal_slope = slope * (1 - share) * normal
        by_purchase = (
            slope * weight / mass,
            slope * share * (1 - share) * (exponential - normal),
            slope * share * exponential * (1 - rate * self.age),
            normal_slope * z * mean / deviation,
            normal_slope * (z * z - 1),
        )
        gradient = np.array([sum_by_code(cols, values, products) for values in by_purchase])
        if products == 1:
            # The choice among products does not depend on a mass that they share.
            gradient[0] = 0.0
        return gradient


def _parts(
    parameters: Floats, cols: Ints, age: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return mass, share of the exponential, both densities and the standardised age."""
    mass, rate, mean, deviation = (np.exp(parameters[row])[cols] for row in (0, 2, 3, 4))
    share = (1 / (1 + np.exp(-parameters[1])))[cols]
    z = (age - mean) / deviation
    normal = np.exp(-0.5 * z * z) / (deviation * np.sqrt(2 * np.pi))
    return mass, share, rate * np.exp(-rate * age), normal, z
