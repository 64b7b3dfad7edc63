"""Stored copies of mapping files."""

import pytest

from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.stored import original_file, store_mapping, stored_file

MAPPING = """folder = "exports"
name = "my-shop"
[orders]
path = "lines/*.csv"
columns = { customer_id = "Customer ID", ts = "Date", unit_price = "Price" }
"""


@pytest.fixture
def mapping_file(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(MAPPING)
    return path


def test_a_stored_copy_in_another_folder_is_equal_to_the_mapping(mapping_file, tmp_path):
    mapping = read_mapping(mapping_file)
    store_mapping(tmp_path / "home", mapping_file, mapping)
    stored = stored_file(tmp_path / "home", "my-shop")
    assert read_mapping(stored) == mapping
    assert mapping.folder == tmp_path / "exports"


def test_a_stored_copy_names_the_file_that_it_copies(mapping_file, tmp_path):
    store_mapping(tmp_path / "home", mapping_file, read_mapping(mapping_file))
    stored = stored_file(tmp_path / "home", "my-shop")
    assert original_file(stored) == original_file(mapping_file) == mapping_file
