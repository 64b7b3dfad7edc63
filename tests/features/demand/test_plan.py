"""Rows of a user's plan: which are read, and which are refused."""

import polars as pl
import pytest

from features.dataset import Dataset
from features.demand.plan import check_known, read_plan, sold_ids
from features.errors import InvalidInput, NotFound

AS_OF = "2024-01-01"
MAILER = {
    "product_id": "tea",
    "kind": "mailer",
    "from_date": "2024-01-08",
    "to_date": "2024-01-15",
}


def test_days_before_as_of_are_dropped():
    (row,) = read_plan([{**MAILER, "from_date": "2023-12-01"}], AS_OF)
    assert (row.start, row.end) == (19_723, 19_737)


def test_an_empty_cell_is_a_missing_field():
    assert read_plan(pl.DataFrame([{**MAILER, "depth": None}]), AS_OF) == read_plan([MAILER], AS_OF)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"product_id": None}, "product_id", "lacks product_id"),
        ({"kind": None}, "kind", "plans nothing"),
        ({"to_date": None}, "to_date", "lacks to_date"),
        ({"from_date": "soon"}, "from_date", "not an ISO date"),
        ({"to_date": "2024-01-01"}, "to_date", "not after from_date"),
        ({"from_date": "2023-12-23", "to_date": "2024-01-01"}, "to_date", "in the past"),
        ({"depth": 30}, "depth", "from 0 to 1"),
        ({"price": "cheap"}, "price", "not a number"),
        ({"colour": "red"}, "colour", "not a field"),
    ],
)
def test_an_invalid_row_is_named_with_its_field(change, field, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        read_plan([MAILER, {**MAILER, **change}], AS_OF)
    assert caught.value.field == f"plan[1].{field}"


@pytest.mark.parametrize("field", ["product_id", "location_id"])
def test_products_and_locations_without_sales_are_refused(field):
    sales = {"product_id": ["tea"], "location_id": ["1"], "day": [19_000], "quantity": [1.0]}
    shop = Dataset.from_frames("shop", {"sales": pl.DataFrame(sales)})
    check_known(read_plan([MAILER], AS_OF), *sold_ids(shop))
    with pytest.raises(NotFound, match="nothing with it was sold") as caught:
        check_known(read_plan([{**MAILER, field: "x"}], AS_OF), *sold_ids(shop))
    assert caught.value.field == f"plan[0].{field}"
