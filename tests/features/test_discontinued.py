"""Which products count as discontinued, by generated selling days."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from features.calendar import to_day
from features.dataset import Dataset
from features.discontinued import discontinued_products

FIRST = datetime(2022, 1, 1)
DAYS = 760
DAY = to_day(FIRST) + DAYS
DECEMBERS = [k for k in range(DAYS) if (FIRST + timedelta(days=k)).month == 12]

# Days with a sale, from the first day of the records on.
SELLING = {
    "daily": range(DAYS),
    "daily until 200 days ago": range(DAYS - 200),
    "weekly until 200 days ago": range(0, DAYS - 200, 7),
    "out for a month": range(DAYS - 30),
    "each quarter": range(20, DAYS, 91),
    "each quarter until 150 days ago": range(20, DAYS - 150, 91),
    "each December": DECEMBERS,
    "back after half a year": [*range(300), *range(480, DAYS - 100)],
    "sold once": [50],
    "new": range(DAYS - 20, DAYS),
}


def shop(selling, **tables):
    rows = [(product, day) for product, days in selling.items() for day in days]
    sales = pl.DataFrame(rows, {"product_id": pl.String, "day": pl.Int32}, orient="row")
    sales = sales.with_columns(pl.col("day") + to_day(FIRST), quantity=1.0, location_id=pl.lit("n"))
    return Dataset.from_frames("shop", {"sales": sales, **tables})


@pytest.fixture(scope="module")
def dataset():
    return shop(SELLING)


@pytest.mark.parametrize("product", SELLING)
def test_a_product_is_discontinued_by_its_own_selling_days(dataset, product):
    expected = product in ("daily until 200 days ago", "weekly until 200 days ago")
    assert (product in discontinued_products(dataset, DAY)) == expected


def test_later_sales_change_nothing(dataset):
    at = DAY - 60
    early = shop({p: [d for d in days if d < DAYS - 60] for p, days in SELLING.items()})
    assert discontinued_products(dataset, at).equals(discontinued_products(early, at))


def test_a_sale_brings_a_product_back():
    product = "daily until 200 days ago"
    later = shop({**SELLING, product: [*SELLING[product], DAYS - 1]})
    assert product not in discontinued_products(later, DAY)


def test_days_on_which_nothing_was_sold_are_no_pause():
    closed = shop({"a": range(DAYS - 100), "b": [*range(DAYS - 100), DAYS - 1]})
    assert discontinued_products(closed, DAY).is_empty()


@pytest.mark.parametrize(("ends", "expected"), [(DAY, True), (DAY + 7, False)])
def test_a_promotion_ahead_shows_that_a_product_is_sold(ends, expected):
    product = "daily until 200 days ago"
    promotions = pl.DataFrame(
        {
            "product_id": product,
            "kind": "display",
            "from_day": pl.Series([DAY - 7], dtype=pl.Int32),
            "to_day": pl.Series([ends], dtype=pl.Int32),
        }
    )
    found = discontinued_products(shop(SELLING, promotions=promotions), DAY)
    assert (product in found) == expected


def test_a_promotion_in_the_far_future_shows_nothing():
    product = "daily until 200 days ago"
    days = {"from_day": DAY + 100, "to_day": DAY + 107}
    promotions = pl.DataFrame({"product_id": [product], "kind": ["display"]}).with_columns(
        pl.lit(day, pl.Int32).alias(name) for name, day in days.items()
    )
    assert product in discontinued_products(shop(SELLING, promotions=promotions), DAY)


def test_sales_by_week_are_judged_by_weeks():
    weekly = {"gone": range(0, DAYS - 200, 7), "sold": range(0, DAYS, 7)}
    assert discontinued_products(shop(weekly), DAY + 7).to_list() == ["gone"]


@pytest.mark.parametrize(("age", "expected"), [(10, False), (100, True)])
def test_a_product_that_came_back_into_stock_is_sold_again(age, expected):
    product = "daily until 200 days ago"
    stock = pl.DataFrame(
        {
            "product_id": product,
            "day": pl.Series([DAY - 200, DAY - age], dtype=pl.Int32),
            "on_hand": [0.0, 9.0],
        }
    )
    assert (product in discontinued_products(shop(SELLING, stock=stock), DAY)) == expected
