"""The mapping file's checks: what is wrong is said with its line and with what is allowed."""

import pytest

from features.errors import InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.stored import copy_text

GOOD = """name = "my-shop"
[orders]
path = "lines/*.csv"
columns = { customer_id = "Customer ID", ts = "Date", unit_price = "Price" }
"""


@pytest.fixture
def refusal(tmp_path):
    """Message with which a mapping of this text is refused."""

    def refuse(text: str) -> str:
        path = tmp_path / "shop.toml"
        path.write_text(text)
        with pytest.raises(InvalidInput) as caught:
            read_mapping(path)
        assert "shop.toml" in caught.value.message
        return caught.value.message

    return refuse


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_a_mistake_is_said_with_its_line_and_what_is_allowed(refusal, text, said):
    message = refusal(text)
    assert [part for part in said if part not in message] == []
    assert "secret" not in message


def test_a_mistake_in_the_second_source_of_a_table_is_said_with_that_sources_line(refusal):
    source = GOOD.split("\n", 1)[1].replace("[orders]", "[[orders]]")
    message = refusal('name = "x"\n' + source + source + 'decimal = "x"\n')
    assert "line 8" in message


def test_a_stored_copy_read_elsewhere_means_the_same(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text('folder = "exports"\n' + GOOD)
    mapping = read_mapping(path)
    (tmp_path / "home").mkdir()
    kept = tmp_path / "home" / "shop.toml"
    kept.write_text(copy_text(path, mapping))
    assert read_mapping(kept) == mapping
    assert mapping.folder == tmp_path / "exports"
