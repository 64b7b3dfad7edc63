"""The features that boosters read."""

import polars as pl
import pytest

from training.models.demand.inputs import input_columns


def rows(values, each):
    groups = [str(value) for value in range(values) for _ in range(each)]
    return pl.DataFrame({"units": 1.0, "level_log": 0.0, "group_shop": groups})


@pytest.mark.parametrize(("values", "each", "read"), [(5, 500, True), (1, 500, False)])
def test_a_group_with_several_values_is_read(values, each, read):
    assert ("group_shop" in input_columns(rows(values, each))) == read


def test_a_group_with_few_rows_a_value_is_not_read():
    assert input_columns(rows(5, 100)) == ["level_log"]
    assert input_columns(rows(200, 500)) == ["level_log"]
