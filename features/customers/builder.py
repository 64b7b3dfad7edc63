"""Customer features at an instant: how each customer buys, one row per customer.

In: order lines, and the tables `products`, `touchpoints` and `customers` where there are any. Out:
one row per customer with a purchase. Lines are first collapsed to customer-days with integer sums,
which are equal to the last bit whatever the order of rows.
"""

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID, DAY, LOCATION_ID, PRODUCT_ID
from features.customers.attributes import attribute_columns, attributes
from features.customers.channels import channel_mix, several_channels
from features.customers.integer_sums import MONEY_UNIT
from features.customers.touchpoints import COUNTS, touchpoint_counts
from features.customers.visit_features import visit_aggregates, visit_features, visit_measures
from features.dataset import Dataset
from features.returns import IS_PURCHASE, net_lines
from features.typing import Frame

KEY = [CUSTOMER_ID, DAY]


def customers(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe how each customer buys, from what was known at `as_of`.

    Parameters
    ----------
    dataset
        Requires `orders` with `customer_id`; uses revenue, discount, product_id, location_id,
        channel and kind, and the tables `products`, `touchpoints` and `customers`, where there
        are any.
    as_of
        Records before it are read; records at or after it are not.

    Returns
    -------
    narwhals.LazyFrame
        One row per customer with a purchase, in no particular order. A visit is a day with a
        purchase. Durations are in days between dates. Money is relative to the median spend of
        visits that have any, so that features do not depend on the currency. Features that need
        more history than a customer has are null.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    return summarise(customer_days(dataset, as_of), dataset, as_of)


def customer_days(dataset: Dataset, as_of: AsOf) -> Frame:
    """Collapse order lines known at `as_of` to one row per customer and day.

    Without returns, the row of a day before `as_of` does not depend on `as_of`: the rows known at
    an earlier midnight are those with a smaller `day`.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    dataset.require("orders", CUSTOMER_ID, by="The builder of customer features")
    lines = net_lines(dataset, as_of).filter(~nw.col(CUSTOMER_ID).is_null())
    columns = dataset.columns("orders")
    is_return = nw.col("kind") == "return"
    lines = lines.with_columns(
        nw.col(IS_PURCHASE).cast(nw.Int64).alias("lines"), is_return.cast(nw.Int64).alias("returns")
    )
    sums = [nw.col("lines", "returns").sum(), nw.len().alias("all_lines")]
    for name, column, counted in (
        ("spend_units", "revenue", nw.col("lines")),
        ("discount_units", "discount", nw.col("lines")),
        ("returned", "revenue", -nw.col("returns")),
    ):
        if column in columns:
            units = (nw.col(column) * counted * MONEY_UNIT).round(0)
            lines = lines.with_columns(units.fill_null(0).cast(nw.Int64).alias(name))
            sums.append(nw.col(name).sum())
    days = lines.group_by(KEY).agg(sums)
    bought = lines.filter(nw.col("lines") == 1)
    for name, first_days in _first_days(bought, dataset).items():
        new = first_days.group_by(KEY).agg(nw.len().alias(f"new_{name}"))
        days = days.join(new, on=KEY, how="left").with_columns(nw.col(f"new_{name}").fill_null(0))
    return days


def _first_days(bought: Frame, dataset: Dataset) -> dict[str, Frame]:
    """Return, by what is counted, the day on which each customer first bought each of them."""
    columns = bought.collect_schema().names()
    first_days = {
        name: bought.filter(~nw.col(column).is_null())
        .group_by(CUSTOMER_ID, column)
        .agg(nw.col(DAY).min())
        for name, column in (
            ("products", PRODUCT_ID),
            ("locations", LOCATION_ID),
            ("channels", "channel"),
        )
        if column in columns
    }
    if "products" in first_days and dataset.has("products", "category"):
        catalogue = dataset.table("products").select(PRODUCT_ID, "category")
        first_days["categories"] = (
            first_days["products"]
            .join(catalogue.filter(~nw.col("category").is_null()), on=PRODUCT_ID)
            .group_by(CUSTOMER_ID, "category")
            .agg(nw.col(DAY).min())
        )
    return first_days


def summarise(days: Frame, dataset: Dataset, as_of: AsOf) -> Frame:
    """Compute the features of each customer from the customer-days known at `as_of`.

    Parameters
    ----------
    days
        What `customer_days` returns for `as_of`.
    dataset, as_of
        As for `customers`; touchpoints, channels and attributes are read from the dataset.
    """
    columns = days.collect_schema().names()
    visits = _visits(days, to_day(as_of))
    if "spend_units" in columns:
        given = None if dataset.population is None else dataset.population.typical_spend
        typical = _typical_spend() if given is None else nw.lit(given)
        visits = visits.with_columns(
            nw.when(typical > 0).then(nw.col(units) / typical).otherwise(0.0).alias(name)
            for units, name in (("spend_units", "spend"), ("returned", "returned_spend"))
        )
    aggregates = (
        visits.with_columns(*visit_measures(columns))
        .group_by(CUSTOMER_ID)
        .agg(*visit_aggregates(columns))
    )
    numbers = [name for name in aggregates.collect_schema().names() if name != CUSTOMER_ID]
    aggregates = aggregates.with_columns(nw.col(*numbers).cast(nw.Float64))
    features = aggregates.select(CUSTOMER_ID, *visit_features(columns))
    if several_channels(dataset):
        features = features.join(channel_mix(dataset, as_of), on=CUSTOMER_ID, how="left")
    if "touchpoints" in dataset.tables:
        counts = touchpoint_counts(dataset, as_of)
        features = features.join(counts, on=CUSTOMER_ID, how="left").with_columns(
            nw.col(name).cast(nw.Float64).fill_null(0.0) for name in COUNTS
        )
    if attribute_columns(dataset):
        features = features.join(attributes(dataset), on=CUSTOMER_ID, how="left")
    return features


def _visits(days: Frame, today: int) -> Frame:
    """Return the customer-days with a purchase, with their age, gap, number and weekday."""
    return (
        days.with_columns(
            nw.col(name).sum().over(CUSTOMER_ID)
            for name in ("all_lines", "returns", "returned")
            if name in days.collect_schema().names()
        )
        .filter(nw.col("lines") > 0)
        .with_columns(
            (nw.lit(today) - nw.col(DAY)).cast(nw.Int64).alias("age"),
            (nw.col(DAY) - nw.col(DAY).shift(1).over(CUSTOMER_ID, order_by=DAY))
            .cast(nw.Float64)
            .alias("gap"),
        )
        .with_columns(
            nw.col("age").min().over(CUSTOMER_ID).alias("recency"),
            nw.col("age").max().over(CUSTOMER_ID).alias("tenure"),
            nw.col(DAY)
            .rank("ordinal", descending=True)
            .over(CUSTOMER_ID)
            .alias("visit"),  # 1 is the last
            ((nw.col(DAY) + 3) % 7).alias("weekday"),  # Monday is 0
        )
    )


def typical_spend_units(days: Frame) -> float | None:
    """Return the median spend of visits with any spend; None if the records have no money.

    Parameters
    ----------
    days
        What `customer_days` returns for the whole population.

    Returns
    -------
    float or None
        In units of `MONEY_UNIT`; 0 if no visit has any spend.
    """
    if "spend_units" not in days.collect_schema().names():
        return None
    visits = days.filter(nw.col("lines") > 0).select(_typical_spend())
    return float(visits.collect().item() or 0.0)


def _typical_spend() -> nw.Expr:
    """Return the median spend of visits with any spend.

    Visits without spend (loyalty points, samples, services of a subscription) are left out: where
    they are the majority, the median over all visits is 0 and cannot serve as a unit.
    """
    units = nw.col("spend_units")
    return nw.when(units > 0).then(units).median().alias("typical")
