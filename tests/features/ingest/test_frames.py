"""Frames in memory: the checks of files, for pandas, Polars and other engines."""

from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.dataset import Dataset, open_dataset
from features.errors import ImportRejected, InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped
from features.long_frames import tables_of_series
from foresell.ids import read_ids

COLUMNS = ("customer_id", "order_id", "product_id", "ts", "quantity", "unit_price")


@pytest.fixture
def lines() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [12353.0, np.nan, 7.0],
            "order_id": [1, 1, 2],
            "product_id": ["85123A", 22423, 22423.0],
            "ts": ["2024-01-01 10:00", "2024-01-01 10:00", "2024-01-02"],
            "quantity": [1, 2, 3],
            "unit_price": [1.5, 2.0, 3.0],
        }
    )


def stored(dataset: Dataset, table: str = "orders") -> pl.DataFrame:
    return dataset.table(table).collect().to_polars()


def test_lines_and_kinds_are_derived_and_ids_are_whole(lines):
    rows = stored(Dataset.from_frames("shop", {"orders": lines}))
    assert rows.select(
        "customer_id", "order_id", "line", "product_id", "kind", "revenue"
    ).rows() == [
        ("12353", "1", 0, "85123A", "sale", 1.5),
        (None, "1", 1, "22423", "sale", 4.0),
        ("7", "2", 0, "22423", "sale", 9.0),
    ]
    assert rows.get_column("ts")[2] == datetime(2024, 1, 2)


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda frame: pl.from_pandas(frame).lazy(),
        nw.from_native,
        lambda frame: pl.from_pandas(frame).to_arrow(),
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype("category"),
        lambda frame: frame.astype(object),
    ],
    ids=["polars", "lazy", "narwhals", "arrow", "nullable", "categories", "objects"],
)
def test_every_engine_and_type_gives_the_same_dataset(lines, convert):
    lines = lines.assign(product_id=["85123A", "22423", "22423"])
    expected = Dataset.from_frames("shop", {"orders": lines})
    assert Dataset.from_frames("shop", {"orders": convert(lines)}).snapshot == expected.snapshot


def test_a_repeated_line_counts_once(lines):
    numbered = lines.assign(line=[0, 1, 0])
    twice = pd.concat([numbered, numbered])
    dataset = Dataset.from_frames("shop", {"orders": twice})
    assert stored(dataset).height == 3
    assert dataset.report.tables["orders"].duplicates == 3


def test_missing_quantities_are_quarantined_with_a_warning(lines):
    lines = pd.concat([lines] * 10, ignore_index=True).astype({"quantity": float})
    lines.loc[4, "quantity"] = np.nan
    with pytest.warns(UserWarning, match="1 rows of orders: quantity is missing"):
        dataset = Dataset.from_frames("shop", {"orders": lines})
    assert dataset.quarantine.select("row", "column").rows() == [(4, "quantity")]
    assert stored(dataset).height == 29


def test_too_many_invalid_rows_are_refused_with_an_example(lines):
    lines["ts"] = ["2024-01-01", "yesterday", "2024-01-02"]
    with pytest.raises(ImportRejected, match=r"ts is not a date.*row 1.*'yesterday'"):
        Dataset.from_frames("shop", {"orders": lines})


def test_an_unknown_kind_is_no_sale(lines):
    with pytest.raises(ImportRejected, match=r"kind is none of sale, return.*'buy'"):
        Dataset.from_frames("shop", {"orders": lines.assign(kind="buy")})
    refunded = Dataset.from_frames("shop", {"orders": lines.assign(kind="Refund")})
    assert set(stored(refunded).get_column("kind")) == {"return"}


def test_zoned_timestamps_need_and_get_the_local_time_zone(lines):
    lines["ts"] = pd.to_datetime(lines["ts"], format="mixed").dt.tz_localize("UTC")
    with pytest.raises(InvalidInput, match="local_time_zone"):
        Dataset.from_frames("shop", {"orders": lines})
    local = Dataset.from_frames("shop", {"orders": lines}, local_time_zone="Asia/Tokyo")
    assert stored(local).get_column("ts")[0] == datetime(2024, 1, 1, 19)


def test_columns_without_a_meaning_are_named(lines):
    with pytest.warns(UserWarning, match="orders does not use custmer"):
        dataset = Dataset.from_frames(
            "shop", {"orders": lines.rename(columns={"customer_id": "custmer"})}
        )
    assert not dataset.has("orders", "customer_id")


