"""Public holidays by location: whose calendar holds where, and what demand reads of it."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.extract import PublishedRecords
from features.demand.grain import Grain
from features.demand.holiday_calendars import holiday_calendars
from features.demand.recurring_closures import YEAR
from features.errors import ImportRejected

AS_OF = datetime(2022, 10, 1)
FIRST, DAYS = to_day("2021-09-01"), 395
REUNIFICATION = date(2022, 10, 3)  # a Monday, a holiday in Germany alone


def shops(sold=None, **columns):
    """Build a dataset of three locations, with columns of the table `locations`."""
    sold = np.random.default_rng(3).poisson(30, (3, DAYS)) if sold is None else sold
    location, column = np.nonzero(sold)
    sales = {
        "product_id": "p",
        "location_id": [str(place) for place in location],
        "day": (FIRST + column).astype(np.int32),
        "quantity": sold[location, column].astype(float),
    }
    locations = pl.DataFrame({"location_id": ["0", "1", "2"], **columns})
    return Dataset.from_frames("shops", {"sales": pl.DataFrame(sales), "locations": locations})


def features(dataset, grain="product,location:day", country="US", as_of=AS_OF, series=None):
    rows = demand(dataset, Grain.parse(grain), as_of, 14, series, country=country)
    frame = rows.collect().to_polars()
    # A country is a category of its location as well.
    return frame.drop("group_country", "group_region_code", strict=False)


def days_to_holiday(dataset, **options):
    """Return the days from the first period to the next holiday, by location."""
    return features(dataset, **options).filter(step=0)["holiday_ahead"].to_list()


def calendars(dataset):
    return holiday_calendars(dataset, pl.DataFrame({"location_id": ["0", "1", "2"]})).to_list()


def test_each_location_has_the_holidays_of_its_country():
    dataset = shops(country=["DE", "NL", None])
    # To October 3, beyond the horizon of 30 days, and to Columbus Day.
    assert days_to_holiday(dataset) == [2, 30, 9]


def test_a_region_has_its_own_holidays():
    dataset = shops(country=["DE"] * 3, region_code=["DE-BY", "BE", None])
    # Corpus Christi is on June 16; in Berlin the next holiday is in October.
    assert days_to_holiday(dataset, as_of=datetime(2022, 6, 10)) == [6, 30, 30]


@pytest.mark.parametrize("grain", ["product,location:day", "location:week", "product:week"])
def test_a_recorded_country_equals_that_of_the_settings(grain):
    recorded = features(shops(country=["DE"] * 3), grain, "US")
    assert_frame_equal(recorded, features(shops(), grain, "DE"), check_exact=True)
    assert not recorded.equals(features(shops(), grain, "US"))


@pytest.mark.parametrize(
    ("columns", "common"),
    [
        ({"country": ["DE", "DE", "DE"]}, "DE"),
        ({"country": ["DE", "DE", "DE"], "region_code": ["BY", "BE", None]}, "DE"),
        ({"region_code": ["DE-BY", "DE-BY", "DE-BY"]}, "DE-BY"),
        ({"country": ["DE", "DE", None]}, None),
        ({"country": ["DE", "DE", "NL"]}, None),
        ({}, None),
    ],
)
def test_series_of_all_locations_have_the_calendar_that_all_share(columns, common):
    rows = pl.DataFrame({"product_id": ["a", "b"]})
    assert holiday_calendars(shops(**columns), rows).to_list() == [common] * 2


def test_codes_are_read_in_any_case_with_or_without_the_country():
    dataset = shops(country=["de", "DE", None], region_code=["by", "de-by", "DE-BY"])
    assert calendars(dataset) == ["DE-BY"] * 3


def test_a_closure_recurs_at_the_holidays_of_the_location():
    sold = np.full((3, DAYS), 30)
    holiday = to_day("2021-10-03") - FIRST
    sold[:, holiday] = 0
    rows = features(shops(sold, country=["DE", "NL", "DE"])).filter(day=to_day(REUNIFICATION))
    assert rows["closed_by"].to_list() == [YEAR, 0, YEAR]


def test_the_year_before_corresponds_by_the_holidays_of_the_location():
    sold = np.full((3, DAYS), 30)
    sold[:, to_day("2021-10-03") - FIRST] = 90
    rows = features(shops(sold, country=["DE", "NL", None])).filter(day=to_day(REUNIFICATION))
    same = rows["season_same_own"].to_list()
    assert same[0] > same[1] + 0.3
    assert same[1] == same[2]


def test_features_of_a_location_do_not_depend_on_the_countries_of_others():
    countries = {"0": "DE", "1": "NL", "2": "DE"}
    together = features(shops(country=list(countries.values())))
    for place, country in countries.items():
        alone = features(shops(country=[country] * 3)).filter(location_id=place)
        assert_frame_equal(together.filter(location_id=place), alone, check_exact=True)


@pytest.mark.parametrize("grain", ["product,location:day", "product:week"])
def test_published_records_have_the_same_calendars(grain, tmp_path):
    # A location without sales is one of those that have a country in common.
    sold = np.random.default_rng(3).poisson(30, (3, DAYS))
    sold[2] = 0
    for country in (["DE", "DE", "NL"], ["DE", "DE", "DE"]):
        dataset = shops(sold, country=country)
        folder = tmp_path / "".join(country)
        folder.mkdir()
        PublishedRecords.write(dataset, Grain.parse(grain), AS_OF, folder)
        records = PublishedRecords(folder, Grain.parse(grain), AS_OF.isoformat())
        series, published = records.index, records.dataset(list(range(records.index.height)))
        assert_frame_equal(
            features(published, grain, series=series), features(dataset, grain), check_exact=True
        )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"country": ["DE", "XX", "DE"]}, r"country is no ISO 3166-1 code.*leave it empty.*'XX'"),
        ({"country": ["DE", "DE-BY", "DE"]}, r"country is no ISO 3166-1 code.*'DE-BY'"),
        ({"country": ["Germany"] * 3}, r"country is no ISO 3166-1 code.*'Germany'"),
        (
            {"country": ["DE"] * 3, "region_code": ["BY", "ZZ", None]},
            r"region_code is no ISO 3166-2 code of the country.*leave it empty.*'ZZ'",
        ),
        (
            {"country": ["DE"] * 3, "region_code": ["AT-9", None, None]},
            r"region_code is no ISO 3166-2 code of the country.*'AT-9'",
        ),
        ({"region_code": ["BY", None, None]}, r"region_code is no ISO 3166-2 code.*'BY'"),
    ],
)
def test_an_unknown_code_is_refused_with_the_remedy(columns, message):
    with pytest.raises(ImportRejected, match=message):
        shops(**columns)
