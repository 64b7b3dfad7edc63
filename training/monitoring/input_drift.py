"""Drift of a dataset's records: those of the newest period beside those of the periods before.

A dataset in, one `Check` per property out. A period is a week, or what a row of records covers if
that is longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import to_date
from features.dataset import Dataset
from features.typing import Floats
from training.monitoring.checks import Check

# Periods before the newest one that say what is usual, and the fewest that can.
REFERENCE_PERIODS = 8
MIN_PERIODS = 4
# A value is unusual beyond the usual range by this factor.
VOLUME_FACTOR, PRICE_FACTOR = 1.5, 1.25
# The share of known ids is unusual below this part of the least usual one.
KNOWN_FACTOR = 0.6
# A group that had so many records in every period does not vanish by chance.
MIN_RECORDS = 20
# A new group is reported from this share of the records on.
NEW_SHARE = 0.05
# A table is late after twice the longest pause between its days that this share is within.
USUAL_SHARE = 0.99
MIN_ALLOWED_DAYS = 3
_GROUPS = ("location_id", "channel", "department")
_NAMED = 5


@dataclass(frozen=True)
class Periods:
    """Recent sales, each with its period: 0 is the newest, older ones count upwards.

    Attributes
    ----------
    rows
        `period`, `day`, and as far as the records have them product_id, customer_id, location_id,
        channel, department and price (paid, or the unit price).
    count
        Number of periods.
    first_day, days
        First day of the newest period, and the days of each.
    """

    rows: pl.DataFrame
    count: int
    first_day: int
    days: int

    @classmethod
    def newest(cls, dataset: Dataset) -> Self:
        """Read the newest complete periods, up to `REFERENCE_PERIODS` and the one after them."""
        first, last = dataset.days
        days = max(7, dataset.period_days)
        count = min(REFERENCE_PERIODS + 1, (last + 1 - first) // days)
        records = dataset.known(dataset.records, dataset.end)
        known = records.collect_schema().names()
        ids = ("product_id", "customer_id", "location_id", "channel")
        wanted = [name for name in ("day", *ids) if name in known]
        prices = {
            "revenue": (nw.col("revenue") / nw.col("quantity")).alias("price"),
            "price": nw.col("price"),
        }
        price = next((prices[name] for name in prices if name in known), None)
        columns = [nw.col(name) for name in wanted] + ([] if price is None else [price])
        recent = nw.col("day") > last - count * days
        rows = records.filter(recent, nw.col("quantity") > 0).select(columns).collect().to_polars()
        if dataset.has("products", "department") and "product_id" in wanted:
            products = dataset.table("products").select("product_id", "department")
            rows = rows.join(products.collect().to_polars(), on="product_id", how="left")
        period = ((last - pl.col("day").cast(pl.Int64)) // days).alias("period")
        return cls(rows.with_columns(period), count, last + 1 - days, days)

    @property
    def suffice(self) -> bool:
        """Whether there are enough periods to say what is usual."""
        return self.count > MIN_PERIODS

    def has(self, column: str) -> bool:
        """Whether the records have a column with values."""
        return column in self.rows.columns and self.rows[column].null_count() < self.rows.height

    def counts(self, *by: str) -> pl.DataFrame:
        """Count rows by period and further columns."""
        return self.rows.group_by("period", *by).len()

    def series(self, value: pl.Expr) -> Floats:
        """Aggregate rows by period, the newest first; NaN for periods without rows."""
        values = self.rows.group_by("period").agg(value.cast(pl.Float64).alias("value"))
        every = pl.DataFrame({"period": np.arange(self.count)})
        joined = every.join(values, on="period", how="left", maintain_order="left")
        return joined.get_column("value").fill_null(np.nan).to_numpy()


def input_drift(dataset: Dataset) -> list[Check]:
    """Compare the newest period of the records with those before it.

    Volume, ids that are known, prices, groups that vanish or are new, and tables that end are
    checked. With fewer than five periods nothing is usual yet, and only tables are checked.
    """
    checks = list(_tables(dataset))
    periods = Periods.newest(dataset)
    if periods.suffice:
        checks += [_volume(periods), *_known_ids(dataset, periods), *_prices(periods)]
        checks += [check for group in _GROUPS for check in _groups(periods, group)]
    return checks


def _volume(periods: Periods) -> Check:
    counts = np.nan_to_num(periods.series(pl.len()))
    return _beside(
        "records",
        counts,
        VOLUME_FACTOR,
        "sales records in the newest period; see whether a source delivers twice or in part",
    )


def _known_ids(dataset: Dataset, periods: Periods) -> Iterator[Check]:
    """Compare shares of records whose customer or product was there before the record's period."""
    for column, what in (("customer_id", "customers"), ("product_id", "products")):
        if not periods.has(column):
            continue
        records = dataset.known(dataset.records, dataset.end)
        seen = records.group_by(column).agg(nw.col("day").min().alias("first_seen"))
        first_seen = seen.collect().to_polars()
        starts = periods.first_day - pl.col("period") * periods.days
        named = periods.rows.join(first_seen, on=column, how="left")
        shares = Periods(
            named.select("period", (pl.col("first_seen") < starts).fill_null(value=False)),
            periods.count,
            periods.first_day,
            periods.days,
        ).series(pl.col("first_seen").mean())
        usual = shares[1:][~np.isnan(shares[1:])]
        low = KNOWN_FACTOR * float(usual.min()) if len(usual) else 0.0
        value = float(np.nan_to_num(shares[0]))
        ok = value >= low
        detail = f"{value:.0%} of the newest records have {what} known before"
        if not ok:
            detail += (
                f"; usually at least {usual.min():.0%}. See whether the format of {column} "
                "changed, and link or import the ids again"
            )
        yield Check("input", f"known {what}", value, low, None, ok, detail)


