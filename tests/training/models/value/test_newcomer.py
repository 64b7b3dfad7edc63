"""Orders and spend of customers without a known purchase."""

import numpy as np
import polars as pl
import pytest

from training.estimators.bg_nbd import BgNbd
from training.models.value.newcomer import Newcomer

FEW = pl.DataFrame({"visits": [1, 2] * 20 + [9, 30]})
ORDERS = np.array([0.0, 1.0] * 20 + [8.0, 20.0])


def test_a_newcomer_orders_and_spends_as_customers_with_few_visits_did():
    newcomer = Newcomer.measure(28, [FEW], [(ORDERS, 3 * ORDERS)])
    assert (newcomer.orders, newcomer.per_order) == pytest.approx((0.5, 3.0))


def test_too_few_customers_with_few_visits_are_measured_with_all_others():
    few, orders = FEW[-4:], ORDERS[-4:]
    assert Newcomer.measure(28, [few], [(orders, orders)]).orders == pytest.approx(orders.mean())


def test_orders_are_those_measured_and_grow_with_the_days():
    newcomer, process = Newcomer(28, 0.5, 3.0), BgNbd(0.8, 20.0, 0.9, 3.0)
    orders = [float(newcomer.expected_orders(process, days)[0]) for days in (7, 28, 90, 365)]
    assert orders[1] == pytest.approx(0.5)
    assert orders == sorted(orders)
