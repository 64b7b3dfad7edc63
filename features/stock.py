"""Stock: the table of stock in, the days on which a product was out of stock.

The table may hold snapshots, changes only, or nothing but stock-outs, and may end before the
records do: the last record of a product and location carries forward. Demand and the recommender
read the same days.
"""

import narwhals as nw
import polars as pl

from features.calendar import day_start
from features.dataset import Dataset
from features.demand.series import unit_lines
from features.typing import Frame

ENTITY = ("product_id", "location_id")
# A record carries forward beyond the last reported day of its location by so many of the usual
# intervals between reported days, and at least by a week.
CARRIED_INTERVALS = 4
LEAST_CARRIED_DAYS = 7


def out_of_stock_at(dataset: Dataset, day: int) -> pl.DataFrame:
    """Return the last known stock at the start of a day: product_id, location_id and `out`.

    A null location means every location. A product that was sold since its record is not `out`.
    Pairs without a record that still holds have no row.
    """
    rows = _with_sales(dataset, _records(dataset, day), day)
    rows = rows.filter(pl.col("next").is_null(), pl.col("carried_until") > day)
    out = (pl.col("on_hand") <= 0) & pl.col("next_sale").is_null()
    return rows.select(*ENTITY, out.alias("out"))


def days_out_of_stock(dataset: Dataset, day: int) -> pl.DataFrame:
    """Return the days before a day on which products were out of stock.

    A record holds until the next one of its product and location, while its location is reported.
    A day with a sale is not without stock, whatever its record says, and a sale on a later day
    than the record's shows that the product is back.

    Returns
    -------
    polars.DataFrame
        product_id, location_id (null: every location) and day; no row twice.
    """
    rows = _with_sales(dataset, _records(dataset, day), day).filter(pl.col("on_hand") <= 0)
    start = pl.col("day") + pl.col("sold").cast(pl.Int32)
    end = pl.min_horizontal("next", "next_sale", "carried_until", pl.lit(day, pl.Int32))
    days = pl.int_ranges(start, end, dtype=pl.Int32).alias("day")
    return rows.filter(start < end).select(*ENTITY, days).explode("day")


def restocked_products(dataset: Dataset, day: int, days: int) -> pl.Series:
    """Return product_id of the products that came back into stock in the days before a day."""
    if not dataset.has("stock", "product_id", "on_hand"):
        return pl.Series("product_id", [], pl.String)
    before = nw.col("on_hand").shift(1).over(*ENTITY, order_by="day").alias("before")
    rows = _known_stock(dataset, day).with_columns(before)
    back = rows.filter(nw.col("before") <= 0, nw.col("on_hand") > 0, nw.col("day") >= day - days)
    return back.select("product_id").unique().collect().to_polars().to_series()


def _known_stock(dataset: Dataset, day: int) -> Frame:
    """Return the records before a day, with a null location where the table has none."""
    table = dataset.known("stock", day_start(day))
    if "location_id" in dataset.columns("stock"):
        return table
    return table.with_columns(nw.lit(None, nw.String).alias("location_id"))


def _records(dataset: Dataset, day: int) -> pl.DataFrame:
    """Return the records before a day that some period or list depends on.

    Returns
    -------
    polars.DataFrame
        product_id, location_id, day, on_hand, `next` (day from which another record holds; null
        for the last one) and `carried_until` (day from which it holds no longer, in any case).
        Positive records that another follows are left out.
    """
    table = _known_stock(dataset, day)
    following = nw.col("day").shift(-1).over(*ENTITY, order_by="day").alias("next")
    rows = table.select(*ENTITY, "day", "on_hand", following)
    rows = rows.filter((nw.col("on_hand") <= 0) | nw.col("next").is_null())
    records = rows.collect().to_polars()
    joined = records.join(_reported_days(table), on=["location_id", "day"], nulls_equal=True)
    if table.select((nw.col("on_hand") > 0).any()).collect().item():
        return joined.drop("last_day")
    # The table lists stock-outs: a row holds for its day alone, unless no later day is listed.
    ended = pl.when(pl.col("day") < pl.col("last_day")).then(pl.col("day") + 1)
    return joined.with_columns(next=pl.coalesce(ended, "next")).drop("last_day")


def _reported_days(table: Frame) -> pl.DataFrame:
    """Return the days of each location with a record.

    Returns
    -------
    polars.DataFrame
        location_id, day, `last_day` (of the location) and `carried_until`: the day on which
        records of this day that no other follows cease to hold.
    """
    days = table.select("location_id", "day").unique().collect().to_polars()
    days = days.sort("location_id", "day")
    gap = pl.col("day").diff()
    carried = pl.max_horizontal(CARRIED_INTERVALS * gap.median(), pl.lit(LEAST_CARRIED_DAYS))
    return (
        days.with_columns(
            gap.over("location_id").alias("gap"),
            carried.cast(pl.Int32).over("location_id").alias("carried"),
            pl.col("day").max().over("location_id").alias("last_day"),
        )
        .with_columns(
            (pl.col("gap") > pl.col("carried"))
            .fill_null(value=False)
            .cum_sum()
            .over("location_id")
            .alias("run")
        )
        .select(
            "location_id",
            "day",
            "last_day",
            (pl.col("day").max().over("location_id", "run") + pl.col("carried") + 1).alias(
                "carried_until"
            ),
        )
    )


def _with_sales(dataset: Dataset, rows: pl.DataFrame, day: int) -> pl.DataFrame:
    """Add `sold`, whether the product was sold on the record's day, and the `next_sale` day.

    Neither is known if sales cannot be assigned to days, or to the locations of stock.
    """
    locations = rows.get_column("location_id").unique()
    located = dataset.has(dataset.records, "location_id") and locations.null_count() == 0
    if dataset.period_days > 1 or not (located or len(locations) <= 1):
        return rows.with_columns(sold=pl.lit(value=False), next_sale=pl.lit(None, pl.Int32))
    by = list(ENTITY) if located else ["product_id"]
    lines = unit_lines(dataset).filter(nw.col("day") < day).select(*by, "day").unique()
    sales = lines.collect().to_polars().join(rows.select(by).unique(), on=by, how="semi")
    sales = sales.with_columns(next_sale="day").sort("day")
    return (
        rows.sort("day")
        .join_asof(
            sales,
            on="day",
            by=by,
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .join(sales.select(*by, "day", sold=pl.lit(value=True)), on=[*by, "day"], how="left")
        .with_columns(pl.col("sold").fill_null(value=False))
    )
