"""Usual locations of real households."""

from datetime import datetime

import polars as pl
import pytest

from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.inputs.locations import CustomerLocations

AS_OF = datetime(2017, 11, 6)


def test_usual_locations_are_those_of_past_baskets(journey):
    interactions = interactions_at(journey, AS_OF)
    locations = CustomerLocations.build(journey, AS_OF, interactions)
    orders = journey.known("orders", AS_OF).to_native().collect()
    of_customer = orders.filter(pl.col("customer_id") == str(interactions.customers[5]))
    codes = locations.codes[5][locations.codes[5] >= 0]
    ids = {str(locations.ids[code]) for code in codes}
    assert ids <= set(of_customer.get_column("location_id"))
    assert locations.weights[5].sum() == pytest.approx(1.0)
