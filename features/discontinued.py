"""Discontinued products: sales and planned promotions in, products that are no longer sold out.

A product is judged by its own selling days, so that one sold once a quarter, or each December, does
not count as discontinued in between. Lists and forecasts share the definition.
"""

import narwhals as nw
import polars as pl

from features.calendar import last_covered_day
from features.dataset import Dataset
from features.demand.series import unit_lines
from features.memo import memo
from features.stock import restocked_products

# Days without a sale from which on a product may count as discontinued: shorter stock-outs are
# common. On the bundled data 93 to 96 % of the products so found do not sell within eight weeks, 89
# to 92 % where no promotions ahead are known.
LEAST_DAYS = 56
# Multiple of the longest pause between two selling days so far.
LEAST_PAUSES = 2
# Largest probability of so long a pause at the product's own rate.
SIGNIFICANCE = 0.001


def discontinued_products(dataset: Dataset, day: int) -> pl.Series:
    """Return the products that are no longer sold at the start of a day, by the sales before it.

    The pause since the last sale is too long for the rate at which the product was sold between
    its first and last selling day (Solow 1993, "Inferring extinction from sighting data"), and
    over twice the longest former one. A product with a promotion planned in the next `LEAST_DAYS`
    is not discontinued.

    Returns
    -------
    polars.Series
        product_id, ascending.
    """
    unsold = products_without_sales(dataset, day)
    if unsold.is_empty():
        return unsold
    ahead = (pl.col("to_day") > day) & (pl.col("from_day") < day + LEAST_DAYS)
    promoted = promoted_days(dataset).filter(ahead).get_column("product_id").unique()
    return unsold.filter(~unsold.is_in(promoted.implode()))


@memo("promotions")
def promoted_days(dataset: Dataset) -> pl.DataFrame:
    """Return the days of each product's promotions, anywhere and of any kind.

    Returns
    -------
    polars.DataFrame
        product_id, from_day and to_day, the day after the last one; no row twice.
    """
    columns = ("product_id", "from_day", "to_day")
    if not dataset.has("promotions", *columns):
        return pl.DataFrame(
            schema={"product_id": pl.String, "from_day": pl.Int32, "to_day": pl.Int32}
        )
    return dataset.table("promotions").select(columns).unique().collect().to_polars()


@memo("orders", "sales", "stock")
def products_without_sales(dataset: Dataset, day: int) -> pl.Series:
    """Return the products that have not been sold for an improbably long time before a day.

    Time is counted in days on which anything was sold: a closure of all locations is no pause.
    Products that came back into stock within `LEAST_DAYS` are left out.
    """
    if not dataset.has(dataset.records, "product_id"):
        return pl.Series("product_id", [], pl.String)
    known = unit_lines(dataset)
    known = known.filter(last_covered_day(nw.col("day"), dataset.period_days) < day)
    last = known.group_by("product_id").agg(nw.col("day").max().alias("last_day"))
    silent = last.filter(nw.col("last_day") < day - LEAST_DAYS)
    selling = known.join(silent, on="product_id", how="semi").select("product_id", "day")
    open_days = known.select("day").unique().collect().to_polars().to_series().sort()
    number = pl.col("day").replace_strict(open_days, range(len(open_days)), return_dtype=pl.Int64)
    products = (
        selling.unique()
        .collect()
        .to_polars()
        .sort("day")
        .with_columns(number.alias("number"))
        .group_by("product_id")
        .agg(
            pl.len().cast(pl.Int64).alias("days"),
            (pl.col("number").max() - pl.col("number").min()).alias("span"),
            pl.col("number").diff().max().alias("longest"),
            (len(open_days) - 1 - pl.col("number").max()).alias("pause"),
        )
    )
    chance = (pl.col("span") / (pl.col("span") + pl.col("pause"))) ** (pl.col("days") - 1)
    restocked = restocked_products(dataset, day, LEAST_DAYS)
    unsold = products.filter(
        pl.col("days") > 1,
        pl.col("pause") > LEAST_PAUSES * pl.col("longest"),
        chance < SIGNIFICANCE,
        ~pl.col("product_id").is_in(restocked.implode()),
    )
    return unsold.get_column("product_id").sort()
