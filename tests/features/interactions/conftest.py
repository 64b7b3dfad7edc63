"""A small written shop with promotions."""

from datetime import datetime

import polars as pl
import pytest

from features.dataset import Dataset


@pytest.fixture
def promoted_shop() -> Dataset:
    """Return four orders at two locations, with a mailer at one and a display at both."""
    rows = [
        ("a", "1", "milk", "2017-09-01", "north"),
        ("a", "2", "milk", "2017-09-11", "south"),
        ("b", "3", "milk", "2017-09-11", "north"),
        ("b", "4", "tea", "2017-09-20", "north"),
    ]
    orders = pl.DataFrame(
        rows, ["customer_id", "order_id", "product_id", "ts", "location_id"], orient="row"
    ).with_columns(
        pl.col("ts").str.to_datetime("%Y-%m-%d", time_unit="us"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
        pl.lit(1.0).alias("quantity"),
    )
    day = (datetime(2017, 9, 11) - datetime(1970, 1, 1)).days
    promotions = pl.DataFrame(
        {
            "product_id": ["milk", "tea"],
            "location_id": ["north", None],
            "kind": ["mailer", "display"],
            "placement": ["front", None],
            "from_day": [day, day],
            "to_day": [day + 7, day + 28],
        },
        schema_overrides={"from_day": pl.Int32, "to_day": pl.Int32},
    )
    return Dataset.from_frames("shop", {"orders": orders, "promotions": promotions})
