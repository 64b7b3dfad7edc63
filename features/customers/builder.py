"""Customer x as_of: how each customer buys, from order lines alone or with what else there is.

Order lines go in, one row a customer comes out; churn, next purchase and serving read it.
Lines are first collapsed to customer-days, whose sums are integers: the same to the last bit
in whatever order an engine adds them.
"""

import math

import narwhals as nw

from features.calendar import AsOf, to_day
from features.columns import CUSTOMER_ID
from features.customers.attributes import attribute_columns, attributes
from features.customers.channels import channel_mix, several_channels
from features.customers.usual_behaviour import usual_behaviour
from features.dataset import Dataset
from features.typing import Frame

WINDOWS_DAYS = (7, 14, 28, 56, 84, 182, 365)
HALF_LIVES_DAYS = (7, 14, 28, 56, 112, 224)
# Spend is decayed at these: short enough for a slip, long enough for a level.
SPEND_HALF_LIVES_DAYS = (14, 28, 56, 112)
GAP_QUANTILES = (0.25, 0.75, 0.9)
# How much longer than the present silence the customer's own gaps have been.
SILENCES_AHEAD_DAYS = (7, 14, 28, 56)
# Silences beyond so many days, the present one among them, are added up and counted.
SILENCES_BEYOND_DAYS = (3, 7, 14, 28, 56)
# How long ago the k-th last visit was, and the longest silence since.
LAST_VISITS = (2, 3, 5, 8, 12)
# Keeps rates of those who have been customers for a few days from running off.
SETTLING_DAYS = 7
TOUCH_WINDOWS_DAYS = (28, 84)
# The longest silence that ended in so many days tells who has come back.
COMEBACK_DAYS = 84

# Money is summed in ten-thousandths and weights in units of 2^-30, as integers.
MONEY_UNIT = 10_000
# The yardstick of money: the median spend of the visits that bring any, in money units.
WEIGHT_UNIT = 2**30

KEY = [CUSTOMER_ID, "day"]


def customers(dataset: Dataset, as_of: AsOf) -> Frame:
    """Describe how each customer buys, from what was known at `as_of`.

    Parameters
    ----------
    dataset
        Needs `orders` with `customer_id`; uses revenue, discount, product_id, location_id,
        channel and kind, and the tables `products`, `touchpoints` and `customers`, where there
        are any.
    as_of
        Everything before it is used, nothing at or after it.

    Returns
    -------
    narwhals.LazyFrame
        One row a customer with a purchase, in no particular order. A visit is a day with a
        purchase. Durations are in days, counted between dates; money is relative to the
        median spend of the visits that bring any, so that a currency's unit plays no part. What a
        customer has too little history for is null.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    return summarise(customer_days(dataset, as_of), dataset, as_of)


def customer_days(dataset: Dataset, as_of: AsOf) -> Frame:
    """Collapse order lines known at `as_of` to one row a customer and day.

    Days before `as_of` are the same whatever `as_of` is, so the rows of an earlier instant at
    midnight are those with a smaller `day`.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    dataset.require("orders", CUSTOMER_ID, by="The builder of customer features")
    lines = dataset.known("orders", as_of).filter(~nw.col(CUSTOMER_ID).is_null())
    columns = dataset.columns("orders")
    lines = lines.with_columns((nw.col("kind") != "return").cast(nw.Int64).alias("lines"))
    sums = [nw.col("lines").sum(), nw.len().alias("all_lines")]
    for name, column in (("spend", "revenue"), ("discount", "discount")):
        if column in columns:
            units = (nw.col(column) * nw.col("lines") * MONEY_UNIT).round(0)
            lines = lines.with_columns(units.fill_null(0).cast(nw.Int64).alias(f"{name}_units"))
            sums.append(nw.col(f"{name}_units").sum())
    days = lines.group_by(KEY).agg(sums)
    bought = lines.filter(nw.col("lines") == 1)
    for name, first_days in _first_days(bought, dataset).items():
        new = first_days.group_by(KEY).agg(nw.len().alias(f"new_{name}"))
        days = days.join(new, on=KEY, how="left").with_columns(nw.col(f"new_{name}").fill_null(0))
    return days


def _first_days(bought: Frame, dataset: Dataset) -> dict[str, Frame]:
    """Return frames of the day on which a customer first bought each product, category, ..."""
    columns = bought.collect_schema().names()
    found = {
        name: bought.filter(~nw.col(column).is_null())
        .group_by(CUSTOMER_ID, column)
        .agg(nw.col("day").min())
        for name, column in (
            ("products", "product_id"),
            ("locations", "location_id"),
            ("channels", "channel"),
        )
        if column in columns
    }
    if "products" in found and dataset.has("products", "category"):
        catalogue = dataset.table("products").select("product_id", "category")
        found["categories"] = (
            found["products"]
            .join(catalogue.filter(~nw.col("category").is_null()), on="product_id")
            .group_by(CUSTOMER_ID, "category")
            .agg(nw.col("day").min())
        )
    return found


