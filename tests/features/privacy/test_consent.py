"""Consent: who has not said yes is left out of all that is personal, and still counts as demand."""

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.dataset import Dataset, open_dataset
from features.demand.grain import Grain
from features.demand.series import units_by_period
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.interactions.builder import interactions
from features.interactions.locations import local_sales, sales_between
from features.privacy.consent import YES

AS_OF = datetime(2024, 2, 1)
ANSWERS = {"ada": "yes", "bob": "no", "eve": None}


def orders(*who: str | None) -> pl.DataFrame:
    rows = [
        (one, f"{one}-{n}", 0, "tea", "s1", datetime(2024, 1, 2 + 3 * n), 19724 + 3 * n, 1.0, 2.0)
        for one in who
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
    people = {"customer_id": list(consent or ANSWERS), **further}
    if consent is not None:
        people["consent"] = list(consent.values())
    touched = pl.DataFrame(
        {"customer_id": ["ada", "bob"], "ts": [datetime(2024, 1, 5)] * 2, "campaign_id": "c"}
    ).with_columns(kind=pl.lit("sent"), day=pl.lit(19727, pl.Int32))
    frames = {
        "orders": orders("ada", "bob", "eve", "stranger", None),
        "customers": pl.DataFrame(people, strict=False),
        "touchpoints": touched.with_columns(pl.col("ts").cast(pl.Datetime("us"))),
    }
    return Dataset.from_frames("shop", frames)


def ids(frame) -> set[str]:
    return set(frame.collect().get_column("customer_id").to_list())


def test_only_those_who_said_yes_are_customers_to_any_builder():
    dataset = shop(ANSWERS)
    assert ids(customers(dataset, AS_OF)) == {"ada"}
    assert ids(interactions(dataset, AS_OF)) == {"ada"}
    assert ids(dataset.table("touchpoints")) == {"ada"}
    assert ids(dataset.table("customers")) == {"ada"}


def test_what_the_others_buy_counts_as_demand_and_as_popularity():
    with_them, all_known = shop(ANSWERS), shop(None)
    for count in (
        lambda one: local_sales(one, AS_OF),
        lambda one: sales_between(one, datetime(2024, 1, 1), AS_OF),
        lambda one: units_by_period(one, Grain.parse("product:day"), 19754),
    ):
        some, all_ = (count(one).collect().to_polars() for one in (with_them, all_known))
        assert_frame_equal(some, all_, check_row_order=False)
        assert some.height


def test_without_a_column_of_consent_nobody_is_left_out():
    assert ids(customers(shop(None), AS_OF)) == {"ada", "bob", "eve", "stranger"}


@pytest.mark.parametrize("yes", [*YES, True, 1, 1.0, " Yes "])
def test_yes_is_understood(yes):
    assert ids(shop({"ada": yes}).table("customers")) == {"ada"}


@pytest.mark.parametrize("no", ["no", "false", "0", "", "maybe", "ja", None, False, 0, 2])
def test_everything_else_is_a_no(no):
    assert ids(shop({"ada": no}).table("customers")) == set()


def test_of_several_columns_each_has_to_say_yes():
    dataset = shop({"ada": True, "bob": True}, consent_profile=["yes", "no"])
    assert ids(dataset.table("customers")) == {"ada"}


def test_a_withdrawal_counts_from_the_import_that_brings_it(tmp_path):
    def bring(said: str) -> set[str]:
        people = pl.DataFrame({"customer_id": ["ada"], "consent": [said]})
        tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
        import_tables(tmp_path, "shop", tables, 0.0)
        return ids(customers(open_dataset(tmp_path, "shop"), AS_OF))

    assert (bring("yes"), bring("no"), bring("yes")) == ({"ada"}, set(), {"ada"})


def test_a_withdrawal_holds_for_older_snapshots_too(tmp_path):
    told = {}
    for said in ("yes", "no"):
        people = pl.DataFrame({"customer_id": ["ada"], "consent": [said]})
        tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
        told[said] = import_tables(tmp_path, "shop", tables, 0.0).snapshot
    older = open_dataset(tmp_path, "shop", told["yes"])
    assert ids(customers(older, AS_OF)) == set()


def test_consent_takes_nothing_from_what_is_stored(tmp_path):
    people = pl.DataFrame({"customer_id": ["ada"], "consent": ["no"]})
    tables = [SourceTable("orders", orders("ada")), SourceTable("customers", people)]
    import_tables(tmp_path, "shop", tables, 0.0)
    again = import_tables(tmp_path, "shop", tables, 0.0).tables
    assert {one.duplicates for one in again.values()} == {4, 1}
