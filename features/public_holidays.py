"""Public holidays: a calendar and years in, dates and names out.

A calendar is a code of ISO 3166: a country (`DE`), or one of its subdivisions (`DE-BY`) where other
days are holidays as well. The library `holidays` knows the days.
"""

from datetime import date
from functools import lru_cache

import holidays
import polars as pl

from features.errors import InvalidInput

# Columns of the table `locations` that state the calendar of a location.
COUNTRY, REGION_CODE = "country", "region_code"


def public_holidays(
    calendar: str, years: range, category: str = "public", language: str | None = None
) -> dict[date, str]:
    """Return the holidays of some years, names by date; none if the country lacks the category.

    Raises
    ------
    InvalidInput
        If the calendar is unknown.
    """
    country, _, subdivision = calendar.partition("-")
    try:
        if category not in holidays.country_holidays(country).supported_categories:
            return {}
        found = holidays.country_holidays(
            country,
            subdivision or None,
            years=years,
            categories=(category,),
            language=language,
        )
    except NotImplementedError as error:
        raise InvalidInput(
            f"country = {calendar!r} has no known public holidays; give an ISO code such as US, "
            "DE or DE-BY.",
            field="country",
        ) from error
    return dict(found)


@lru_cache(maxsize=1)
def known_calendars() -> dict[str, str]:
    """Return all calendars by their code in capitals, in which imports compare them."""
    countries = holidays.list_supported_countries(include_aliases=False)
    subdivisions = (f"{code}-{part}" for code, parts in countries.items() for part in parts)
    return {calendar.upper(): calendar for calendar in (*countries, *subdivisions)}


def is_country(code: pl.Expr) -> pl.Expr:
    """Return whether a code in capitals is that of a country, not of a region; null for null."""
    return code.is_in([calendar for calendar in known_calendars() if "-" not in calendar])


def are_countries(values: pl.Series) -> bool:
    """Whether all values are codes of countries."""
    frame = values.drop_nulls().unique().to_frame(COUNTRY)
    return bool(frame.select(is_country(calendar_code([COUNTRY])).all()).item())


def calendar_code(columns: list[str]) -> pl.Expr:
    """Return the code in capitals that `country` and `region_code` state together, else null.

    A region may be written with its country (`DE-BY`) or without (`BY`), which then needs one.
    """

    def code(name: str) -> pl.Expr:
        if name not in columns:
            return pl.lit(None, dtype=pl.String)
        return pl.col(name).cast(pl.String).str.strip_chars().str.to_uppercase()

    country, region = code(COUNTRY), code(REGION_CODE)
    is_whole = pl.coalesce(
        region.str.starts_with(country + "-"),
        country.is_null() & region.str.contains("-", literal=True),
    )
    with_country = pl.when(is_whole).then(region).otherwise(country + "-" + region)
    return pl.when(region.is_null()).then(country).otherwise(with_country)
