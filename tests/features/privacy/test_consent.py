"""Consent: customers without it are in no personal feature, and their purchases count as demand."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.dataset import Dataset, open_dataset
from features.demand.grain import Grain
from features.demand.series import units_by_period
from features.errors import ImportRejected
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.interactions.builder import interactions
from features.interactions.products import product_statistics
from features.privacy.consent import YES

AS_OF = datetime(2024, 2, 1)
ANSWERS = {"ada": "yes", "bob": "no", "eve": None}


def orders(*customer_ids: str | None) -> pl.DataFrame:
    rows = [
        (
            customer_id,
            f"{customer_id}-{n}",
            0,
            "tea",
            "s1",
            datetime(2024, 1, 2 + 3 * n),
            19724 + 3 * n,
            1.0,
            2.0,
        )
        for customer_id in customer_ids
        for n in range(4)
    ]
    names = ["customer_id", "order_id", "line", "product_id", "location_id", "ts", "day"]
    frame = pl.DataFrame(
        rows,
        schema=[*names, "quantity", "revenue"],
        schema_overrides={"ts": pl.Datetime("us"), "day": pl.Int32, "line": pl.Int32},
        orient="row",
    )
    return frame.with_columns(kind=pl.lit("sale"))


def shop(consent: dict[str, object] | None, **further: list[object]) -> Dataset:
    columns = {"customer_id": list(consent or ANSWERS), **further}
    if consent is not None:
        columns["consent"] = list(consent.values())
    touchpoints = pl.DataFrame(
        {"customer_id": ["ada", "bob"], "ts": [datetime(2024, 1, 5)] * 2, "campaign_id": "c"}
    ).with_columns(kind=pl.lit("sent"), day=pl.lit(19727, pl.Int32))
    frames = {
        "orders": orders("ada", "bob", "eve", "stranger", None),
        "customers": pl.DataFrame(columns, strict=False),
        "touchpoints": touchpoints.with_columns(pl.col("ts").cast(pl.Datetime("us"))),
    }
    return Dataset.from_frames("shop", frames)


def ids(frame) -> set[str]:
    return set(frame.collect().get_column("customer_id").to_list())


def test_builders_have_consenting_customers_only():
    dataset = shop(ANSWERS)
    assert ids(customers(dataset, AS_OF)) == {"ada"}
    assert ids(interactions(dataset, AS_OF)) == {"ada"}
    assert ids(dataset.table("touchpoints")) == {"ada"}
    assert ids(dataset.table("customers")) == {"ada"}


def test_purchases_without_consent_count_as_demand_and_popularity():
    with_consent, without_column = shop(ANSWERS), shop(None)
    for count in (
        lambda dataset: product_statistics(dataset, AS_OF),
        lambda dataset: units_by_period(dataset, Grain.parse("product:day"), 19754),
    ):
        counted, expected = (
            count(dataset).collect().to_polars() for dataset in (with_consent, without_column)
        )
        assert_frame_equal(counted, expected, check_row_order=False)
        assert counted.height


def test_without_a_consent_column_all_customers_are_kept():
    assert ids(customers(shop(None), AS_OF)) == {"ada", "bob", "eve", "stranger"}


@pytest.mark.parametrize("yes", [*YES, True, 1, 1.0, " Yes "])
def test_a_yes_is_recognised(yes):
    assert ids(shop({"ada": yes}).table("customers")) == {"ada"}


@pytest.mark.parametrize("no", ["no", "false", "0", "", None, False, 0])
def test_a_no_and_a_missing_value_are_no_consent(no):
    assert ids(shop({"ada": no}).table("customers")) == set()


@pytest.mark.parametrize("unclear", ["maybe", "ja", 2])
def test_an_unclear_value_is_refused_and_named(unclear):
    with pytest.raises(ImportRejected, match=f"neither yes nor no.*consent: '{unclear}'"):
        shop({"ada": unclear})


def test_every_consent_column_needs_a_yes():
    dataset = shop({"ada": True, "bob": True}, consent_profile=["yes", "no"])
    assert ids(dataset.table("customers")) == {"ada"}


def test_a_withdrawal_applies_from_its_import_on(tmp_path):
    def bring(consent: str) -> set[str]:
        people = pl.DataFrame({"customer_id": ["ada"], "consent": [consent]})
        tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
        import_tables(tmp_path, "shop", tables, 0.0)
        return ids(customers(open_dataset(tmp_path, "shop"), AS_OF))

    assert (bring("yes"), bring("no"), bring("yes")) == ({"ada"}, set(), {"ada"})


def test_a_withdrawal_applies_to_older_snapshots(tmp_path):
    snapshots = {}
    for consent in ("yes", "no"):
        people = pl.DataFrame({"customer_id": ["ada"], "consent": [consent]})
        tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
        snapshots[consent] = import_tables(tmp_path, "shop", tables, 0.0).snapshot
    older = open_dataset(tmp_path, "shop", snapshots["yes"])
    assert ids(customers(older, AS_OF)) == set()


def test_consent_does_not_change_stored_rows(tmp_path):
    people = pl.DataFrame({"customer_id": ["ada"], "consent": ["no"]})
    tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
    import_tables(tmp_path, "shop", tables, 0.0)
    again = import_tables(tmp_path, "shop", tables, 0.0).tables
    assert {report.duplicates for report in again.values()} == {4, 1}
