"""Import of source tables: validation, merging by key, parts, and the report."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import open_dataset
from features.errors import ImportRejected, InvalidInput, Unavailable
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.source_table import SourceTable
from features.ingest.validation import Rule
from features.storage.locks import job_lock


def sales(rows: list[tuple[str | None, int | None, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"product_id": pl.String, "day": pl.Int32, "quantity": pl.Float64},
        orient="row",
    )


GOOD = [("milk", 19000, 2.0), ("milk", 19001, 1.0), ("tea", 19000, 5.0)]


def import_sales(home, rows, *, rows_per_part=1000, **kwargs):
    table = SourceTable("sales", sales(rows), **kwargs)
    return import_tables(home, "shop", [table], 0.5, rows_per_part)


def stored(home) -> list[tuple[str, int, float]]:
    frame = open_dataset(home, "shop").table("sales").collect().to_polars()
    return sorted(frame.select("product_id", "day", "quantity").rows())


def rejected(home: Path) -> pl.DataFrame:
    return scan_quarantine(quarantine_file(home, "shop")).collect()


def files(home) -> set[str]:
    return {path.name for path in (home / "datasets" / "shop" / "tables").iterdir()}


MANY = [(f"p{product}", 19000 + day, 1.0 + day) for product in range(40) for day in range(3)]


def test_an_invalid_row_is_quarantined_with_its_column_value_and_reason(tmp_path):
    import_sales(tmp_path, [*GOOD, ("tea", 100, 4.0)])
    quarantined = rejected(tmp_path).row(0, named=True)
    columns = ("table", "row", "column", "value", "reason")
    assert {name: quarantined[name] for name in columns} == {
        "table": "sales",
        "row": 3,
        "column": "day",
        "value": "100",
        "reason": "day is below 7305",
    }


def test_a_repeated_import_changes_nothing(tmp_path):
    first = import_sales(tmp_path, GOOD)
    second = import_sales(tmp_path, GOOD)
    assert first.snapshot == second.snapshot
    assert second.tables["sales"].accepted == 0
    assert second.tables["sales"].duplicates == 3


def test_an_overlapping_import_adds_new_rows_only(tmp_path):
    import_sales(tmp_path, GOOD)
    report = import_sales(tmp_path, [*GOOD[1:], ("tea", 19001, 7.0)]).tables["sales"]
    assert (report.accepted, report.duplicates, report.replaced) == (1, 2, 0)
    assert len(stored(tmp_path)) == 4


def test_a_corrected_row_replaces_the_stored_one_and_is_counted(tmp_path):
    import_sales(tmp_path, GOOD)
    report = import_sales(tmp_path, [("milk", 19000, 9.0)]).tables["sales"]
    assert (report.accepted, report.replaced) == (1, 1)
    assert ("milk", 19000, 9.0) in stored(tmp_path)


def test_too_many_invalid_rows_stop_the_import_and_leave_the_dataset_unchanged(tmp_path):
    before = import_sales(tmp_path, GOOD).snapshot
    with pytest.raises(ImportRejected, match="sales") as caught:
        import_sales(tmp_path, [("tea", 19002, 1.0), (None, 19000, 1.0), (None, 19001, 1.0)])
    assert "product_id is missing" in caught.value.message
    assert open_dataset(tmp_path, "shop").snapshot == before


def test_a_rule_of_the_source_quarantines_rows(tmp_path):
    rule = Rule("product_id", "a test product", pl.col("product_id") == "tea")
    report = import_sales(tmp_path, GOOD, rules=[rule]).tables["sales"]
    assert (report.accepted, report.quarantined) == (2, 1)


def test_a_lazy_frame_is_imported_like_the_same_rows_in_memory(tmp_path):
    eager = import_sales(tmp_path / "eager", MANY)
    source = SourceTable("sales", sales(MANY).lazy())
    lazy = import_tables(tmp_path / "lazy", "shop", [source], 0.5, 1000)
    assert (lazy.snapshot, lazy.tables) == (eager.snapshot, eager.tables)


def test_the_order_of_columns_does_not_change_the_snapshot(tmp_path):
    first = import_sales(tmp_path / "a", GOOD)
    reordered = sales(GOOD).select("quantity", "day", "product_id")
    second = import_tables(tmp_path / "b", "shop", [SourceTable("sales", reordered)], 0.5, 1000)
    assert first.snapshot == second.snapshot


def test_two_sources_of_one_table_are_both_stored_and_counted_in_one_report(tmp_path):
    till, web = (SourceTable("sales", sales(rows)) for rows in (GOOD[:2], GOOD[1:]))
    report = import_tables(tmp_path, "shop", [till, web], 0.5).tables["sales"]
    assert (report.read, report.accepted, report.duplicates) == (4, 3, 1)
    assert stored(tmp_path) == sorted(GOOD)


def test_rows_split_among_many_sources_give_the_snapshot_of_one_source(tmp_path):
    at_once = import_sales(tmp_path / "one", MANY, rows_per_part=20)
    portions = [SourceTable("sales", sales(MANY[start::7])) for start in range(7)]
    assert import_tables(tmp_path / "many", "shop", portions, 0.5, 20).snapshot == at_once.snapshot


def test_a_large_table_is_stored_in_parts_and_a_small_one_in_one_file(tmp_path):
    import_sales(tmp_path / "large", MANY, rows_per_part=20)
    import_sales(tmp_path / "small", MANY)
    assert (len(files(tmp_path / "large")), len(files(tmp_path / "small"))) == (8, 1)


def test_a_change_rewrites_only_its_own_part(tmp_path):
    import_sales(tmp_path, MANY, rows_per_part=20)
    before = files(tmp_path)
    import_sales(tmp_path, [("p0", 19000, 99.0)], rows_per_part=20)
    assert len(files(tmp_path) - before) == 1


def test_a_table_imported_in_steps_has_the_snapshot_of_one_import(tmp_path):
    at_once = import_sales(tmp_path / "at once", MANY, rows_per_part=20)
    for start in range(0, len(MANY), 25):
        in_steps = import_sales(tmp_path / "in steps", MANY[start : start + 25], rows_per_part=20)
    assert in_steps.snapshot == at_once.snapshot


def test_repeated_rows_do_not_change_the_snapshot(tmp_path):
    once = import_sales(tmp_path / "once", MANY, rows_per_part=20)
    often = import_sales(tmp_path / "often", MANY * 5, rows_per_part=20)
    assert often.snapshot == once.snapshot
    assert often.tables["sales"].duplicates == 4 * len(MANY)


def test_a_column_added_by_a_later_import_is_null_in_earlier_rows(tmp_path):
    import_sales(tmp_path, GOOD)
    priced = sales([("tea", 19005, 1.0)]).with_columns(price=pl.lit(2.5))
    import_tables(tmp_path, "shop", [SourceTable("sales", priced)], 0.5)
    prices = open_dataset(tmp_path, "shop").table("sales").collect().to_polars()["price"]
    assert sorted(prices.to_list(), key=str) == [2.5, None, None, None]


def test_a_column_with_another_type_than_the_stored_one_raises_with_its_name(tmp_path):
    products = pl.DataFrame({"product_id": ["milk"], "size": [1.5]})
    import_tables(tmp_path, "shop", [SourceTable("products", products)], 0.5)
    changed = SourceTable("products", products.cast({"size": pl.String}))
    with pytest.raises(InvalidInput, match="size of products"):
        import_tables(tmp_path, "shop", [changed], 0.5)


def test_an_import_removes_files_that_no_snapshot_references(tmp_path):
    import_sales(tmp_path, GOOD)
    (tmp_path / "datasets" / "shop" / "tables" / "sales-0000.parquet").write_bytes(b"orphan")
    import_sales(tmp_path, [("tea", 19009, 1.0)])
    assert "sales-0000.parquet" not in files(tmp_path)
    assert not (tmp_path / "datasets" / "shop" / "staging").exists()


def test_earlier_snapshots_stay_readable(tmp_path):
    first = import_sales(tmp_path, GOOD).snapshot
    import_sales(tmp_path, [("tea", 19009, 1.0)])
    earlier = open_dataset(tmp_path, "shop", first).table("sales").collect()
    assert earlier.shape[0] == len(GOOD)


def test_a_concurrent_import_into_the_same_dataset_raises(tmp_path):
    with job_lock(tmp_path, "import-shop"), pytest.raises(Unavailable, match="import-shop"):
        import_sales(tmp_path, GOOD)


cell = st.one_of(st.none(), st.sampled_from(["milk", "tea", "bread", "ö" * 40, ""]))
number = st.one_of(st.none(), st.integers(-5, 20000))
amount = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
anything = st.lists(st.tuples(cell, number, amount), max_size=30)
by_key = st.dictionaries(
    st.tuples(st.text(max_size=9), st.integers(19000, 19009)), st.floats(0, 9), max_size=30
)


@settings(max_examples=20, deadline=None)
@given(anything, anything)
def test_every_row_is_accepted_quarantined_or_a_duplicate(first, second):
    with tempfile.TemporaryDirectory() as folder:
        for rows in (first, second):
            table = SourceTable("sales", sales(rows))
            report = import_tables(Path(folder), "shop", [table], 1.0, 8).tables["sales"]
            assert report.read == len(rows)
            assert report.read == report.accepted + report.quarantined + report.duplicates
            quarantined = rejected(Path(folder))
            assert quarantined.height == report.quarantined
            assert quarantined.get_column("row").is_unique().all()


@settings(max_examples=20, deadline=None)
@given(st.data(), by_key)
def test_order_and_split_of_rows_do_not_change_the_snapshot_hash(data, by_key):
    rows = [(product, day, amount) for (product, day), amount in by_key.items()]
    shuffled = data.draw(st.permutations(rows))
    split = data.draw(st.integers(0, len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        at_once, in_two = Path(folder) / "at once", Path(folder) / "in two"
        expected = import_sales(at_once, rows, rows_per_part=8).snapshot
        import_sales(in_two, shuffled[:split], rows_per_part=8)
        # The second import repeats rows of the first.
        assert import_sales(in_two, shuffled[split // 2 :], rows_per_part=8).snapshot == expected


@settings(max_examples=20, deadline=None)
@given(anything, by_key)
def test_invalid_rows_do_not_change_the_snapshot_of_valid_rows(bad, by_key):
    good = [(product, day, amount) for (product, day), amount in by_key.items()]
    bad = [(product, -1, amount) for product, _, amount in bad]
    with tempfile.TemporaryDirectory() as folder:
        mixed, clean = Path(folder) / "mixed", Path(folder) / "clean"
        both = [row for pair in zip(good, bad, strict=False) for row in pair]
        both += good[len(bad) :] + bad[len(good) :]
        table = SourceTable("sales", sales(both))
        report = import_tables(mixed, "shop", [table], 1.0, 8)
        assert report.snapshot == import_sales(clean, good, rows_per_part=8).snapshot
