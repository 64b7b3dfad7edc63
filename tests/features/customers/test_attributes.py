from datetime import datetime

import polars as pl
from polars.testing import assert_frame_equal

from features.customers.attributes import PREFIX, attribute_columns, attributes
from features.customers.builder import customers
from features.dataset import Dataset
from training.customers.population import Population

AS_OF = datetime(2024, 3, 4)
WHO = [f"c{k:03}" for k in range(150)]


def shop(**columns):
    """Everybody but the last came once; `columns` describe all of them."""
    orders = pl.DataFrame(
        {
            "customer_id": WHO[:-1],
            "order_id": WHO[:-1],
            "line": pl.Series([0] * (len(WHO) - 1), dtype=pl.Int32),
            "ts": datetime(2024, 2, 1),
            "day": pl.Series([19754] * (len(WHO) - 1), dtype=pl.Int32),
            "quantity": 1.0,
            "kind": "sale",
        }
    )
    frames = {"orders": orders}
    if columns:
        frames["customers"] = pl.DataFrame({"customer_id": WHO, **columns})
    return Dataset.from_frames("shop", frames)


def described(dataset):
    frame = customers(dataset, AS_OF).collect().to_polars().sort("customer_id")
    return frame.select(pl.col(f"^{PREFIX}.*$"))


AGES = [None if k % 3 == 0 else "25-34" if k % 2 else "65+" for k in range(150)]


def test_words_stay_words_and_numbers_are_numbers():
    found = described(
        shop(age=AGES, children=[k % 4 for k in range(150)], member=[True, False] * 75)
    )
    assert found.columns == ["attribute_age", "attribute_children", "attribute_member"]
    assert found.schema["attribute_age"] == pl.String
    assert found.get_column("attribute_age").to_list() == AGES[:-1]
    assert found.select("attribute_children", "attribute_member").row(3) == (3.0, 0.0)


def test_what_tells_customers_apart_says_nothing_or_asks_for_consent_describes_nobody():
    dataset = shop(
        name=[f"name {k}" for k in range(150)],
        country=["NL"] * 150,
        consent=["yes"] * 149 + ["no"],
        born=[datetime(1980, 1 + k % 12, 1) for k in range(150)],
        region=["north", "south"] * 75,
    )
    assert attribute_columns(dataset) == ["region"]


def test_without_a_table_of_customers_there_are_none():
    assert attribute_columns(shop()) == []
    assert described(shop()).columns == []


def test_a_customer_without_a_row_has_no_attributes():
    dataset = shop(age=AGES)
    some = dataset.table("customers").collect().to_polars().filter(pl.col("customer_id") > WHO[9])
    orders = dataset.table("orders").collect().to_polars()
    found = described(Dataset.from_frames("shop", {"orders": orders, "customers": some}))
    assert found.get_column("attribute_age")[:10].to_list() == [None] * 10


def test_pandas_and_polars_say_the_same():
    dataset = shop(age=AGES, children=[k % 4 for k in range(150)])
    frames = {name: dataset.table(name).collect().to_pandas() for name in dataset.tables}
    other = attributes(Dataset.from_frames("p", frames)).collect().to_polars()
    expected = attributes(dataset).collect().to_polars()
    assert_frame_equal(other.sort("customer_id"), expected.sort("customer_id"), check_dtypes=False)


def test_a_posted_customer_is_described_by_the_columns_of_the_population():
    population = Population.measure(shop(age=AGES, children=[k % 4 for k in range(150)]), AS_OF)
    orders = shop().table("orders").collect().to_polars().head(1)
    nothing = {
        name: pl.lit(None, pl.String)
        for name in ("product_id", "category", "location_id", "channel")
    }
    posted = orders.with_columns(**nothing)
    found = described(population.dataset_of(posted, pl.DataFrame(), {WHO[0]: {"age": "65+"}}))
    assert found.rows() == [("65+", None)]
