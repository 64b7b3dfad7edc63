"""Controlled vocabularies and limits: kinds, consents, days and shares of mapped sources."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput

TILL = """name = "shop"
[orders]
path = "till.csv"
columns = { order_id = "bon", product_id = "sku", ts = "when", kind = "type", quantity = "qty" }
"""
MAILS = """[touchpoints]
path = "mails.csv"
columns = { customer_id = "id", ts = "at", campaign_id = "campaign", kind = "what" }
"""
OFFERS = """[promotions]
path = "offers.csv"
columns = { product_id = "item", from_day = "from", to_day = "until", depth = "off" }
constants = { kind = "discount" }
"""
PEOPLE = """[customers]
path = "people.csv"
columns = { customer_id = "id", consent = "agreed" }
"""


def till(*kinds: str, quantity: int = 2) -> str:
    lines = [f"{n},tea,2024-01-02,{kind},{quantity}" for n, kind in enumerate(kinds)]
    return "\n".join(["bon,sku,when,type,qty", *lines, ""])


def kinds_of(dataset) -> list[tuple[str, float]]:
    orders = dataset.table("orders").collect().to_polars()
    return orders.sort("order_id").select("kind", "quantity").rows()


def test_words_for_sale_and_return_are_read_in_any_case(import_files, tmp_path):
    words = ("Sale", "SALE", " sale", "Refund", "RETURN", "Returned")
    _, dataset, _ = import_files(tmp_path, mapping=TILL, till=till(*words))
    assert kinds_of(dataset) == [("sale", 2.0)] * 3 + [("return", -2.0)] * 3


def test_an_unknown_word_is_quarantined_by_name_and_never_a_sale(import_files, tmp_path):
    report, dataset, rejected = import_files(
        tmp_path, mapping=TILL, till=till("Sale", "Exchange", "RT", "")
    )
    assert kinds_of(dataset) == [("sale", 2.0)]
    assert report.tables["orders"].quarantined == 3
    assert rejected.get_column("value").to_list() == ["Exchange", "RT", None]
    reasons = rejected.get_column("reason").to_list()
    assert reasons[0] == "kind is none of sale, return; name the word under kinds"
    assert reasons[2] == "kind is missing"


def test_the_mapping_adds_words_and_may_name_the_blank(import_files, tmp_path):
    kinds = 'kinds = { return = ["Refund", "RT"], sale = ["", 1] }\n'
    lines = till("rt", "", "1", "refund")
    _, dataset, _ = import_files(tmp_path, mapping=TILL + kinds, till=lines)
    assert [kind for kind, _ in kinds_of(dataset)] == ["return", "sale", "sale", "return"]


def test_a_negative_line_without_a_kind_is_a_return(import_files, tmp_path):
    _, dataset, _ = import_files(tmp_path, mapping=TILL, till=till("", quantity=-2))
    assert kinds_of(dataset) == [("return", -2.0)]


def test_kinds_of_touchpoints_are_read_or_quarantined(import_files, tmp_path):
    mails = (
        "id,at,campaign,what\n7,2024-01-02,c,Sent\n7,2024-01-03,c,Open\n7,2024-01-04,c,bounced\n"
    )
    _, dataset, rejected = import_files(tmp_path, till=[], rules=MAILS, mails=mails)
    stored = dataset.table("touchpoints").collect().to_polars()
    assert stored.get_column("kind").sort().to_list() == ["seen", "sent"]
    assert rejected.get_column("value").to_list() == ["bounced"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('kinds = { refund = ["RT"] }\n', "no kind 'refund' for kinds; use sale, return"),
        (OFFERS + 'kinds = { sale = ["x"] }\n', "its kinds are free"),
    ],
)
def test_kinds_names_kinds_of_the_table(import_files, tmp_path, rules, message):
    with pytest.raises(InvalidInput, match=message):
        import_files(tmp_path, mapping=TILL + rules, till=till("sale"))


def test_a_constant_kind_is_checked(import_files, tmp_path):
    mapping = TILL.replace('kind = "type", ', "") + 'constants = { kind = "swap" }\n'
    with pytest.raises(InvalidInput, match=r"line 5: .*'swap' is none of sale, return"):
        import_files(tmp_path, mapping=mapping, till=till("sale"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("tea,2024-01-01,2024-01-08,1.5", "depth is above 1"),
        ("tea,2024-01-01,2024-01-08,-10%", "depth is below 0"),
        ("tea,2024-01-08,2024-01-08,10%", "to_day is not after from_day"),
        ("tea,1980-01-01,2024-01-08,10%", "from_day is before 1990-01-01"),
    ],
)
def test_values_beyond_the_limits_of_a_column_are_quarantined(import_files, tmp_path, row, reason):
    offers = f"item,from,until,off\ntea,2024-01-01,2024-01-08,20%\n{row}\n"
    _, dataset, rejected = import_files(tmp_path, till=[], rules=OFFERS, offers=offers)
    assert rejected.get_column("reason").to_list() == [reason]
    assert dataset.table("promotions").collect().to_polars().get_column("depth").to_list() == [0.2]


def test_an_unclear_consent_is_quarantined_and_withdraws_a_stored_one(import_files, tmp_path):
    first = "id,agreed\n1,yes\n2,No\n3,\n4,TRUE\n"
    import_files(tmp_path, till=[], rules=PEOPLE, people=first)
    report, dataset, rejected = import_files(
        tmp_path, till=[], rules=PEOPLE, people=first.replace("1,yes", "1,withdrawn")
    )
    assert rejected.select("value", "reason").rows() == [
        ("withdrawn", "consent is neither yes nor no")
    ]
    assert report.tables["customers"].quarantined == 1
    # Customers without consent have no rows in an opened dataset.
    stored = dataset.table("customers").collect().to_polars()
    assert stored.get_column("customer_id").to_list() == ["4"]


words = st.one_of(
    st.sampled_from(["sale", "Refund", "RETURN", " Sold ", "", "NULL", "swap"]),
    st.text(st.characters(codec="utf-8", exclude_characters='\r\n",;'), max_size=8),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(words, st.integers(-2, 2)), max_size=12))
def test_no_word_raises_and_every_row_is_counted_once(import_files, rows):
    lines = [f"{n},tea,2024-01-02,{kind},{quantity}" for n, (kind, quantity) in enumerate(rows)]
    text = "\n".join(["bon,sku,when,type,qty", *lines, ""])
    with TemporaryDirectory() as folder:
        report, dataset, rejected = import_files(Path(folder), mapping=TILL, till=text)
        counts = report.tables["orders"]
        assert counts.read == len(rows)
        assert counts.read == counts.accepted + counts.quarantined + counts.duplicates
        assert rejected.height == counts.quarantined
        known = {"sale": "sale", "sold": "sale", "refund": "return", "return": "return"}
        for kind, quantity in kinds_of(dataset):
            assert kind == ("return" if quantity < 0 else "sale")
        accepted = [word.strip().lower() for word, quantity in rows if quantity > 0]
        sales = sum(known.get(word) == "sale" for word in accepted)
        assert sum(kind == "sale" for kind, _ in kinds_of(dataset)) == sales