def _prices(periods: Periods) -> Iterator[Check]:
    """Compare prices of products with their own prices in the other periods."""
    if not (periods.has("price") and periods.has("product_id")):
        return
    mean = periods.rows.filter(pl.col("price") > 0).group_by("product_id", "period")
    prices = mean.agg(pl.col("price").median(), pl.len())
    level = pl.col("price").filter(pl.col("period") > 0).median().over("product_id")
    ratios = prices.with_columns((pl.col("price") / level).alias("ratio")).drop_nulls("ratio")
    weighted = ratios.select("period", pl.col("ratio").repeat_by("len")).explode("ratio")
    values = Periods(weighted, periods.count, periods.first_day, periods.days).series(
        pl.col("ratio").median()
    )
    yield _beside(
        "prices",
        values,
        PRICE_FACTOR,
        "median of a product's price over its usual one; see whether unit or currency changed",
    )


def _groups(periods: Periods, column: str) -> Iterator[Check]:
    """Name groups that had records in every period and have none now, and large new ones."""
    if not periods.has(column):
        return
    counts = periods.counts(column).drop_nulls(column)
    newest = counts.filter(pl.col("period") == 0)
    usual = counts.filter(pl.col("period") > 0).group_by(column)
    steady = usual.agg(pl.len().alias("periods"), pl.col("len").min().alias("least")).filter(
        pl.col("periods") == periods.count - 1, pl.col("least") >= MIN_RECORDS
    )
    vanished = steady.join(newest, on=column, how="anti").get_column(column).sort().to_list()
    share = pl.col("len") / pl.col("len").sum()
    large = newest.filter(pl.col("len") >= MIN_RECORDS, share >= NEW_SHARE)
    new = large.join(usual.agg(), on=column, how="anti").get_column(column).sort().to_list()
    what = column.removesuffix("_id")
    yield _named(
        f"vanished {what}s",
        vanished,
        f"{what}s with records in every period before and none in the newest one",
        "tell the closures by a covariate `open`, or see why the records stopped",
    )
    yield _named(
        f"new {what}s",
        new,
        f"{what}s with at least {NEW_SHARE:.0%} of the newest records and none before",
        "see whether their ids changed; forecasts of them rest on similar ones",
    )


def _tables(dataset: Dataset) -> Iterator[Check]:
    """Find tables of past events and of plans that ended before the records did."""
    last = dataset.days[1]
    for table, column in _dated(dataset):
        rows = dataset.table(table).select(column).unique().collect().to_polars()
        days = np.sort(rows.get_column(column).drop_nulls().cast(pl.Int64).to_numpy())
        if len(days) <= MIN_PERIODS:
            continue
        usual = int(np.quantile(np.diff(days), USUAL_SHARE, method="higher"))
        allowed = max(MIN_ALLOWED_DAYS, 2 * usual)
        behind = max(last - int(days[-1]), 0)
        ok = behind <= allowed
        detail = f"{table} reach {to_date(int(days[-1]))}"
        if not ok:
            detail += (
                f", {behind} days before the records end; usual pauses allow {allowed}. Deliver "
                "it again, or remove the table if it has ended"
            )
        yield Check("input", f"{table} go on", behind, None, allowed, ok, detail)


def _dated(dataset: Dataset) -> list[tuple[str, str]]:
    """Return tables besides the records, with the column of their days."""
    columns = {
        "touchpoints": "day",
        "stock": "day",
        "promotions": "from_day",
        "prices": "from_day",
        "covariates": "day",
    }
    return [(table, column) for table, column in columns.items() if dataset.has(table, column)]


def _beside(name: str, values: Floats, factor: float, what: str) -> Check:
    """Check the newest value against the range of those before, widened by a factor."""
    usual = values[1:][~np.isnan(values[1:])]
    value = float(np.nan_to_num(values[0]))
    low, high = float(usual.min()) / factor, float(usual.max()) * factor
    ok = low <= value <= high
    detail = (
        f"{value:,.4g} {what}" if ok else f"{value:,.4g}, usually {low:,.4g} to {high:,.4g}: {what}"
    )
    return Check("input", name, value, low, high, ok, detail)


def _named(name: str, groups: list[str], what: str, remedy: str) -> Check:
    if not groups:
        return Check("input", name, 0.0, None, 0.0, ok=True, detail=f"no {what}")
    more = f" and {len(groups) - _NAMED} more" if len(groups) > _NAMED else ""
    detail = f"{', '.join(groups[:_NAMED])}{more}: {what}; {remedy}"
    return Check("input", name, float(len(groups)), None, 0.0, ok=False, detail=detail)
