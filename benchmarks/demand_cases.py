"""Cases on which demand forecasts are compared: records, grain, origins and series.

The bundled dataset is imported if it is missing. Other real data are read from the folder that
FORESELL_SHARED_DATA names.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset, open_dataset
from features.demand.grain import Grain
from features.demand.series import all_series, steady_series, units_matrix
from features.ingest.pipeline import import_tables
from features.ingest.sources import complete_journey
from features.storage.snapshots import list_datasets
from features.typing import Floats
from training.contract import DEFAULT_COUNTRY

SHARED = Path(os.environ.get("FORESELL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIRST_MONDAY = "2017-01-02"


@dataclass(frozen=True)
class Case:
    """A dataset and what is forecast from it.

    Attributes
    ----------
    title
        Title of the table.
    dataset, grain, horizon_days, origins
        Records, definition of a series, and what is forecast as of which instants.
    series
        (origin) -> keys of the evaluated series.
    weights
        (origin, keys) -> weight of each series in WRMSSE; equal by default.
    note
        Note below the table.
    country
        ISO code of the country whose public holidays count.
    only_sold
        Whether periods without sales (closed days) are left out of the measures.
    published
        Measures of other methods on the same task, by method.
    """

    title: str
    dataset: Dataset
    grain: Grain
    horizon_days: int
    origins: list[datetime]
    series: Callable[[datetime], pl.DataFrame]
    weights: Callable[[datetime, pl.DataFrame], Floats] | None = None
    note: str = ""
    country: str = DEFAULT_COUNTRY
    only_sold: bool = False
    published: dict[str, dict[str, float]] = field(default_factory=dict)


def has_shared_data() -> bool:
    """Return whether the folder of other real data exists; print how to name it if not."""
    if not SHARED.is_dir():
        print(f"{SHARED} does not exist; set FORESELL_SHARED_DATA to run the cases on other data.")
    return SHARED.is_dir()


def journey(home: Path) -> Dataset:
    """Open the bundled dataset; import it if it is missing."""
    if complete_journey.NAME not in list_datasets(home):
        import_tables(home, complete_journey.NAME, complete_journey.read(), max_bad_share=0.05)
    return open_dataset(home, complete_journey.NAME)


def after_weeks(*weeks: int) -> list[datetime]:
    """Return the instants after numbers of full weeks of the bundled year."""
    return [datetime.fromisoformat(FIRST_MONDAY) + timedelta(days=7 * week) for week in weeks]


def journey_weeks(home: Path) -> Case:
    """Products by week with their promotions."""
    dataset = journey(home)
    return Case(
        "Demand: bundled data, product by week, 8 weeks ahead, promotions known",
        dataset,
        Grain.parse("product:week"),
        56,
        after_weeks(28, 36, 44),
        lambda _: _products_with_sales(dataset, 28.0, 2_500),
        note="2,500 products with 28 units in the first 28 full weeks; origins after weeks 28, 36, "
        "44.",
    )


def journey_prices(home: Path) -> Case:
    """Fast movers by week with their promotions and the prices paid."""
    dataset = with_paid_prices(journey(home))
    return Case(
        "Demand: bundled data, fast movers by week, promotions and prices known",
        dataset,
        Grain.parse("product:week"),
        56,
        after_weeks(28, 36, 44),
        lambda _: _products_with_sales(dataset, 8.5 * 28, 681),
        note="Products with 8.5 units a week in the first 28 weeks (at most 681). The known price "
        "is the median price paid in the week, and the last one in a week without sales.",
    )


def _products_with_sales(dataset: Dataset, units: float, maximum: int) -> pl.DataFrame:
    """Return a sample of products with at least `units` sold in the first 28 full weeks."""
    grain = Grain.parse("product:week")
    day = to_day(after_weeks(28)[0])
    keys = all_series(dataset, grain).index.select("product_id").collect().to_polars()
    sold = units_matrix(dataset, grain, day, -28, keys).sum(axis=1)
    chosen = keys.filter(pl.Series(sold >= units))
    return chosen.sort(pl.col("product_id").hash(seed=11)).head(maximum).sort("product_id")


def with_paid_prices(dataset: Dataset) -> Dataset:
    """Add a table of prices: the median price paid for a unit by product and week."""
    orders = dataset.table("orders").filter(nw.col("kind") == "sale").collect().to_polars()
    phase = to_day(FIRST_MONDAY) % 7
    week = ((pl.col("day") - phase) // 7 * 7 + phase).cast(pl.Int32).alias("from_day")
    paid = (pl.col("revenue") / pl.col("quantity")).round(2).median().alias("price")
    prices = orders.filter(pl.col("quantity") > 0).group_by("product_id", week).agg(paid)
    prices = prices.with_columns(location_id=pl.lit(None, dtype=pl.String))
    added = Dataset.from_frames("prices", {"prices": prices}).tables
    return Dataset(dataset.name, dataset.snapshot + "+prices", {**dataset.tables, **added})


def walmart() -> Dataset:
    """Read store TX_3, department FOODS_3 of M5, with prices and the calendar of events."""
    raw = pl.read_parquet(SHARED / "m5_tx3_foods3.parquet")
    day = pl.col("date").cast(pl.Date).cast(pl.Int32)
    raw = raw.with_columns(day.alias("day"))
    sales = raw.filter(pl.col("sell_price").is_not_null()).select(
        pl.col("item_id").alias("product_id"),
        pl.col("store_id").alias("location_id"),
        "day",
        pl.col("sales").cast(pl.Float64).alias("quantity"),
        pl.col("sell_price").alias("price"),
    )
    prices = raw.filter(pl.col("sell_price").is_not_null()).select(
        pl.col("item_id").alias("product_id"),
        pl.col("store_id").alias("location_id"),
        pl.col("day").alias("from_day"),
        pl.col("sell_price").alias("price"),
    )
    keys = ["product_id", "location_id"]
    changed = (pl.col("price") != pl.col("price").shift()).over(keys, order_by="from_day")
    prices = prices.filter(changed.fill_null(value=True))
    calendar = pl.read_parquet(SHARED / "m5_calendar.parquet").with_columns(day.alias("day"))
    kinds = ("Cultural", "National", "Religious", "Sporting")
    columns = {
        "snap": pl.col("snap_TX").cast(pl.Float64),
        **{
            f"event_{kind.lower()}": (
                (pl.col("event_type_1") == kind).fill_null(value=False)
                | (pl.col("event_type_2") == kind).fill_null(value=False)
            ).cast(pl.Float64)
            for kind in kinds
        },
    }
    covariates = (
        calendar.select("day", **columns)
        .unpivot(index="day", variable_name="name")
        .with_columns(location_id=pl.lit(None, dtype=pl.String), known_ahead=pl.lit(value=True))
    )
    products = sales.select(
        "product_id", department=pl.col("product_id").str.head(7), category=pl.lit("FOODS")
    ).unique()
    tables = {"sales": sales, "prices": prices, "covariates": covariates, "products": products}
    return Dataset.from_frames("walmart", tables)


def walmart_days() -> Case:
    """Items by day, 28 days ahead, as in the M5 competition."""
    dataset = walmart()
    grain = Grain.parse("product,location:day")
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    return Case(
        "Demand: M5 TX_3 FOODS_3, item by day, 28 days ahead, prices and events known",
        dataset,
        grain,
        28,
        last_windows(dataset, 28, 3),
        lambda origin: _started(dataset, grain, keys, origin),
        weights=revenue_weights(dataset, grain),
        note="The last three windows of 28 days. WRMSSE weights items by their revenue in the 28 "
        "days before the origin. Totals are sums over all items.",
    )


def walmart_weeks(horizon_weeks: int = 8, windows: int = 3) -> Case:
    """Items by week; the windows follow each other."""
    dataset = walmart()
    grain = Grain.parse("product,location:week")
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    days = 7 * horizon_weeks
    return Case(
        f"Demand: M5 TX_3 FOODS_3, item by week, {horizon_weeks} weeks ahead, prices and events "
        "known",
        dataset,
        grain,
        days,
        last_windows(dataset, days, windows),
        lambda origin: _started(dataset, grain, keys, origin),
    )


def ta_feng() -> Dataset:
    """Read the sales of Ta-Feng: four months, without promotions and planned prices."""
    raw = pl.read_parquet(SHARED / "ta_feng.parquet")
    sales = (
        raw.with_columns(
            pl.col("transaction_dt").cast(pl.Date).cast(pl.Int32).alias("day"),
            quantity=pl.col("amount").clip(upper_bound=24).cast(pl.Float64),
            location_id=pl.lit("1"),
        )
        .group_by("product_id", "location_id", "day")
        .agg(pl.col("quantity").sum())
    )
    products = raw.select("product_id", category=pl.col("product_subclass").cast(pl.String))
    products = products.unique("product_id")
    return Dataset.from_frames("ta-feng", {"sales": sales, "products": products})


def ta_feng_orders() -> Dataset:
    """Read Ta-Feng as orders: one order a customer and day."""
    raw = pl.read_parquet(SHARED / "ta_feng.parquet")
    orders = raw.select(
        "customer_id",
        "product_id",
        pl.format("{}/{}", "customer_id", "transaction_dt").alias("order_id"),
        pl.col("transaction_dt").cast(pl.Datetime("us")).alias("ts"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
        pl.col("amount").cast(pl.Float64).alias("quantity"),
        pl.col("sales_price").cast(pl.Float64).alias("revenue"),
    )
    products = raw.select("product_id", category=pl.col("product_subclass").cast(pl.String))
    frames = {"orders": orders, "products": products.unique("product_id", keep="first")}
    return Dataset.from_frames("ta-feng", frames)


def ta_feng_case(text: str, horizon_days: int) -> Case:
    """Steady series of Ta-Feng at a grain."""
    dataset, grain = ta_feng(), Grain.parse(text)
    return Case(
        f"Demand: Ta-Feng, {text}, {horizon_days} days ahead",
        dataset,
        grain,
        horizon_days,
        [dataset.end - timedelta(days=horizon_days + 7 * k) for k in (2, 1, 0)],
        lambda origin: _steady(dataset, grain, origin),
    )


def journey_days(home: Path) -> Case:
    """Categories by day: dense daily series with promotions."""
    return _journey_case(home, "category:day", "category by day, 28 days ahead")


def journey_shops(home: Path) -> Case:
    """Categories by shop and week: sparse series with promotions by shop."""
    text = "category by shop and week, 4 weeks ahead"
    return _journey_case(home, "category,location:week", text)


def _journey_case(home: Path, grain_text: str, description: str) -> Case:
    dataset, grain = journey(home), Grain.parse(grain_text)
    return Case(
        f"Demand: bundled data, {description}, promotions known",
        dataset,
        grain,
        28,
        after_weeks(40, 44, 48),
        lambda origin: _steady(dataset, grain, origin),
    )


def last_windows(dataset: Dataset, horizon_days: int, windows: int) -> list[datetime]:
    """Return the origins of the last windows of a horizon's length, which follow each other."""
    return [dataset.end - timedelta(days=horizon_days * k) for k in range(windows, 0, -1)]


