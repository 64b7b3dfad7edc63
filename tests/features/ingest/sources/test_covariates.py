"""Covariates of wide files: several columns of values in one section of the mapping."""

import pytest

from features.errors import InvalidInput

WIDE = """[covariates]
path = "weeks.csv"
columns = { day = "Date", location_id = "Store", value = ["Heat", "MarkDown1", "IsHoliday"] }
constants = { known_ahead = true }
"""
WEEKS = """Store,Date,Heat,MarkDown1,IsHoliday
1,2024-01-05,4.5,NA,FALSE
1,2024-01-12,5.0,,TRUE
1,2024-01-19,?,120.5,FALSE
"""


def test_each_column_is_a_covariate_and_a_missing_value_is_no_row(import_files, tmp_path):
    report, dataset, rejected = import_files(tmp_path, till=[], rules=WIDE, weeks=WEEKS)
    stored = dataset.table("covariates").collect().to_polars().sort("name", "day")
    assert stored.select("name", "value").rows() == [
        ("Heat", 4.5),
        ("Heat", 5.0),
        ("IsHoliday", 0.0),
        ("IsHoliday", 1.0),
        ("IsHoliday", 0.0),
        ("MarkDown1", 120.5),
    ]
    counts = report.tables["covariates"]
    assert (counts.read, counts.accepted, counts.quarantined) == (7, 6, 1)
    row = rejected.row(0, named=True)
    assert (row["file"], row["row"], row["column"], row["value"]) == ("weeks.csv", 4, "Heat", "?")


def test_a_repeated_import_of_a_wide_file_changes_nothing(import_files, tmp_path):
    first, _, _ = import_files(tmp_path, till=[], rules=WIDE, weeks=WEEKS)
    again, _, _ = import_files(tmp_path, till=[], rules=WIDE, weeks=WEEKS)
    assert again.snapshot == first.snapshot
    assert again.tables["covariates"].duplicates == 6


def test_a_missing_column_of_a_later_section_names_its_line(import_files, tmp_path):
    later = WIDE.replace("[covariates]", "[[covariates]]") + (
        '[[covariates]]\npath = "weeks.csv"\ncolumns = { day = "Date", value = "Rain" }\n'
        'constants = { name = "rain", known_ahead = false }\n'
    )
    with pytest.raises(InvalidInput, match=r"line 11: .*weeks.csv has no column 'Rain'"):
        import_files(tmp_path, till=[], rules=later, weeks=WEEKS)
