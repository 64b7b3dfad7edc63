"""The calendar of public holidays of each location: the table `locations` in, calendars out."""

import polars as pl

from features.dataset import Dataset
from features.memo import memo
from features.public_holidays import COUNTRY, REGION_CODE, calendar_code, known_calendars


@memo("locations")
def location_calendars(dataset: Dataset) -> pl.DataFrame:
    """Return `location_id` and `calendar` of all locations; null where none is recorded.

    Codes that imports refuse, in records from before they did, count as none.
    """
    columns = dataset.columns("locations") if dataset.has("locations") else []
    if not {COUNTRY, REGION_CODE} & set(columns):
        return pl.DataFrame(schema={"location_id": pl.String, "calendar": pl.String})
    rows = dataset.table("locations").collect().to_polars().unique("location_id")
    code = calendar_code(columns).replace_strict(known_calendars(), default=None)
    return rows.select("location_id", code.alias("calendar")).sort("location_id")


def holiday_calendars(dataset: Dataset, frame: pl.DataFrame) -> pl.Series:
    """Return the `calendar` of each row of a frame; null where that of the settings holds.

    It is that of the row's `location_id`. A frame without locations has the calendar, or the
    country, that all locations have in common.
    """
    known = location_calendars(dataset)
    if "location_id" in frame.columns:
        rows = frame.select("location_id")
        located = rows.join(known, on="location_id", how="left", maintain_order="left")
        return located.get_column("calendar")
    common = set(known.get_column("calendar"))
    if len(common) > 1 and None not in common:
        common = {calendar.partition("-")[0] for calendar in common}
    calendar = common.pop() if len(common) == 1 else None
    return pl.Series("calendar", [calendar], dtype=pl.String).new_from_index(0, frame.height)
