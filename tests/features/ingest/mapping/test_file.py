"""Checks of a mapping file: an error names its line and the allowed values."""

import pytest

from features.errors import InvalidInput
from features.ingest.mapping.file import read_mapping

GOOD = """name = "my-shop"
[orders]
path = "lines/*.csv"
columns = { customer_id = "Customer ID", ts = "Date", unit_price = "Price" }
"""


@pytest.fixture
def error_of(tmp_path):
    """Returns the error message of an invalid mapping."""

    def read(text: str) -> str:
        path = tmp_path / "shop.toml"
        path.write_text(text)
        with pytest.raises(InvalidInput) as caught:
            read_mapping(path)
        assert "shop.toml" in caught.value.message
        return caught.value.message

    return read


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (GOOD + 'colums = "x"\n', ["line 5", "'colums'", "columns"]),
        (GOOD.replace("unit_price", "unitprice"), ["line 4", "'unitprice'", "unit_price"]),
        (GOOD + 'decimal = "x"\n', ["line 5", "decimal = 'x'"]),
        (GOOD + 'time_zone = "Mars"\n', ["line 5", "time_zone = 'Mars'", "Europe/Berlin"]),
        (GOOD + 'time_zone = "UTC"\n', ["line 5", "local_time_zone"]),
        (GOOD + 'encoding = "utf-7000"\n', ["line 5", "'utf-7000'", "cp1252"]),
        (GOOD + 'returns = { column = "a" }\n', ["line 5", "exactly one of starts_with"]),
        (GOOD + 'drop = [{ column = "a", in = ["b"] }]\n', ["line 5", "reason is missing"]),
        (GOOD + "cap_quantity = -1\n", ["line 5", "cap_quantity = -1"]),
        (GOOD + 'constants = { ts = "2020-01-01" }\n', ["ts is both in columns and in constants"]),
        (GOOD + 'url = "postgresql://u:secret@h/d"\n', ["either path, or url and query"]),
        (GOOD.replace('ts = "Date", ', ""), ["line 4", "day or ts"]),
        (GOOD.replace("my-shop", "my shop!"), ["line 1", "'my shop!'"]),
        (GOOD.replace("name", "nom"), ["line 1", "'nom'", "local_time_zone"]),
        ('name = "x"\n', ["neither orders nor sales"]),
        ("name = \n", ["not TOML", "line 1"]),
    ],
)
def test_an_error_names_its_line_and_the_allowed_values(error_of, text, parts):
    message = error_of(text)
    assert [part for part in parts if part not in message] == []
    assert "secret" not in message


def test_an_error_in_the_second_source_of_a_table_names_the_line_of_that_source(error_of):
    source = GOOD.split("\n", 1)[1].replace("[orders]", "[[orders]]")
    message = error_of('name = "x"\n' + source + source + 'decimal = "x"\n')
    assert "line 8" in message
