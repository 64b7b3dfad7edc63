"""Datasets that several benchmarks of the customer models read: a sample of Ta-Feng."""

import polars as pl
from demand_cases import SHARED

from features.dataset import Dataset

# Customers of Ta-Feng that are sampled; it has 32,266.
TA_FENG_CUSTOMERS = 6_000


def ta_feng() -> Dataset:
    """Read the orders of a sample of Ta-Feng's customers: four months, an order a day."""
    raw = pl.read_parquet(SHARED / "ta_feng.parquet").with_columns(
        pl.col("customer_id", "product_id", "product_subclass").cast(pl.String)
    )
    ids = raw.get_column("customer_id").unique().sort()
    sample = ids.sample(TA_FENG_CUSTOMERS, seed=0)
    lines = raw.filter(pl.col("customer_id").is_in(sample.implode()))
    day = pl.col("transaction_dt").cast(pl.Date)
    orders = lines.select(
        "customer_id",
        "product_id",
        pl.format("{}-{}", "customer_id", day).alias("order_id"),
        pl.int_range(pl.len(), dtype=pl.Int32).over("customer_id", day).alias("line"),
        day.cast(pl.Datetime("us")).alias("ts"),
        day.cast(pl.Int32).alias("day"),
        pl.col("amount").cast(pl.Float64).alias("quantity"),
        pl.col("sales_price").cast(pl.Float64).alias("revenue"),
        pl.lit("sale").alias("kind"),
    )
    products = raw.select("product_id", category=pl.col("product_subclass")).unique("product_id")
    customers = lines.select("customer_id", "age_group", "pin_code").unique("customer_id")
    frames = {"orders": orders, "products": products, "customers": customers}
    return Dataset.from_frames("ta-feng", frames)
