import numpy as np
import polars as pl
import pytest

from training.models.value.ensemble import (
    BOOSTERS,
    LAST_PERIOD,
    PRIOR_WEIGHTS,
    PROCESSES,
    average,
    fit_weights,
    last_period,
)

SPENT = np.random.default_rng(0).gamma(1.0, 2.0, 2000)
NOTHING = np.zeros(2000)


def members(**spend):
    return {name: (NOTHING, spend.get(name, NOTHING)) for name in PRIOR_WEIGHTS}


@pytest.mark.parametrize("best", [BOOSTERS, PROCESSES, LAST_PERIOD])
def test_the_member_that_is_right_gets_the_weight(best):
    weights = fit_weights(members(**{best: SPENT}), SPENT)
    assert weights[best] > 0.9


def test_without_spend_the_prior_holds():
    assert fit_weights(members(), NOTHING) == PRIOR_WEIGHTS


def test_the_average_weighs_orders_and_spend():
    orders, spend = average(
        {"a": (np.ones(2), np.zeros(2)), "b": (np.zeros(2), 4 * np.ones(2))}, {"a": 0.75, "b": 0.25}
    )
    assert orders.tolist() == [0.75, 0.75]
    assert spend.tolist() == [1.0, 1.0]


def test_the_last_period_of_another_length_has_the_rate_of_the_closest_window():
    features = pl.DataFrame(
        {"visits_28": [2.0], "spend_28": [6.0], "visits_56": [5.0], "spend_56": [9.0]}
    )
    assert [float(value[0]) for value in last_period(features, 28)] == [2.0, 6.0]
    assert [float(value[0]) for value in last_period(features, 42)] == [3.0, 9.0]
    assert [float(value[0]) for value in last_period(features, 56)] == [5.0, 9.0]
