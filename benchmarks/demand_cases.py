"""The questions on which demand forecasts are compared: records, grain, origins, series.

Used by demand_peers.py. The bundled data are imported where they are not yet; the further real
data are read from the folder that FORESELL_SHARED_DATA names.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset, open_dataset
from features.demand.grain import Grain
from features.demand.series import all_series, steady_series, units_matrix
from features.ingest.pipeline import import_tables
from features.ingest.sources import complete_journey

Floats = NDArray[np.float64]
SHARED = Path(os.environ.get("FORESELL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIRST_MONDAY = "2017-01-02"


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes
    ----------
    title
        Of its table.
    dataset, grain, horizon_days, origins
        The question.
    series
        (origin) -> keys of the series that are judged.
    weights
        (origin, keys) -> weight of each series in WRMSSE; equal by default.
    note
        What a reader must know.
    classics
        How many series the models of statsforecast are run on; none by default.
    """

    title: str
    dataset: Dataset
    grain: Grain
    horizon_days: int
    origins: list[datetime]
    series: Callable[[datetime], pl.DataFrame]
    weights: Callable[[datetime, pl.DataFrame], Floats] | None = None
    note: str = ""
    classics: int = 0


def journey(home: Path) -> Dataset:
    """Open the bundled data set; import it where it is not there yet."""
    if not (home / "datasets" / complete_journey.NAME / "HEAD").exists():
        import_tables(home, complete_journey.NAME, complete_journey.read(), 0.05)
    return open_dataset(home, complete_journey.NAME)


def after_weeks(*weeks: int) -> list[datetime]:
    """Return the ends of full weeks of the bundled year."""
    return [datetime.fromisoformat(FIRST_MONDAY) + timedelta(days=7 * week) for week in weeks]


def journey_weeks(home: Path) -> Case:
    """Products by week under the protocol of the recorded figures."""
    dataset = journey(home)
    return Case(
        "Demand: bundled data, product by week, 8 weeks ahead, promotions known",
        dataset,
        Grain.parse("product:week"),
        56,
        after_weeks(28, 36, 44),
        lambda _: _sellers(dataset, 28.0, 2_500),
        note="2,500 products with 28 units in the first 28 full weeks; ends of weeks 28, 36, 44.",
    )


def journey_prices(home: Path) -> Case:
    """Fast movers with the price of each week known, as it was paid."""
    dataset = with_paid_prices(journey(home))
    return Case(
        "Demand: bundled data, fast movers by week, promotions and prices known",
        dataset,
        Grain.parse("product:week"),
        56,
        after_weeks(28, 36, 44),
        lambda _: _sellers(dataset, 8.5 * 28, 681),
        note="Products with 8.5 units a week in the first 28 weeks (at most 681); the price plan "
        "is the median price paid in each week, the last one where nothing sold.",
    )


def _sellers(dataset: Dataset, units: float, most: int) -> pl.DataFrame:
    grain = Grain.parse("product:week")
    day = to_day(after_weeks(28)[0])
    keys = all_series(dataset, grain).index.select("product_id").collect().to_polars()
    sold = units_matrix(dataset, grain, day, -28, keys).sum(axis=1)
    chosen = keys.filter(pl.Series(sold >= units))
    return chosen.sort(pl.col("product_id").hash(seed=11)).head(most).sort("product_id")


