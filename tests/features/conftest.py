"""A dataset of one customer, for tests of features of single customers."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from features.calendar import day_start, to_day
from features.dataset import Dataset


@pytest.fixture(scope="session")
def one_customer() -> Callable[..., Dataset]:
    """A shop with one customer and one line per visit, at noon, `ages` days before 2017-09-04."""

    def shop(ages: list[int], **columns: Any) -> Dataset:
        days = [to_day("2017-09-04") - age for age in ages]
        orders = pl.DataFrame(
            {
                "customer_id": ["a"] * len(days),
                "order_id": [str(k) for k in range(len(days))],
                "line": pl.Series([0] * len(days), dtype=pl.Int32),
                "ts": [day_start(day).replace(hour=12) for day in days],
                "day": pl.Series(days, dtype=pl.Int32),
                "quantity": [1.0] * len(days),
                "kind": ["sale"] * len(days),
                **columns,
            }
        )
        return Dataset.from_frames("shop", {"orders": orders})

    return shop
