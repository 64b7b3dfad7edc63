"""Identity resolution: groups of linked ids, canonical ids and undone links."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.customers.builder import customers
from features.dataset import open_dataset
from features.errors import InvalidInput, NotFound
from features.identity import resolve, undo_rule
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.ingest.sources.mapped import read_mapped
from features.privacy.pseudonyms import Pseudonyms
from features.tables import TABLES

SCHEMA = {name: column.dtype for name, column in TABLES["customer_links"].columns.items()}


def links(*rows: tuple[str, str, str], since: int = 0, most: int = 4) -> pl.DataFrame:
    """Make links of (id, kind, value) of one source and one import."""
    frame = pl.DataFrame(rows, ["customer_id", "kind", "value"], orient="row")
    further = {"source": "a.csv", "since": since, "most": most, "undone": None}
    return frame.with_columns(**{k: pl.lit(v) for k, v in further.items()}).cast(SCHEMA)


def canonical_ids(frame: pl.DataFrame) -> dict[str, str]:
    return dict(resolve(frame).ids.select("customer_id", "canonical_id").iter_rows())


def test_ids_are_linked_by_common_values_directly_and_through_other_ids():
    chain = links(("a", "mail", "1"), ("b", "mail", "1"), ("b", "card", "9"), ("c", "card", "9"))
    alone = links(("d", "mail", "2"), ("e", "card", "1"))
    canonical = canonical_ids(pl.concat([chain, alone]))
    assert canonical == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}


def test_the_canonical_id_is_the_one_imported_first():
    known = links(("m", "mail", "1"), ("z", "mail", "2"))
    later = links(("a", "mail", "1"), ("b", "mail", "2"), since=1)
    assert canonical_ids(pl.concat([known, later])) == {"m": "m", "z": "z", "a": "m", "b": "z"}


def test_a_value_with_too_many_ids_links_none_and_is_suspicious():
    shared = links(*((f"c{n}", "card", "till") for n in range(5)))
    pair = links(("c0", "mail", "1"), ("c1", "mail", "1"))
    resolved = resolve(pl.concat([shared, pair]))
    assert resolved.merged.rows() == [("c1", "c0")]
    assert resolved.suspicious.drop("examples").rows() == [("card", "till", 5)]


def test_a_group_that_is_too_large_is_dissolved_and_is_suspicious():
    chain = [(f"c{n}", "card", str(n + step)) for n in range(6) for step in (0, 1)]
    resolved = resolve(links(*chain))
    assert resolved.merged.is_empty()
    assert resolved.suspicious.rows() == [(None, None, 6, ["c0", "c1", "c2"])]


def test_a_rule_undoes_the_matching_links_and_another_restores_them():
    frame = links(("a", "mail", "1"), ("b", "mail", "1"), ("b", "card", "9"), ("c", "card", "9"))
    for field, value, remaining in (
        ("mail", "1", {"c": "b"}),
        ("id", "b", {}),
        ("source", "a.csv", {}),
    ):
        undone = pl.concat([frame, undo_rule(frame, field, value, undone=True)])
        assert dict(resolve(undone).merged.iter_rows()) == remaining
        restored = pl.concat([frame, undo_rule(frame, field, value, undone=False)])
        assert resolve(restored).ids.equals(resolve(frame).ids)
    with pytest.raises(NotFound, match="card, mail"):
        undo_rule(frame, "phone", "1", undone=True)


LINK = st.tuples(
    st.sampled_from("abcdefgh"), st.sampled_from(["mail", "card"]), st.sampled_from("1234")
)


def components(rows: list[tuple[str, str, str]]) -> dict[str, set[str]]:
    """Find the groups of linked ids by merging sets until nothing changes."""
    groups = {row[0]: {row[0]} for row in rows}
    for _ in groups:
        for left, kind, value in rows:
            for right, *key in rows:
                if key == [kind, value]:
                    groups[left] = groups[left] | groups[right]
                    for member in groups[left]:
                        groups[member] = groups[left]
    return groups


@settings(max_examples=60, deadline=None)
@given(st.lists(LINK, min_size=1, max_size=14), st.randoms())
def test_groups_are_the_components_of_the_graph_in_any_order_of_links(rows, random):
    canonical = canonical_ids(links(*rows, most=100))
    groups = components(rows)
    for id_ in groups:
        assert {other for other in groups if canonical[other] == canonical[id_]} == groups[id_]
        assert canonical[id_] == min(groups[id_])
    random.shuffle(rows)
    assert canonical_ids(links(*rows, most=100)) == canonical


@settings(max_examples=60, deadline=None)
@given(st.lists(LINK, min_size=1, max_size=8), st.lists(LINK, max_size=8))
def test_later_links_change_a_canonical_id_only_by_merging_two_groups(first, later):
    known = canonical_ids(links(*first, most=100))
    both = canonical_ids(pl.concat([links(*first, most=100), links(*later, since=1, most=100)]))
    for id_, canonical in known.items():
        assert both[id_] in known.values()
        # A changed id is that of a group known before.
        assert both[id_] == canonical or both[id_] < canonical
    for canonical in both.values():
        assert both[canonical] == canonical


MAPPING = """name = "shop"
[[orders]]
path = "till.csv"
columns = { customer_id = "card", order_id = "bon", ts = "at", revenue = "paid", product_id = "sku" }
constants = { channel = "shop" }
[[orders]]
path = "web.csv"
columns = { customer_id = "user", order_id = "order", ts = "at", revenue = "paid", mail = "mail", product_id = "item" }
constants = { channel = "web" }
[[customers]]
path = "cards.csv"
columns = { customer_id = "card", mail = "mail", town = "town" }
[[products]]
path = "skus.csv"
columns = { product_id = "sku", name = "name", ean = "ean" }
[[products]]
path = "items.csv"
columns = { product_id = "item", name = "title", ean = "ean" }
[identity]
customer_id = ["mail"]
product_id = ["ean"]
most = 3
"""  # noqa: E501
FILES = {
    "till.csv": "bon,card,at,paid,sku\n1,c1,2024-01-01,10,s1\n2,c2,2024-01-03,20,s2\n",
    "web.csv": "order,user,at,paid,mail,item\n"
    "w1,u1,2024-01-05,5,h1,i1\nw2,u9,2024-01-06,7,h9,i2\nw3,u1,2024-01-09,5,h1,i2\n",
    "cards.csv": "card,mail,town\nc1,h1,Ulm\nc2,,Bonn\n",
    "skus.csv": "sku,name,ean\ns1,Tea,4001\ns2,Jam,4002\n",
    "items.csv": "item,title,ean\ni1,Fine tea,4001\ni2,Rum,4003\n",
}
AS_OF = datetime(2024, 1, 9)


@pytest.fixture
def bring(tmp_path):
    """Import the shop's files, with changes to some; returns report and dataset."""

    def read(text: str = MAPPING, pseudonyms: Pseudonyms | None = None, **changed: str):
        for name, content in {**FILES, **changed}.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        (tmp_path / "shop.toml").write_text(text)
        (tmp_path / "scratch").mkdir(exist_ok=True)
        mapping = read_mapping(tmp_path / "shop.toml")
        tables = read_mapped(mapping, datetime.now(), tmp_path / "scratch", pseudonyms)
        check = pseudonyms.check if pseudonyms else None
        report = import_tables(tmp_path, "shop", tables, max_bad_share=0.0, key_check=check)
        return report, open_dataset(tmp_path, "shop")

    return read