def summarise(days: Frame, dataset: Dataset, as_of: AsOf) -> Frame:
    """Turn customer-days known at `as_of` into one row of features a customer.

    Parameters
    ----------
    days
        What `customer_days` returns for `as_of`.
    dataset, as_of
        As for `customers`; touchpoints and attributes are read from here.
    """
    today = to_day(as_of)
    columns = days.collect_schema().names()
    visits = (
        days.with_columns(
            nw.col("all_lines").sum().over(CUSTOMER_ID),
            nw.col("lines").sum().over(CUSTOMER_ID).alias("sold_lines"),
        )
        .filter(nw.col("lines") > 0)
        .with_columns(
            (nw.lit(today) - nw.col("day")).cast(nw.Int64).alias("age"),
            (nw.col("day") - nw.col("day").shift(1).over(CUSTOMER_ID, order_by="day"))
            .cast(nw.Float64)
            .alias("gap"),
        )
        .with_columns(
            nw.col("age").min().over(CUSTOMER_ID).alias("recency"),
            nw.col("age").max().over(CUSTOMER_ID).alias("tenure"),
            nw.col("day")
            .rank("ordinal", descending=True)
            .over(CUSTOMER_ID)
            .alias("visit"),  # 1 is the last
            ((nw.col("day") + 3) % 7).alias("weekday"),  # Monday is 0
        )
    )
    if "spend_units" in columns:
        given = None if dataset.population is None else dataset.population.typical_spend
        typical = _typical() if given is None else nw.lit(given)
        relative = nw.when(typical > 0).then(nw.col("spend_units") / typical).otherwise(0.0)
        visits = visits.with_columns(relative.alias("spend"))
    measured = (
        visits.with_columns(*_measures(columns)).group_by(CUSTOMER_ID).agg(*_aggregates(columns))
    )
    numbers = [name for name in measured.collect_schema().names() if name != CUSTOMER_ID]
    measured = measured.with_columns(nw.col(*numbers).cast(nw.Float64))
    features = measured.select(CUSTOMER_ID, *_features(columns)).join(
        usual_behaviour(visits), on=CUSTOMER_ID, how="left"
    )
    if several_channels(dataset):
        features = features.join(channel_mix(dataset, as_of), on=CUSTOMER_ID, how="left")
    if "touchpoints" in dataset.tables:
        features = features.join(_touches(dataset, as_of), on=CUSTOMER_ID, how="left").with_columns(
            nw.col(name).cast(nw.Float64).fill_null(0.0) for name in _touch_names()
        )
    if attribute_columns(dataset):
        features = features.join(attributes(dataset), on=CUSTOMER_ID, how="left")
    return features


def typical_spend_units(days: Frame) -> float | None:
    """Measure the median spend of the visits that have any; None if the records have no money.

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
    visits = days.filter(nw.col("lines") > 0).select(_typical())
    return float(visits.collect().item() or 0.0)


def _typical() -> nw.Expr:
    """Return what a visit typically brings, of visits that bring anything.

    Where most bring nothing (loyalty points, samples, services of a subscription), what they bring
    would be the unit of money otherwise, and no money could be told in it.
    """
    units = nw.col("spend_units")
    return nw.when(units > 0).then(units).median().alias("typical")


def _fixed(expression: nw.Expr) -> nw.Expr:
    """Turn a float into an integer count of 2^-30, so that sums do not depend on their order."""
    return (expression * WEIGHT_UNIT).round(0).cast(nw.Int64)


def _decay(half_life_days: float) -> nw.Expr:
    return (nw.col("age") * (-math.log(2) / half_life_days)).exp()


def _measures(columns: list[str]) -> list[nw.Expr]:
    """Return the columns of a customer-day that are summed over a customer's days."""
    age, gap, recency = nw.col("age"), nw.col("gap"), nw.col("recency")
    measures = [(age <= days).cast(nw.Int64).alias(f"in_{days}") for days in WINDOWS_DAYS]
    measures += [_fixed(_decay(days)).alias(f"decayed_{days}") for days in HALF_LIVES_DAYS]
    measures += [
        (gap * gap).alias("gap_squared"),
        (gap > recency).cast(nw.Int64).alias("longer_0"),
        (gap >= recency).cast(nw.Int64).alias("as_long"),
        nw.when(age <= COMEBACK_DAYS).then(gap).alias("gap_ended_lately"),
        nw.when(age == recency).then(gap).alias("gap_last"),
        nw.when(age == recency).then(nw.col("lines")).alias("lines_last"),
    ]
    measures += [
        (gap > recency + days).cast(nw.Int64).alias(f"longer_{days}")
        for days in SILENCES_AHEAD_DAYS
    ]
    measures += [
        (gap - days).clip(lower_bound=0.0).alias(f"beyond_{days}") for days in SILENCES_BEYOND_DAYS
    ]
    measures += [
        (gap >= days).cast(nw.Int64).alias(f"over_{days}") for days in SILENCES_BEYOND_DAYS
    ]
    for k in LAST_VISITS:
        measures.append(nw.when(nw.col("visit") == k).then(age).alias(f"age_{k}"))
        measures.append(nw.when(nw.col("visit") < k).then(gap).alias(f"gap_of_{k}"))
    measures += [(nw.col("weekday") == k).cast(nw.Int64).alias(f"on_{k}") for k in range(7)]
    if "spend_units" in columns:
        spend = nw.col("spend")
        measures.append(_fixed(spend).alias("spend_fixed"))
        measures += [
            _fixed(nw.when(age <= days).then(spend).otherwise(0.0)).alias(f"spend_in_{days}")
            for days in WINDOWS_DAYS
        ]
        measures += [
            _fixed(spend * _decay(days)).alias(f"spend_decayed_{days}")
            for days in SPEND_HALF_LIVES_DAYS
        ]
    return measures