@pytest.mark.parametrize(
    ("frames", "field"),
    [
        ({"order": pd.DataFrame()}, "order"),
        ({"orders": [1]}, "orders"),
        ({"orders": pd.DataFrame({"quantity": [1]})}, "orders.ts"),
        ({"orders": pd.DataFrame({"ts": ["2024-01-01"], "product_id": [["a"]]})}, None),
        ({"orders": pd.DataFrame([["2024-01-01", 1]], columns=["ts", "ts"])}, "orders"),
        ({"orders": pd.DataFrame({"ts": ["x"], "revenue": [1], "unit_price": [1]})}, None),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(frames, field):
    with pytest.raises(InvalidInput) as caught:
        Dataset.from_frames("shop", frames)
    assert field is None or caught.value.field == field


def test_order_lines_may_describe_their_products(lines):
    lines["category"] = ["lamps", None, "cups"]
    with pytest.warns(UserWarning, match="orders does not use category"):
        dataset = Dataset.from_frames(
            "shop", {"orders": lines, "products": lines[["product_id", "category"]]}
        )
    assert dict(stored(dataset, "products").rows()) == {"85123A": "lamps", "22423": "cups"}


def test_days_may_be_dates_or_counts():
    by_date = pl.DataFrame({"product_id": ["a"], "day": [date(2024, 1, 2)], "quantity": [3.0]})
    by_count = by_date.with_columns(pl.col("day").cast(pl.Int32))
    snapshots = {Dataset.from_frames("s", {"sales": f}).snapshot for f in (by_date, by_count)}
    assert len(snapshots) == 1


ids = st.sampled_from(["a", "7", "12353.0", "Käse", None])
VALUES = {
    "customer_id": ids,
    "order_id": st.sampled_from(["1", "2", "3"]),
    "product_id": ids,
    "ts": st.sampled_from(["2024-01-01 10:00:00", "2024-01-02", "1.2.24", "2999-01-01", None]),
    "quantity": st.sampled_from(["1", "2.5", "-1", "0", "1,000.0", "many", "NaN", None]),
    "unit_price": st.sampled_from(["1.5", "€ 2", "-3", None]),
}


@pytest.mark.filterwarnings("ignore:.*is missing|.*rows of orders")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.fixed_dictionaries(VALUES), max_size=12),
    dropped=st.sets(st.sampled_from(["customer_id", "order_id", "product_id", "quantity"])),
    in_pandas=st.booleans(),
)
def test_a_frame_and_the_same_file_give_the_same_dataset(rows, dropped, in_pandas):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String)).drop(dropped)
    native = frame.to_pandas() if in_pandas else frame
    of_frame = Dataset.from_frames("shop", {"orders": native}, max_bad_share=1.0)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frame.write_csv(folder / "lines.csv")
        columns = ", ".join(f'{name} = "{name}"' for name in frame.columns)
        text = f'name = "shop"\n[orders]\npath = "lines.csv"\ncolumns = {{ {columns} }}\n'
        (folder / "shop.toml").write_text(text)
        tables = read_mapped(read_mapping(folder / "shop.toml"), datetime.now(), folder)
        report = import_tables(folder / "home", "shop", tables, 1.0)
        of_file = stored(open_dataset(folder / "home", "shop"))
    assert_frame_equal(stored(of_frame), of_file)
    counts = of_frame.report.tables["orders"]
    assert counts == report.tables["orders"]
    assert counts.read == frame.height == counts.accepted + counts.quarantined + counts.duplicates
    assert stored(of_frame).height == counts.accepted
    assert of_frame.quarantine.height == counts.quarantined


@pytest.mark.filterwarnings("ignore:.*is missing|.*rows of orders")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    days=st.lists(st.integers(0, 40), min_size=1, unique=True),
    values=st.data(),
)
def test_no_observation_of_a_long_frame_is_lost_or_doubled(days, values):
    known = st.one_of(st.none(), st.integers(0, 9))
    drawn = values.draw(st.lists(known, min_size=len(days), max_size=len(days)))
    frame = pd.DataFrame(
        {
            "unique_id": "s",
            "ds": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"),
            "y": pd.array(drawn, dtype="Int64"),
            "x": range(len(days)),
        }
    )
    observed = [(day, y) for day, y in zip(days, drawn, strict=True) if y is not None]
    if not observed:
        return
    dataset = Dataset.from_frames("s", tables_of_series(frame), max_bad_share=1.0)
    sold = stored(dataset, "sales")
    assert sold.height == len(observed)
    assert sold.get_column("quantity").sum() == sum(y for _, y in observed)
    covariates = stored(dataset, "covariates")
    assert covariates.height == len(days)
    is_ahead = max(days) > max(day for day, _ in observed)
    assert covariates.get_column("known_ahead").to_list() == [is_ahead] * len(days)


@pytest.mark.parametrize(
    "given_ids",
    [
        ["12353", "7"],
        (12353, 7),
        np.array([12353, 7]),
        pd.Series([12353.0, 7.0]),
        pl.Series([12353, 7]),
        pd.Index(["12353", "7"]),
        pd.DataFrame({"customer_id": [12353.0, 7.0]}),
        pl.DataFrame({"customer_id": ["12353", "7"]}),
        pl.LazyFrame({"customer_id": ["12353", "7"]}),
        nw.from_native(pl.DataFrame({"customer_id": ["12353", "7"]})),
    ],
)
def test_ids_may_be_a_list_a_series_or_a_frame(given_ids):
    frame = read_ids(given_ids, ["customer_id"])
    assert frame.rows() == [("12353",), ("7",)]
    assert frame.columns == ["customer_id"]


def test_ids_of_several_keys_are_tuples_or_a_frame():
    keys = ["product_id", "location_id"]
    expected = [("a", "1"), ("b", "2")]
    assert read_ids([("a", 1), ("b", 2)], keys).rows() == expected
    frame = pd.DataFrame({"location_id": [1, 2], "product_id": ["a", "b"]})
    assert read_ids(frame, keys).select(keys).rows() == expected


@pytest.mark.parametrize("given_ids", ["1111", 7, ["a", None], pd.DataFrame({"id": ["a"]})])
def test_ids_that_cannot_be_read_are_refused(given_ids):
    with pytest.raises(InvalidInput, match="ids"):
        read_ids(given_ids, ["customer_id"])
