import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import open_dataset
from features.errors import ImportRejected
from features.intake import SourceTable, import_tables
from features.quality import Rule, split, standard_rules
from features.tables import TABLES


def sales(rows: list[tuple[str | None, int | None, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64},
        orient="row",
    )


GOOD = [("milk", 19000, 2.0), ("milk", 19001, 1.0), ("tea", 19000, 5.0)]


def bring(home, rows, **kwargs):
    table = SourceTable("sales", sales(rows), **kwargs)
    return import_tables(home, "shop", [table], max_bad_share=0.5)


def test_a_row_that_fails_is_kept_with_its_column_value_and_reason(tmp_path):
    bring(tmp_path, [*GOOD, ("tea", 19001, -4.0)])
    kept = pl.read_parquet(tmp_path / "quarantine" / "shop.parquet").row(0, named=True)
    assert kept == {
        "table": "sales",
        "row": 3,
        "column": "quantity",
        "value": "-4.0",
        "reason": "quantity is below 0",
    }


def test_the_same_import_twice_changes_nothing(tmp_path):
    first = bring(tmp_path, GOOD)
    second = bring(tmp_path, GOOD)
    assert first.snapshot == second.snapshot
    assert second.tables["sales"].accepted == 0
    assert second.tables["sales"].duplicates == 3


def test_an_overlapping_import_adds_only_what_is_new(tmp_path):
    bring(tmp_path, GOOD)
    report = bring(tmp_path, [*GOOD[1:], ("tea", 19001, 7.0)]).tables["sales"]
    assert (report.accepted, report.duplicates, report.replaced) == (1, 2, 0)
    stored = open_dataset(tmp_path, "shop").table("sales").collect().to_polars()
    assert stored.height == 4


def test_a_corrected_row_replaces_the_stored_one_and_is_counted(tmp_path):
    bring(tmp_path, GOOD)
    report = bring(tmp_path, [("milk", 19000, 9.0)]).tables["sales"]
    assert (report.accepted, report.replaced) == (1, 1)
    stored = open_dataset(tmp_path, "shop").table("sales").collect().to_polars()
    assert stored.filter(product_id="milk", day=19000).item(0, "quantity") == 9.0


def test_too_many_failing_rows_stop_the_import_and_leave_the_dataset(tmp_path):
    before = bring(tmp_path, GOOD).snapshot
    with pytest.raises(ImportRejected, match="sales") as caught:
        bring(tmp_path, [("tea", 19002, 1.0), (None, 19000, 1.0), (None, 19001, 1.0)])
    assert "product_id is missing" in caught.value.message
    assert open_dataset(tmp_path, "shop").snapshot == before


def test_a_sources_own_rule_keeps_rows_out(tmp_path):
    rule = Rule("product_id", "a test product", pl.col("product_id") == "tea")
    report = bring(tmp_path, GOOD, rules=[rule]).tables["sales"]
    assert (report.accepted, report.quarantined) == (2, 1)


cell = st.one_of(st.none(), st.sampled_from(["milk", "tea"]))
number = st.one_of(st.none(), st.integers(-5, 20000))
amount = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cell, number, amount), max_size=30))
def test_no_row_vanishes_whatever_it_holds(rows):
    frame = sales(rows)
    good, bad = split(TABLES["sales"], frame, standard_rules(TABLES["sales"], frame.columns))
    assert good.height + bad.height == len(rows)
    assert bad.get_column("row").is_unique().all()
    assert good.null_count().select("product_id", "day", "quantity").sum_horizontal().item() == 0
