"""Values of covariates: raw values in, numbers out; a day without a value is no row."""

import polars as pl

from features.ingest.source_columns import FAULT
from features.ingest.sources import parse
from features.ingest.sources.numbers import MISSING_NUMBER, Notation, number


def covariate_numbers(values: pl.Series, notation: Notation) -> pl.Series:
    """Parse numbers; TRUE and FALSE, and other words for yes and no, are 1 and 0."""
    numbers = number(values, notation)
    if numbers.null_count() == values.null_count():
        return numbers
    return numbers.fill_null(parse.boolean(values).cast(pl.Float64))


def with_values(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows with a value in a raw column, readable or not."""
    has_value = parse.text(rows.get_column(column), MISSING_NUMBER).is_not_null()
    return rows.filter(has_value | rows.get_column(FAULT).is_not_null())
