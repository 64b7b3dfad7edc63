"""Grains: parsing, keys and periods."""

import pytest

from features.demand.grain import Grain
from features.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    ["product:week", "product,location:day", "category,location:week", "location:day"],
)
def test_a_grain_equals_its_text(text):
    assert str(Grain.parse(text)) == text


def test_product_and_location_stand_for_their_ids():
    assert Grain.parse("product,location:day").keys == ("product_id", "location_id")


@pytest.mark.parametrize(
    "text", ["product", "product:month", "colour:week", ":week", "product,product:day", ""]
)
def test_an_invalid_grain_is_refused_with_the_allowed_keys_and_periods(text):
    with pytest.raises(InvalidInput, match=r"subcategory.*day, week") as caught:
        Grain.parse(text)
    assert caught.value.field == "grain"


@pytest.mark.parametrize("days", [0, -7, 10])
def test_a_horizon_is_a_positive_number_of_whole_periods(days):
    with pytest.raises(InvalidInput, match="multiple of 7") as caught:
        Grain.parse("product:week").periods(days)
    assert caught.value.field == "horizon"


def test_a_horizon_is_counted_in_days():
    assert Grain.parse("product:week").periods(56) == 8
