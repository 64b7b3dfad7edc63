"""The bundled source: canonical types, facts stated by its publisher, and its rules."""

import polars as pl
import pytest

from features.calendar import to_day
from features.ingest.source_table import SourceTable
from features.ingest.sources import complete_journey
from features.ingest.validation import split_rows, table_rules
from features.tables import TABLES


@pytest.fixture(scope="module")
def tables() -> dict[str, SourceTable]:
    return {table.name: table for table in complete_journey.read(households=300)}


@pytest.fixture(scope="module")
def orders(tables) -> pl.DataFrame:
    table = tables["orders"]
    rules = [*table.rules, *table_rules(TABLES["orders"], table.frame.columns)]
    return split_rows(TABLES["orders"], table.frame, rules, first_row=0, source=0)[0]


@pytest.fixture(scope="module")
def promotions(tables) -> pl.DataFrame:
    return tables["promotions"].canonical(tables["promotions"].frame)


def test_every_table_has_the_canonical_columns_and_types(tables):
    for name, source in tables.items():
        for column, dtype in source.canonical(source.frame.head(1)).schema.items():
            if column in TABLES[name].columns:
                assert dtype == TABLES[name].columns[column].dtype, f"{name}.{column}"


def test_local_days_agree_with_the_week_numbers_of_the_data(orders):
    raw = complete_journey._scan("transactions").select(
        pl.col("basket_id").cast(pl.String).alias("order_id"), "week"
    )
    stated = orders.join(raw.unique().collect(), on="order_id")
    week = (pl.col("day") - complete_journey.MONDAY_OF_WEEK_1) // 7 + 1
    assert stated.select((week == pl.col("week")).all()).item()


def test_fuel_and_coupons_are_no_products(orders, tables):
    departments = orders.join(tables["products"].frame, on="product_id", suffix="_product")
    assert not set(departments.get_column("department")) & set(complete_journey.NOT_PRODUCTS)


def test_fuel_is_a_purchase_without_a_product(orders, tables):
    raw = complete_journey._scan("transactions").filter(pl.col("sales_value") > 0)
    raw = raw.join(complete_journey._scan("products"), on="product_id")
    fuel = raw.filter(pl.col("department") == "FUEL").select(
        pl.col("basket_id").cast(pl.String).alias("order_id"), "sales_value"
    )
    fuel_orders = fuel.collect().join(orders.select("order_id").unique(), on="order_id", how="semi")
    productless = orders.filter(pl.col("product_id").is_null())
    assert fuel_orders.height > 1000
    assert set(productless["quantity"].unique()) == {1.0}
    assert productless["revenue"].min() > 0
    assert productless["revenue"].sum() >= fuel_orders["sales_value"].sum()
    rule = "paid for no units of a product, counted as one without a product"
    assert tables["orders"].touched[rule] == productless.height


def test_quantities_are_counts_of_units(orders):
    assert orders.get_column("quantity").min() >= 1
    assert orders.get_column("quantity").max() <= complete_journey.MAX_UNITS


def test_promotions_are_complete_weeks(promotions):
    assert ((promotions["to_day"] - promotions["from_day"]) % 7 == 0).all()
    assert promotions["from_day"].min() == to_day("2016-12-26")
    assert set(promotions["kind"].unique()) == {"display", "mailer"}


def test_promotions_are_the_longest_runs_of_weeks_with_one_placement(promotions):
    products = promotions["product_id"].unique().sort().head(200)
    key = ["product_id", "location_id", "kind", "week"]
    week = (pl.col("from_day") - complete_journey.MONDAY_OF_WEEK_1) // 7 + 1
    runs = promotions.filter(pl.col("product_id").is_in(products.implode())).with_columns(
        week.alias("week"), ((pl.col("to_day") - pl.col("from_day")) // 7).alias("weeks")
    )
    weeks = runs.with_columns(pl.int_ranges("week", pl.col("week") + pl.col("weeks"))).explode(
        "week"
    )
    raw = complete_journey._scan("promotions").rename({"store_id": "location_id"})
    raw = raw.filter(pl.col("product_id").is_in(products.cast(pl.Int64).implode()))
    stated = pl.concat(
        raw.select(
            pl.col("product_id", "location_id").cast(pl.String),
            pl.lit(kind).alias("kind"),
            pl.col("week"),
            pl.col(f"{kind}_location").alias("placement"),
        ).filter(pl.col("placement") != "0")
        for kind in ("display", "mailer")
    )
    stated = stated.group_by(key).agg(pl.col("placement").min()).sort(key).collect()
    assert weeks.select(*key, "placement").sort(key).equals(stated)
    following = runs.select(*key[:3], "placement", (pl.col("week") + pl.col("weeks")).alias("week"))
    assert following.join(runs, on=[*key, "placement"], how="semi").is_empty()


def test_repeated_reads_give_the_same_rows_in_the_same_order(tables):
    repeated = {table.name: table for table in complete_journey.read(households=300)}
    assert repeated["orders"].frame.equals(tables["orders"].frame)
