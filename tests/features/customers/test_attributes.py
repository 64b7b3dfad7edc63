"""Attributes of customers as features."""

from datetime import datetime

import polars as pl
from polars.testing import assert_frame_equal

from features.customers.attributes import PREFIX, attribute_columns, attributes
from features.customers.builder import customers
from features.dataset import Dataset
from training.customers.population import Population

AS_OF = datetime(2024, 3, 4)
CUSTOMERS = [f"c{k:03}" for k in range(150)]


def shop(**columns):
    """Return a shop where all customers but the last have one visit; `columns` are attributes."""
    orders = pl.DataFrame(
        {
            "customer_id": CUSTOMERS[:-1],
            "order_id": CUSTOMERS[:-1],
            "line": pl.Series([0] * (len(CUSTOMERS) - 1), dtype=pl.Int32),
            "ts": datetime(2024, 2, 1),
            "day": pl.Series([19754] * (len(CUSTOMERS) - 1), dtype=pl.Int32),
            "quantity": 1.0,
            "kind": "sale",
        }
    )
    frames = {"orders": orders}
    if columns:
        frames["customers"] = pl.DataFrame({"customer_id": CUSTOMERS, **columns})
    return Dataset.from_frames("shop", frames)


def described(dataset):
    frame = customers(dataset, AS_OF).collect().to_polars().sort("customer_id")
    return frame.select(pl.col(f"^{PREFIX}.*$"))


AGES = [None if k % 3 == 0 else "25-34" if k % 2 else "65+" for k in range(150)]


def test_texts_stay_texts_and_numbers_become_floats():
    features = described(
        shop(age=AGES, children=[k % 4 for k in range(150)], member=[True, False] * 75)
    )
    assert features.columns == ["attribute_age", "attribute_children", "attribute_member"]
    assert features.schema["attribute_age"] == pl.String
    assert features.get_column("attribute_age").to_list() == AGES[:-1]
    assert features.select("attribute_children", "attribute_member").row(3) == (3.0, 0.0)


def test_identifying_constant_date_and_consent_columns_are_no_attributes():
    dataset = shop(
        name=[f"name {k}" for k in range(150)],
        country=["NL"] * 150,
        consent=["yes"] * 149 + ["no"],
        born=[datetime(1980, 1 + k % 12, 1) for k in range(150)],
        region=["north", "south"] * 75,
    )
    assert attribute_columns(dataset) == ["region"]


def test_without_a_table_of_customers_there_are_no_attributes():
    assert attribute_columns(shop()) == []
    assert described(shop()).columns == []


def test_a_customer_without_a_row_has_no_attributes():
    dataset = shop(age=AGES)
    customers_with_row = (
        dataset.table("customers")
        .collect()
        .to_polars()
        .filter(pl.col("customer_id") > CUSTOMERS[9])
    )
    orders = dataset.table("orders").collect().to_polars()
    features = described(
        Dataset.from_frames("shop", {"orders": orders, "customers": customers_with_row})
    )
    assert features.get_column("attribute_age")[:10].to_list() == [None] * 10


def test_pandas_and_polars_give_the_same_attributes():
    dataset = shop(age=AGES, children=[k % 4 for k in range(150)])
    frames = {name: dataset.table(name).collect().to_pandas() for name in dataset.tables}
    other = attributes(Dataset.from_frames("p", frames)).collect().to_polars()
    expected = attributes(dataset).collect().to_polars()
    assert_frame_equal(other.sort("customer_id"), expected.sort("customer_id"), check_dtypes=False)


def test_a_posted_customer_has_the_attribute_columns_of_the_population():
    population = Population.measure(shop(age=AGES, children=[k % 4 for k in range(150)]), AS_OF)
    orders = shop().table("orders").collect().to_polars().head(1)
    nothing = {
        name: pl.lit(None, pl.String)
        for name in ("product_id", "category", "location_id", "channel")
    }
    posted = orders.with_columns(**nothing)
    features = described(
        population.dataset_of(posted, pl.DataFrame(), {CUSTOMERS[0]: {"age": "65+"}})
    )
    assert features.rows() == [("65+", None)]
