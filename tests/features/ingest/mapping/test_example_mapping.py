"""The example mapping contains every key and column, and imports the files it describes."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from features.dataset import open_dataset
from features.identity import LINK_TABLES
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping.schema import Drop, Identity, Mapping, Returns, TableSource
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped
from features.tables import TABLES

EXAMPLE = Path(__file__).parents[4] / "examples" / "mapping.toml"
FILES = {
    "till/1.csv": "Bon;Kunde;Artikel;Zeit;Menge;Preis\n"
    "1;7;Käse;02.01.2024 09:30;2;1.234,50\n"
    "R1;7;Käse;03.01.2024 09:30;1;1.234,50\n"
    "2;;PFAND;03.01.2024 09:31;1;0,25\n"
    "3;;Äpfel;03.01.2024 09:32;1400;0,01\n",
    "customers.csv": "id,age,agreed,card,mail_sha256\n7,30-39,yes,0815,5f2c\n",
    "shops.csv": "shop,city\nberlin-1,Berlin\n",
    "prices.csv": "sku,from,price\nKäse,2024-01-01,1234.5\n",
    "promotions.csv": "sku,from,until,off\nKäse,2024-01-01,2024-01-07,0.1\n",
    "mails.csv": "id,at,campaign,what\n7,2024-01-01 08:00,c1,sent\n",
    "stock.csv": "sku,shop,date,units\nKäse,berlin-1,2024-01-02,12\n",
    "weather.csv": "date,celsius\n2024-01-02,-3.5\n",
}


@pytest.fixture
def shop(tmp_path):
    """The example mapping in a folder with the files that it names."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="cp1252" if "till" in name else "utf-8")
    pl.DataFrame(
        {
            "user": ["w7"],
            "email_sha256": ["5f2c"],
            "order": [99],
            "sku": ["Käse"],
            "created_at": [datetime(2024, 1, 4, 23, 30)],
            "qty": [1],
            "paid": [1100.0],
            "rebate": [134.5],
        }
    ).write_parquet(tmp_path / "web.parquet")
    pl.DataFrame(
        {"Nummer": ["Käse", "Äpfel"], "Bezeichnung": ["Käse am Stück", "Äpfel"], "Gruppe": "x"}
    ).with_columns(Farbe=pl.lit("gelb"), EAN=pl.Series([4001, 4002])).write_excel(
        tmp_path / "articles.xlsx"
    )
    (tmp_path / "mapping.toml").write_text(EXAMPLE.read_text())
    return tmp_path / "mapping.toml"


def test_the_example_imports_every_table_it_describes(shop, tmp_path):
    mapping = read_mapping(shop)
    (tmp_path / "scratch").mkdir()
    tables = read_mapped(mapping, datetime(2024, 6, 1), tmp_path / "scratch")
    report = import_tables(tmp_path / "home", mapping.name, tables, max_bad_share=0.5)
    dataset = open_dataset(tmp_path / "home", mapping.name)
    assert set(dataset.tables) == set(TABLES) - {"sales"}
    assert report.tables["orders"].quarantined == 1
    stored = dataset.table("orders").collect().to_polars().sort("ts")
    assert stored.select("order_id", "channel", "product_id", "quantity", "revenue").rows() == [
        ("1", "shop", "Käse", 2.0, 2469.0),
        ("R1", "shop", "Käse", -1.0, -1234.5),
        ("3", "shop", "Äpfel", 100.0, 14.0),
        ("99", "web", "Käse", 1.0, 1100.0),
    ]
    assert stored.item(3, "customer_id") == "7"
    assert stored.item(3, "ts") == datetime(2024, 1, 5, 0, 30)


def test_the_example_explains_every_key_and_every_column():
    text = EXAMPLE.read_text()
    keys = {
        field.alias or name
        for model in (Mapping, TableSource, Returns, Drop, Identity)
        for name, field in model.model_fields.items()
    } - {"tables", "text"}
    tables = set(TABLES) - set(LINK_TABLES.values())
    columns = {column for table in tables for column in TABLES[table].columns}
    assert [word for word in sorted(keys | columns | tables) if word not in text] == []