def with_paid_prices(dataset: Dataset) -> Dataset:
    """Add a price list: the median price paid for a unit by product and week."""
    orders = dataset.table("orders").filter(dataset_sale()).collect().to_polars()
    phase = to_day(FIRST_MONDAY) % 7
    week = ((pl.col("day") - phase) // 7 * 7 + phase).cast(pl.Int32).alias("from_day")
    paid = (pl.col("revenue") / pl.col("quantity")).round(2).median().alias("price")
    prices = orders.filter(pl.col("quantity") > 0).group_by("product_id", week).agg(paid)
    prices = prices.with_columns(location_id=pl.lit(None, dtype=pl.String))
    added = Dataset.from_frames("prices", {"prices": prices}).tables
    return Dataset(dataset.name, dataset.snapshot + "+prices", {**dataset.tables, **added})


def dataset_sale() -> object:
    """Select sales among order lines."""
    import narwhals as nw

    return nw.col("kind") == "sale"


def walmart() -> Dataset:
    """M5's store TX_3, department FOODS_3, with prices and the calendar of events."""
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
    """Items by day, 28 days ahead, as the competition asked."""
    dataset = walmart()
    grain = Grain.parse("product,location:day")
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    return Case(
        "Demand: M5 TX_3 FOODS_3, item by day, 28 days ahead, prices and events known",
        dataset,
        grain,
        28,
        [dataset.end - timedelta(days=28 * k) for k in (3, 2, 1)],
        lambda origin: _begun(dataset, grain, keys, origin),
        weights=revenue_weights(dataset, grain),
        note="The last three windows of 28 days; WRMSSE weighs items by their revenue in the 28 "
        "days before. Totals are sums over all items.",
        classics=60,
    )


def walmart_weeks() -> Case:
    """Items by week, 8 weeks ahead."""
    dataset = walmart()
    grain = Grain.parse("product,location:week")
    keys = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    return Case(
        "Demand: M5 TX_3 FOODS_3, item by week, 8 weeks ahead, prices and events known",
        dataset,
        grain,
        56,
        [dataset.end - timedelta(days=56 * k) for k in (3, 2, 1)],
        lambda origin: _begun(dataset, grain, keys, origin),
    )


def ta_feng() -> Dataset:
    """Open Ta-Feng's log: four months, no promotions, no prices ahead."""
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


def ta_feng_case(text: str, horizon_days: int) -> Case:
    """Forecast Ta-Feng at a grain, steady sellers only."""
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
    """Forecast categories of the bundled data by day: dense daily series with promotions."""
    return _journey_case(home, "category:day", "category by day, 28 days ahead")


def journey_shops(home: Path) -> Case:
    """Forecast categories by shop and week: sparse series with promotions by shop."""
    text = "category by shop and week, 4 weeks ahead"
    return _journey_case(home, "category,location:week", text)


def _journey_case(home: Path, grain_text: str, question: str) -> Case:
    dataset, grain = journey(home), Grain.parse(grain_text)
    return Case(
        f"Demand: bundled data, {question}, promotions known",
        dataset,
        grain,
        28,
        after_weeks(40, 44, 48),
        lambda origin: _steady(dataset, grain, origin),
    )


def _begun(dataset: Dataset, grain: Grain, keys: pl.DataFrame, origin: datetime) -> pl.DataFrame:
    """Keep the series that had sold before the origin."""
    index = all_series(dataset, grain).index.collect().to_polars()
    begun = index.filter(pl.col("first_day") < to_day(origin) - 28)
    return keys.join(begun, on=grain.keys, how="semi").sort(grain.keys)


def _steady(dataset: Dataset, grain: Grain, origin: datetime, most: int = 1_500) -> pl.DataFrame:
    steady = steady_series(dataset, grain, to_day(origin)).collect().to_polars()
    order = pl.concat_str(grain.keys, separator="|").hash(seed=11)
    return steady.sort(order).head(most).sort(grain.keys)


def revenue_weights(dataset: Dataset, grain: Grain) -> Callable[[datetime, pl.DataFrame], Floats]:
    """Weigh series by their revenue in the 28 days before an origin."""
    sales = dataset.table("sales").collect().to_polars()

    def weights(origin: datetime, keys: pl.DataFrame) -> Floats:
        day = to_day(origin)
        recent = sales.filter(pl.col("day").is_between(day - 28, day - 1))
        money = (pl.col("quantity") * pl.col("price")).sum().alias("money")
        found = keys.join(recent.group_by(grain.keys).agg(money), on=grain.keys, how="left")
        return found.get_column("money").fill_null(0.0).to_numpy()

    return weights