def _started(dataset: Dataset, grain: Grain, keys: pl.DataFrame, origin: datetime) -> pl.DataFrame:
    """Keep the series with a first sale more than 28 days before the origin."""
    index = all_series(dataset, grain).index.collect().to_polars()
    started = index.filter(pl.col("first_day") < to_day(origin) - 28)
    return keys.join(started, on=grain.keys, how="semi").sort(grain.keys)


def _steady(dataset: Dataset, grain: Grain, origin: datetime, maximum: int = 1_500) -> pl.DataFrame:
    """Return a sample of the series with steady sales before the origin."""
    steady = steady_series(dataset, grain, to_day(origin)).collect().to_polars()
    order = pl.concat_str(grain.keys, separator="|").hash(seed=11)
    return steady.sort(order).head(maximum).sort(grain.keys)


def revenue_weights(dataset: Dataset, grain: Grain) -> Callable[[datetime, pl.DataFrame], Floats]:
    """Return a function: weights of series by revenue in the 28 days before an origin."""
    sales = dataset.table("sales").collect().to_polars()

    def weights(origin: datetime, keys: pl.DataFrame) -> Floats:
        day = to_day(origin)
        recent = sales.filter(pl.col("day").is_between(day - 28, day - 1))
        revenue = (pl.col("quantity") * pl.col("price")).sum().alias("revenue")
        joined = keys.join(recent.group_by(grain.keys).agg(revenue), on=grain.keys, how="left")
        return joined.get_column("revenue").fill_null(0.0).to_numpy()

    return weights