def _aggregates(columns: list[str]) -> list[nw.Expr]:
    """Return the sums, extremes and quantiles over a customer's days."""
    summed = [
        *(f"in_{days}" for days in WINDOWS_DAYS),
        *(f"decayed_{days}" for days in HALF_LIVES_DAYS),
        *(f"longer_{days}" for days in (0, *SILENCES_AHEAD_DAYS)),
        *(f"{kind}_{days}" for kind in ("beyond", "over") for days in SILENCES_BEYOND_DAYS),
        *(f"on_{k}" for k in range(7)),
        *("gap", "gap_squared", "lines", "as_long"),
        *(name for name in columns if name.startswith("new_") or name.endswith("_units")),
    ]
    if "spend_units" in columns:
        summed += ["spend_fixed", *(f"spend_in_{days}" for days in WINDOWS_DAYS)]
        summed += [f"spend_decayed_{days}" for days in SPEND_HALF_LIVES_DAYS]
    constant = ["recency", "tenure", "all_lines", "sold_lines", "gap_last", "lines_last"]
    constant += [f"{kind}_{k}" for kind in ("age", "gap_of") for k in LAST_VISITS]
    return [
        nw.len().alias("visits"),
        nw.col("gap").count().alias("gaps"),
        *(nw.col(name).sum().alias(name) for name in summed),
        *(nw.col(name).max().alias(name) for name in constant),
        nw.col("gap").max().alias("gap_max"),
        nw.col("gap_ended_lately").max().alias(f"gap_max_{COMEBACK_DAYS}"),
        nw.col("gap").median().alias("gap_median"),
        *(
            nw.col("gap").quantile(q, interpolation="linear").alias(f"gap_q{round(100 * q)}")
            for q in GAP_QUANTILES
        ),
    ]


