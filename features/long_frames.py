"""Long frames of series, as Nixtla's libraries use them: `unique_id`, `ds`, `y` and others.

Records in this form in, frames of canonical tables out; forecasts in, this form out.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from features.errors import InvalidInput
from features.frames import to_polars
from features.ingest.sources import parse
from features.ingest.sources.numbers import number

SERIES, TIME, VALUE = "unique_id", "ds", "y"
# Name of the forecasts' column, and beginning of the names of their intervals.
FORECAST = "Foresell"


def tables_of_series(native: Any, local_time_zone: str | None = None) -> dict[str, pl.DataFrame]:
    """Return the tables `sales` and `covariates` of a long frame.

    A series is a product. Exogenous columns are covariates; where one differs between series,
    each series is its own location, too. Rows after the last `y` hold values that are known
    ahead: the columns with such values are known ahead.

    Parameters
    ----------
    native
        A frame of any engine with `unique_id`, `ds`, `y` and exogenous columns of numbers.
    local_time_zone
        The retailer's time zone, for timestamps with a zone.

    Raises
    ------
    InvalidInput
        If a column is missing, or an exogenous one holds no numbers.
    """
    frame = to_polars(native, "the frame")
    for name in (SERIES, TIME, VALUE):
        if name not in frame.columns:
            raise InvalidInput(
                f"The frame lacks the column {name!r}; it has {', '.join(frame.columns)}. Series "
                f"need {SERIES}, {TIME} and {VALUE}; an index is made a column by reset_index().",
                field=name,
            )
    times = parse.timestamp(frame.get_column(TIME), None, None, local_time_zone)
    values = number(frame.get_column(VALUE))
    observed = times.filter(values.is_not_null()).max()
    if observed is None:
        raise InvalidInput(
            f"No row has both a date in {TIME!r} and a number in {VALUE!r}.", field=VALUE
        )
    ahead = (times.dt.date() > pl.Series([observed]).dt.date()).fill_null(value=False)
    sales = frame.filter(~ahead).select(
        product_id=pl.col(SERIES), day=pl.col(TIME), quantity=pl.col(VALUE)
    )
    names = [name for name in frame.columns if name not in (SERIES, TIME, VALUE)]
    if not names:
        return {"sales": sales}
    table = pl.concat(_covariate(frame, name, times, ahead) for name in names)
    if table.get_column("location_id").null_count() < table.height:
        sales = sales.with_columns(location_id=pl.col("product_id"))
    return {"sales": sales, "covariates": table}


def _covariate(frame: pl.DataFrame, name: str, times: pl.Series, ahead: pl.Series) -> pl.DataFrame:
    """Return the rows of a covariate: one per day if all series agree, else one per series."""
    column = frame.get_column(name)
    values = number(column)
    present = column.fill_nan(None) if column.dtype.is_float() else column
    if values.null_count() > present.null_count():
        raise InvalidInput(
            f"The exogenous column {name!r} holds values that are no numbers; encode them as "
            "numbers, or leave it out.",
            field=name,
        )
    rows = pl.DataFrame(
        {
            "location_id": parse.identifier(frame.get_column(SERIES)),
            "day": times.dt.date(),
            "value": values,
            "ahead": ahead,
        }
    ).drop_nulls(["day", "value"])
    known_ahead = bool(rows.get_column("ahead").any())
    means = rows.group_by("location_id", "day").agg(pl.col("value").mean())
    by_day = means.group_by("day").agg(
        pl.col("value").first(), pl.col("value").n_unique().alias("n")
    )
    if bool((by_day.get_column("n") == 1).all()):
        means = by_day.with_columns(location_id=pl.lit(None, dtype=pl.String))
    return means.sort("location_id", "day").select(
        pl.lit(name).alias("name"),
        "location_id",
        "day",
        "value",
        pl.lit(known_ahead).alias("known_ahead"),
    )


def forecasts_as_series(forecasts: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return forecasts as a long frame: `unique_id`, `ds`, `Foresell` and intervals.

    The interval between two quantiles that leave out equal shares, such as q10 and q90, is
    `Foresell-lo-80` and `Foresell-hi-80`. Other quantiles are left out.

    Parameters
    ----------
    forecasts
        Rows with the keys, `date`, `mean` and quantiles, as `DemandModel.predict` returns.
    keys
        The grain's columns; ids of several are joined by a slash, equal ones are named once.
    """
    first = forecasts.get_column(keys[0])
    is_one = all(forecasts.get_column(key).equals(first) for key in keys)
    levels = {
        float(name[1:]): name
        for name in forecasts.columns
        if name[:1] == "q" and name[1:2].isdigit()
    }
    intervals = []
    for low in sorted(level for level in levels if level < 50 and 100 - level in levels):
        width = f"{100 - 2 * low:g}"
        intervals.append(pl.col(levels[low]).alias(f"{FORECAST}-lo-{width}"))
        intervals.append(pl.col(levels[100 - low]).alias(f"{FORECAST}-hi-{width}"))
    return forecasts.select(
        pl.concat_str(keys[:1] if is_one else keys, separator="/").alias(SERIES),
        pl.col("date").alias(TIME),
        pl.col("mean").alias(FORECAST),
        *intervals,
    )
