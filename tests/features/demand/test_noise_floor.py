"""The noise floor of a grain."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.noise_floor import noise_floor

FIRST, DAYS = 17_000, 182
AS_OF = datetime(1970, 1, 1) + timedelta(days=FIRST + DAYS)


def shop(rates, seed=0):
    """Generate Poisson sales at known daily rates."""
    sold = np.random.default_rng(seed).poisson(np.array(rates)[:, None], (len(rates), DAYS))
    row, day = np.nonzero(sold)
    frame = pl.DataFrame(
        {
            "product_id": [f"p{i}" for i in row],
            "location_id": "1",
            "day": (FIRST + day).astype(np.int32),
            "quantity": sold[row, day].astype(float),
        }
    )
    return Dataset.from_frames("shop", {"sales": frame}), sold


def test_the_floor_is_the_error_of_a_forecast_that_knows_the_rates():
    rates = np.linspace(0.1, 6, 300)
    dataset, sold = shop(rates)
    floor = noise_floor(dataset, Grain.parse("product:day"), AS_OF)
    from scipy import stats

    median = stats.poisson.ppf(0.5, rates)[:, None]
    assert floor.wape == pytest.approx(np.abs(sold - median).sum() / sold.sum(), rel=0.03)
    assert floor.series == 300


def test_a_coarser_grain_has_less_noise():
    dataset, _ = shop(np.full(50, 0.5))
    by_day, by_week = (
        noise_floor(dataset, Grain.parse(f"product:{freq}"), AS_OF).wape for freq in ("day", "week")
    )
    assert by_week < 0.7 * by_day


def test_larger_lines_raise_the_floor():
    lines = [(str(i), i, f"p{i % 20}", FIRST + i % DAYS) for i in range(4_000)]
    orders = pl.DataFrame(
        lines, schema=["order_id", "line", "product_id", "day"], orient="row"
    ).with_columns(
        pl.col("line").cast(pl.Int32),
        ts=pl.from_epoch(pl.col("day"), time_unit="d").cast(pl.Datetime("us")),
        day=pl.col("day").cast(pl.Int32),
        kind=pl.lit("sale"),
    )
    floors = [
        noise_floor(
            Dataset.from_frames("x", {"orders": orders.with_columns(quantity=quantity)}),
            Grain.parse("product:week"),
            AS_OF,
        ).wape
        for quantity in (
            pl.lit(2.0),
            pl.when(pl.col("line") // 20 % 4 == 0).then(5.0).otherwise(1.0),
        )
    ]
    assert floors[1] > 1.1 * floors[0]


def test_sales_at_or_after_as_of_do_not_count():
    dataset, _ = shop(np.linspace(0.2, 3, 40))
    sales = dataset.table("sales").collect().to_polars()
    later = sales.with_columns(day=pl.col("day") + DAYS, quantity=pl.lit(50.0))
    more = Dataset.from_frames("more", {"sales": pl.concat([sales, later])})
    grain = Grain.parse("product:week")
    assert noise_floor(more, grain, AS_OF) == noise_floor(dataset, grain, AS_OF)
