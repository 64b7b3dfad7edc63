"""Usual locations of customers."""

from datetime import datetime

import polars as pl
import pytest

from features.interactions.locations import usual_locations

AS_OF = datetime(2017, 10, 9)


def collected(frame) -> pl.DataFrame:
    rows = frame.collect().to_polars()
    return rows.sort(rows.columns[:2])


def test_usual_locations_weigh_the_last_basket_most(promoted_shop):
    rows = collected(usual_locations(promoted_shop, AS_OF)).rows()
    assert rows == [
        ("a", "north", pytest.approx(0.95)),
        ("a", "south", pytest.approx(1.0)),
        ("b", "north", pytest.approx(1.95)),
    ]