def _share(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """Divide where there is something to divide by, else null."""
    return nw.when(whole > 0).then(part / whole)


def _features(columns: list[str]) -> list[nw.Expr]:
    """Return the features of a customer, from the aggregates."""
    visits, gaps, recency = nw.col("visits"), nw.col("gaps"), nw.col("recency")
    tenure = nw.col("tenure")
    gap_mean = _share(nw.col("gap"), gaps)
    variance = _share(nw.col("gap_squared"), gaps) - gap_mean * gap_mean
    features = [
        recency,
        tenure,
        visits,
        *(nw.col(f"in_{days}").alias(f"visits_{days}") for days in WINDOWS_DAYS),
        *(
            (nw.col(f"decayed_{days}") / WEIGHT_UNIT).alias(f"visits_decayed_{days}")
            for days in HALF_LIVES_DAYS
        ),
        (visits / tenure.clip(lower_bound=1.0)).alias("visit_rate"),
        (3 * (nw.col("in_28") + 1) / (nw.col("in_84") + 3)).alias("visits_trend"),
        gap_mean.alias("gap_mean"),
        variance.clip(lower_bound=0.0).sqrt().alias("gap_sd"),
        nw.col("gap_median"),
        *(nw.col(f"gap_q{round(100 * q)}") for q in GAP_QUANTILES),
        nw.col("gap_max"),
        nw.col(f"gap_max_{COMEBACK_DAYS}"),
        nw.col("gap_last"),
        *_silences(),
        _share(nw.col("longer_0"), gaps).alias("gaps_longer"),
        *(
            ((nw.col(f"longer_{days}") + 0.5) / (nw.col("longer_0") + 1)).alias(
                f"silent_{days}_more"
            )
            for days in SILENCES_AHEAD_DAYS
        ),
        _share(recency, gap_mean).alias("recency_over_gap_mean"),
        _share(recency, nw.col("gap_median")).alias("recency_over_gap_median"),
        _share(recency, nw.col("gap_q90")).alias("recency_over_gap_q90"),
        (visits / (tenure + SETTLING_DAYS)).alias("visits_a_day"),
        (nw.col("lines") / (tenure + SETTLING_DAYS)).alias("lines_a_day"),
        (nw.col("lines") / visits).alias("lines_per_visit"),
        (nw.col("lines_last") * visits / nw.col("lines")).alias("lines_last_relative"),
        (1 - nw.col("sold_lines") / nw.col("all_lines")).alias("return_share"),
        *((nw.col(f"on_{k}") / visits).alias(f"weekday_share_{k}") for k in range(7)),
    ]
    features += [
        nw.col(name).alias(name.removeprefix("new_")) for name in columns if name.startswith("new_")
    ]
    if "spend_units" in columns:
        per_visit = nw.col("spend_fixed") / WEIGHT_UNIT / visits
        recent = nw.col("spend_in_84") / WEIGHT_UNIT / nw.col("in_84").clip(lower_bound=1.0)
        features += [
            (nw.col("spend_fixed") / WEIGHT_UNIT).alias("spend_total"),
            *((nw.col(f"spend_in_{n}") / WEIGHT_UNIT).alias(f"spend_{n}") for n in WINDOWS_DAYS),
            (nw.col("spend_fixed") / WEIGHT_UNIT / (tenure + SETTLING_DAYS)).alias("spend_a_day"),
            per_visit.alias("spend_per_visit"),
            _share(recent, per_visit).alias("spend_trend"),
            *(
                (nw.col(f"spend_decayed_{days}") / WEIGHT_UNIT).alias(f"spend_decayed_{days}")
                for days in SPEND_HALF_LIVES_DAYS
            ),
        ]
        if "discount_units" in columns:
            whole = nw.col("discount_units") + nw.col("spend_units")
            features.append(_share(nw.col("discount_units"), whole).alias("discount_share"))
    return features


def _silences() -> list[nw.Expr]:
    """Return what is known of a customer's silences, the present one counted as one of them.

    With the present one among them, a further visit makes each of these smaller or leaves it (the
    count of gaps as long grows), and waiting makes it larger: no average of past gaps does that.
    """
    recency, tenure = nw.col("recency"), nw.col("tenure")
    # Up to the last visit: silence does not add to it.
    lived = tenure - recency
    found = []
    for days in SILENCES_BEYOND_DAYS:
        now = (recency - days).clip(lower_bound=0.0)
        over = (recency >= days).cast(nw.Float64)
        settled = lived + 2 * SETTLING_DAYS
        found.append(((nw.col(f"beyond_{days}") + now) / settled).alias(f"silence_beyond_{days}"))
        found.append(((nw.col(f"over_{days}") + over) / settled).alias(f"silences_over_{days}"))
    for k in LAST_VISITS:
        # Who has been here less often: longer ago than they have been a customer.
        age = nw.when(nw.col("visits") >= k).then(nw.col(f"age_{k}")).otherwise(tenure + 365)
        found.append(age.alias(f"recency_of_visit_{k}"))
        found.append(nw.max_horizontal(f"gap_of_{k}", "recency").alias(f"silence_longest_of_{k}"))
    found += [
        nw.max_horizontal("gap_max", "recency").alias("silence_longest"),
        (recency * nw.col("visits") / (lived + SETTLING_DAYS)).alias("silence_over_usual"),
        nw.col("as_long").alias("gaps_as_long"),
        ((nw.col("as_long") + 0.5) / (nw.col("gaps") + 1)).alias("gaps_as_long_share"),
        lived.alias("tenure_at_last_visit"),
    ]
    return found


def _touch_names() -> list[str]:
    return [
        f"touches_{kind}_{days}" for kind in ("sent", "redeemed") for days in TOUCH_WINDOWS_DAYS
    ]


def _touches(dataset: Dataset, as_of: AsOf) -> Frame:
    """Count what was sent to and redeemed by each customer in windows before `as_of`."""
    age = nw.lit(to_day(as_of)) - nw.col("day")
    counts = [
        ((nw.col("kind") == kind) & (age <= days)).cast(nw.Int64).alias(f"touches_{kind}_{days}")
        for kind in ("sent", "redeemed")
        for days in TOUCH_WINDOWS_DAYS
    ]
    sums = [nw.col(name).sum() for name in _touch_names()]
    return (
        dataset.known("touchpoints", as_of).with_columns(*counts).group_by(CUSTOMER_ID).agg(*sums)
    )
