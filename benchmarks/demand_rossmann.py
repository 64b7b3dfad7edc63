"""Rossmann drug stores: the tasks of fev-bench, 28 days and 39 weeks ahead.

The promotions, the school and state holidays and the opening days are known ahead. Closed days sell
nothing. Revenue by shop is the quantity of one product.

Protocol of fev-bench (arXiv 2509.26468): windows of a horizon's length that follow each other up
to the end of the records; measures are means over windows; WQL is over the levels .1 to .9.
"""

from datetime import datetime

import polars as pl
from demand_cases import SHARED, Case, last_windows

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.series import all_series

SHOPS = 1_115
# Results files of fev-bench.
PUBLISHED = {
    "day": {
        "TabPFN-TS-3 (published)": {"WAPE": 0.102, "WQL": 0.082},
        "LightGBM by mlforecast, tuned (published)": {"WAPE": 0.113},
        "Chronos-2 (published)": {"WAPE": 0.120, "WQL": 0.095},
        "seasonal naive (published)": {"WAPE": 0.269},
    },
    "week": {
        "TabPFN-TS-3 (published)": {"WAPE": 0.079},
        "Chronos-2 (published)": {"WAPE": 0.096},
        "LightGBM by mlforecast, tuned (published)": {"WAPE": 0.188},
        "seasonal naive (published)": {"WAPE": 0.219},
    },
}


def rossmann(shops: int = SHOPS) -> Dataset:
    """Read the first shops with their attributes, promotions, holidays and opening days."""
    chosen = pl.col("Store").cast(pl.Int64) <= shops
    raw = pl.read_parquet(SHARED / "rossmann.parquet").filter(chosen)
    place, day = pl.col("Store").cast(pl.String), pl.col("Date").cast(pl.Date).cast(pl.Int32)
    raw = raw.with_columns(place.alias("location_id"), day.alias("day"))
    sales = raw.select(
        "location_id",
        "day",
        product_id=pl.lit("all"),
        quantity=pl.col("Sales").cast(pl.Float64),
    )
    locations = raw.select("location_id", shop_type="StoreType", assortment="Assortment").unique()
    # The file names the last day of a run, the table the day after it.
    promotions = pl.read_parquet(SHARED / "rossmann_promotions.parquet").select(
        "kind",
        pl.col("from_day").cast(pl.Date).cast(pl.Int32),
        pl.col("to_day").cast(pl.Date).cast(pl.Int32) + 1,
        product_id=pl.lit("all"),
    )
    columns = ["location_id", "day", "name", "value", "known_ahead"]
    covariates = pl.read_parquet(SHARED / "rossmann_covariates.parquet").filter(chosen)
    covariates = covariates.with_columns(place.alias("location_id"), day.alias("day"))
    # Known of open shops; it is the mean over them where a shop is closed.
    state_holidays = raw.with_columns(
        name=pl.lit("state_holiday"),
        value=(pl.col("StateHoliday").cast(pl.String) != "0").cast(pl.Float64),
        known_ahead=pl.lit(value=True),
    )
    tables = {
        "sales": sales,
        "promotions": promotions,
        "covariates": pl.concat([covariates.select(columns), state_holidays.select(columns)]),
        "locations": locations.sort("location_id"),
    }
    return Dataset.from_frames("rossmann", tables)


def rossmann_case(freq: str, horizon_days: int, shops: int = SHOPS, windows: int = 1) -> Case:
    """Shops by day or by week, in the last windows; closed days count as zero."""
    dataset, grain = rossmann(shops), Grain.parse(f"product,location:{freq}")
    ahead = f"{horizon_days // grain.days} {freq}s ahead"
    return Case(
        f"Demand: Rossmann, shop by {freq}, {ahead}, promotions known",
        dataset,
        grain,
        horizon_days,
        last_windows(dataset, horizon_days, windows),
        lambda origin: _begun(dataset, grain, origin),
        note=f"The first {shops} shops." if shops < SHOPS else "",
        country="DE",
    )


def fev_days(shops: int = SHOPS) -> Case:
    """fev-bench `rossmann_1D`: 48 days ahead, ten windows."""
    case = rossmann_case("day", 48, shops, windows=10)
    case.published.update(PUBLISHED["day"])
    return case


def fev_weeks(shops: int = SHOPS) -> Case:
    """fev-bench `rossmann_1W`: 13 weeks ahead, eight windows."""
    case = rossmann_case("week", 91, shops, windows=8)
    case.published.update(PUBLISHED["week"])
    return case


def open_days(shops: int = SHOPS) -> Case:
    """28 days ahead at three origins; the measures leave out closed days."""
    dataset, grain = rossmann(shops), Grain.parse("product,location:day")
    return Case(
        "Demand: Rossmann, shop by day, 28 days ahead, open days, promotions known",
        dataset,
        grain,
        28,
        [datetime(2015, 5, 9), datetime(2015, 6, 6), datetime(2015, 7, 4)],
        lambda origin: _begun(dataset, grain, origin),
        note=f"The first {shops} shops." if shops < SHOPS else "",
        country="DE",
        only_sold=True,
    )


def _begun(dataset: Dataset, grain: Grain, origin: datetime) -> pl.DataFrame:
    index = all_series(dataset, grain).index.collect().to_polars()
    return index.filter(pl.col("first_day") < to_day(origin)).select(grain.keys).sort(grain.keys)
