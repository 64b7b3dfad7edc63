"""Interpretation of column names."""

import pytest

from features.ingest.mapping_draft.column_names import interpret_name


@pytest.mark.parametrize(
    ("name", "entities", "properties"),
    [
        ("Customer ID", ("customer",), ()),
        ("InvoiceDate", ("order",), ("date",)),
        ("kundennr", ("customer",), ()),
        ("ref_produit", ("product",), ()),
        ("prix_unitaire", (), ("price",)),
        ("order_purchase_timestamp", ("order",), ("date",)),
        ("Lineitem sku", ("product",), ()),
        ("fecha", (), ("date",)),
        ("Stückpreis", (), ("price",)),
        ("codigo_articulo", ("product",), ()),
        ("on_hand", (), ("on_hand",)),
        ("UnitPrice", (), ("price",)),
        ("unit_sales", (), ("quantity",)),
    ],
)
def test_names_in_several_languages_are_interpreted(name, entities, properties):
    meaning = interpret_name(name)
    assert (meaning.entities, meaning.properties) == (entities, properties)