def features(dataset):
    return customers(dataset, AS_OF).collect().to_polars().sort("customer_id")


def rows(dataset, table, *columns):
    return dataset.table(table).select(*columns).collect().to_polars().sort(*columns).rows()


def test_customers_of_two_channels_and_products_of_two_catalogues_are_merged(bring):
    report, dataset = bring()
    for table in report.tables.values():
        assert table.read == table.accepted + table.quarantined + table.duplicates
    assert rows(dataset, "orders", "order_id", "customer_id", "product_id") == [
        ("1", "c1", "i1"),
        ("2", "c2", "s2"),
        ("w1", "c1", "i1"),
        ("w2", "u9", "i2"),
        ("w3", "c1", "i2"),
    ]
    assert rows(dataset, "products", "product_id", "name") == [
        ("i1", "Fine tea"),
        ("i2", "Rum"),
        ("s2", "Jam"),
    ]
    # Values of links are no attributes.
    assert dataset.columns("customers") == ["customer_id", "town"]
    known = features(dataset)
    assert known.filter(pl.col("customer_id") == "c1").get_column("visits").item() == 2


def test_a_repeated_import_changes_nothing_and_a_later_file_changes_no_id(bring):
    _, first = bring()
    report, again = bring()
    assert again.snapshot == first.snapshot
    assert report.tables["customer_links"].accepted == 0
    more = FILES["web.csv"] + "w4,a0,2024-01-10,9,h9,i1\n"
    _, later = bring(web_csv=more)
    assert rows(later, "orders", "order_id", "customer_id")[-1] == ("w4", "u9")


