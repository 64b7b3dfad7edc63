from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from training.customers.cutoffs import follow_up
from training.customers.seasonal_calibration import level_of, seasonal_level

HORIZON = 28
FIRST, AS_OF = datetime(2022, 1, 3), datetime(2023, 11, 27)


def outcomes(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted log-odds, and outcomes whose log-odds are higher by `shift`."""
    rng = np.random.default_rng(4)
    log_odds = rng.normal(-2, 1, 4000)
    return log_odds, (rng.random(4000) < 1 / (1 + np.exp(-(log_odds + shift)))).astype(float)


def shop(busy_from: list[datetime]) -> Dataset:
    """Customers who buy with equal probability every week, and twice as often in busy months."""
    rng = np.random.default_rng(1)
    rows = []
    for week in range((AS_OF - FIRST).days // 7):
        monday = FIRST + timedelta(weeks=week)
        busy = any(start <= monday < start + timedelta(days=HORIZON) for start in busy_from)
        bought = np.flatnonzero(rng.random(400) < (0.4 if busy else 0.1))
        rows += [(f"c{customer}", monday + timedelta(hours=9)) for customer in bought]
    orders = pl.DataFrame(rows, ["customer_id", "ts"], orient="row").with_columns(
        order_id=pl.int_range(pl.len()).cast(pl.String),
        line=pl.lit(0, dtype=pl.Int32),
        quantity=pl.lit(1.0),
        kind=pl.lit("sale"),
    )
    return Dataset.from_frames("shop", {"orders": orders})


def level_now(dataset: Dataset) -> float:
    """Return the seasonal level of predictions that everyone buys in one week of ten."""
    newest = follow_up(dataset, AS_OF, to_day(AS_OF) - HORIZON, HORIZON)
    inactive = 0.9**4

    def predicted(features: pl.DataFrame) -> np.ndarray:
        return np.full(features.height, np.log(inactive / (1 - inactive)))

    return seasonal_level(dataset, AS_OF, HORIZON, newest, predicted, predicted)


@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.8])
def test_the_level_of_log_odds_is_recovered(shift):
    level, error = level_of(*outcomes(shift))
    assert error < 0.07
    assert abs(level - shift) < 3 * error


def test_the_level_of_one_outcome_is_finite():
    assert np.isfinite(level_of(np.zeros(3), np.ones(3))).all()


def test_a_busy_month_of_the_year_before_is_expected_again():
    assert level_now(shop([datetime(2022, 11, 28)])) < -1


def test_a_shop_without_a_season_has_none():
    assert abs(level_now(shop([]))) < 0.1


def test_a_season_that_did_not_return_is_shrunk():
    # A busy month that ended as the newest outcomes began did not return there.
    regular = level_now(shop([datetime(2022, 11, 28)]))
    irregular = level_now(shop([datetime(2022, 10, 31), datetime(2022, 11, 28)]))
    assert regular < irregular < 0


def test_without_a_year_of_records_there_is_no_season():
    dataset = shop([])
    as_of = datetime(2022, 12, 5)
    newest = follow_up(dataset, as_of, to_day(as_of) - HORIZON, HORIZON)
    zeros = lambda features: np.zeros(features.height)  # noqa: E731
    assert seasonal_level(dataset, as_of, HORIZON, newest, zeros, zeros) == 0