def test_undoing_a_source_gives_the_features_of_the_dataset_without_it(bring, tmp_path):
    without = MAPPING.replace(' mail = "mail", product_id = "item"', ' product_id = "item"')
    _, dataset = bring(without)
    plain = features(dataset)
    _, dataset = bring()
    stored = dataset.table("customer_links").collect().to_polars()
    undo = undo_rule(stored, "source", "web.csv", undone=True)
    import_tables(tmp_path, "shop", [SourceTable("customer_links", undo)], 0.0)
    undone = open_dataset(tmp_path, "shop")
    assert undone.snapshot != dataset.snapshot
    assert_frame_equal(features(undone), plain)
    # Later links of the source are undone too.
    _, later = bring(web_csv=FILES["web.csv"] + "w4,u2,2024-01-07,9,h1,i1\n")
    assert ("w4", "u2") in rows(later, "orders", "order_id", "customer_id")


def test_later_orders_do_not_change_features_of_merged_customers(bring):
    _, dataset = bring()
    before = features(dataset)
    _, later = bring(web_csv=FILES["web.csv"] + "w4,u1,2024-02-10,9,h1,i1\n")
    assert_frame_equal(features(later), before)


def test_values_are_hashed_if_ids_are(bring):
    pseudonyms = Pseudonyms.from_key("a key that is long enough")
    _, dataset = bring(MAPPING.replace('"shop"\n', '"shop"\npseudonymise = true\n', 1), pseudonyms)
    stored = dataset.table("customer_links").collect().to_polars()
    assert set(stored.get_column("value")) == {
        pseudonyms.pseudonym("h1"),
        pseudonyms.pseudonym("h9"),
    }
    assert rows(dataset, "orders", "order_id", "customer_id")[2][1] == pseudonyms.pseudonym("c1")


def test_consent_needs_a_yes_and_no_no_among_linked_ids(bring):
    text = MAPPING.replace('town = "town"', 'consent = "agreed"')
    cards = "card,mail,agreed\nc1,h1,yes\nc2,h9,yes\nc3,h9,no\n"
    _, dataset = bring(text, cards_csv=cards)
    stored = dataset.table("orders").collect().to_polars().sort("order_id")
    # c1 is linked to u1 of the web shop; u9 to c2 and c3, and c3 has a no.
    assert stored.get_column("customer_id").to_list() == ["c1", None, "c1", None, "c1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MAPPING.replace('["mail"]', '["mail", "phone"]'), "names phone, which no table has"),
        (MAPPING.replace("most = 3", "most = 1"), "most = 1"),
        (MAPPING.replace("most = 3", "more = 3"), "there is no key 'more'; use customer_id"),
        (MAPPING.replace('customer_id = "user", ', ""), "names mail without customer_id"),
        (MAPPING + '[customer_links]\npath = "x.csv"\n', "there is no key 'customer_links'"),
    ],
)
def test_a_mistake_is_reported_with_the_line_of_the_mapping(bring, text, message):
    with pytest.raises(InvalidInput, match=f"shop.toml(, line .*)?: .*{message}"):
        bring(text)
