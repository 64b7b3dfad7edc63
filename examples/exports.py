"""Small generated exports for the mappings in this folder: ids are invented, no person is named.

Each function writes the files that one mapping names and returns the totals of its correct import:
`python examples/exports.py` writes all of them to examples/exports/.
"""

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

ORDERS = 120
CENTS = 100


@dataclass
class Totals:
    """Totals of an import.

    Attributes
    ----------
    rows, quantity, revenue
        Stored rows of orders or sales; sums of their units and of what was paid.
    orders, customers
        Numbers of different orders and customers.
    dropped
        Rows that the mapping excludes.
    products
        Products of the catalogue.
    """

    rows: int = 0
    quantity: float = 0.0
    revenue: float = 0.0
    orders: int = 0
    customers: int = 0
    dropped: int = 0
    products: int = 0


@dataclass(frozen=True)
class Line:
    """A line of a generated order."""

    order: int
    customer: int
    at: datetime
    product: int
    units: int
    cents: int  # of a unit


def _lines(seed: int) -> list[list[Line]]:
    """Return the lines of generated orders over 120 days."""
    chance = random.Random(seed)
    at = datetime(2024, 2, 1, 9)
    orders = []
    for order in range(ORDERS):
        at += timedelta(hours=chance.randrange(6, 40))
        customer = chance.randrange(45)
        products = chance.sample(range(24), chance.choice([1, 1, 2, 3, 4]))
        lines = [
            Line(order, customer, at, product, chance.choice([1, 1, 1, 2, 5]), 250 + 75 * product)
            for product in products
        ]
        orders.append(lines)
    return orders


def _write(path: Path, header: Sequence[str], rows: list[list[object]], **options: str) -> None:
    encoding = options.pop("encoding", "utf-8")
    with path.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream, **options).writerows([header, *rows])  # type: ignore[arg-type]


def _totals(kept: list[list[Line]], **further: int) -> Totals:
    lines = [line for order in kept for line in order]
    return Totals(
        rows=len(lines),
        quantity=sum(line.units for line in lines),
        revenue=sum(line.units * line.cents for line in lines) / CENTS,
        orders=len(kept),
        customers=len({line.customer for line in lines}),
        **further,
    )


def shopify(folder: Path) -> Totals:
    """Write an orders export of Shopify: cells of the order stand on its first line alone."""
    header = (
        "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,"
        "Total,Discount Code,Discount Amount,Created at,Lineitem quantity,Lineitem name,"
        "Lineitem price,Lineitem sku,Billing Name,Cancelled at,Refunded Amount,Vendor,Id"
    ).split(",")
    rows: list[list[object]] = []
    kept, dropped = [], 0
    for lines in _lines(1):
        number = lines[0].order
        status = {7: "refunded", 13: "voided"}.get(number % 20, "paid")
        total = sum(line.units * line.cents for line in lines)
        for position, line in enumerate(lines):
            at = f"{line.at:%Y-%m-%d %H:%M:%S} -0500"
            first = [status, at, "fulfilled", "USD", f"{total / CENTS:.2f}", "6.95", "0.00"]
            first += [f"{total / CENTS + 6.95:.2f}", "", "0.00"]
            order = first if position == 0 else [""] * len(first)
            email = f"customer{line.customer}@example.com"
            item = [line.units, f"Candle {line.product}", f"{line.cents / CENTS:.2f}"]
            last = ["", "", "0.00" if position == 0 else "", "Wax", 5_000_000 + number]
            rows.append(
                [f"#{1001 + number}", email, *order, at, *item, f"SKU-{line.product:03d}", *last]
            )
        if status == "paid":
            kept.append(lines)
        else:
            dropped += len(lines)
    _write(folder / "shopify_orders.csv", header, rows)
    return _totals(kept, dropped=dropped, products=24)


def woocommerce(folder: Path) -> Totals:
    """Write an export of WooCommerce's items, one row an item."""
    header = (
        "order_id,order_number,date,status,shipping_total,tax_total,discount_total,order_total,"
        "order_currency,payment_method,customer_id,customer_email,billing_first_name,"
        "billing_last_name,item_id,item_product_id,item_name,item_sku,item_quantity,"
        "item_subtotal,item_total"
    ).split(",")
    rows: list[list[object]] = []
    kept, dropped = [], 0
    for lines in _lines(2):
        number = lines[0].order
        status = {5: "cancelled", 11: "failed", 17: "refunded"}.get(number % 20, "completed")
        total = sum(line.units * line.cents for line in lines) / CENTS
        for line in lines:
            paid = f"{line.units * line.cents / CENTS:.2f}"
            order = [number + 300, number + 300, f"{line.at:%Y-%m-%d %H:%M:%S}", status, "4.90"]
            order += ["0", "0", f"{total + 4.9:.2f}", "EUR", "stripe", line.customer]
            email = f"customer{line.customer}@example.com"
            item = [900 + line.product, f"Mug {line.product}", f"MUG-{line.product:03d}"]
            rows.append([*order, email, "", "", len(rows) + 1, *item, line.units, paid, paid])
        if status == "completed":
            kept.append(lines)
        else:
            dropped += len(lines)
    _write(folder / "woocommerce_items.csv", header, rows)
    return _totals(kept, dropped=dropped, products=24)


def square(folder: Path) -> Totals:
    """Write an item sales report of Square: refunds are rows of their own, with a minus."""
    header = (
        "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,"
        "Discounts,Net Sales,Tax,Transaction ID,Payment ID,Device Name,Notes,Event Type,Location,"
        "Customer ID,Customer Name"
    ).split(",")
    rows: list[list[object]] = []
    totals = Totals(products=24)
    customers, orders = set(), set()
    for lines in _lines(3):
        for line in lines:
            returned = (line.order * 7 + line.product) % 25 == 0
            for event, sign in (("Payment", 1), *([("Refund", -1)] if returned else [])):
                amount = f"{'-' if sign < 0 else ''}${line.units * line.cents / CENTS:.2f}"
                transaction = f"TX{line.order:05d}{'R' if sign < 0 else ''}"
                customer = f"CUST{line.customer:04d}" if line.customer % 4 else ""
                item = [f"Drink {line.product}", sign * line.units, "Regular"]
                paid = [f"DR{line.product:03d}", "", amount, "$0.00", amount, "$0.00", transaction]
                end = [f"PAY{line.order:05d}", "Till 1", "", event, "Main Street", customer, ""]
                at = [f"{line.at:%Y-%m-%d}", f"{line.at:%H:%M:%S}", "Berlin", "Drinks"]
                rows.append([*at, *item, *paid, *end])
                totals.rows += 1
                totals.quantity += sign * line.units
                totals.revenue += sign * line.units * line.cents / CENTS
                orders.add(transaction)
                customers |= {customer} - {""}
    totals.orders, totals.customers = len(orders), len(customers)
    _write(folder / "square_items.csv", header, rows)
    return totals


def erp(folder: Path) -> Totals:
    """Write a German ERP's export: semicolons, decimal commas, cp1252, postage, a till's account.

    Orders of the till's account have no customer.
    """
    header = (
        "Belegnummer;Belegdatum;Kundennummer;Artikelnummer;Bezeichnung;Warengruppe;Menge;"
        "Einzelpreis;Filiale"
    ).split(";")
    rows: list[list[object]] = []
    totals = _totals(_lines(4), products=24)
    customers = set()
    for lines in _lines(4):
        customer = "99999" if lines[0].order % 5 == 0 else f"{10_000 + lines[0].customer}"
        customers.add(customer)
        start = [f"RE{lines[0].order:06d}", f"{lines[0].at:%d.%m.%Y}", customer]
        for line in lines:
            price = f"{line.cents / CENTS:.2f}".replace(".", ",")
            article = [f"{40_000 + line.product}", f"Käse Nr. {line.product}", "Käse"]
            rows.append([*start, *article, line.units, price, "Köln"])
        if lines[0].order % 6 == 0:
            rows.append([*start, "PORTO", "Porto und Verpackung", "", 1, "5,90", "Köln"])
            totals.rows, totals.quantity = totals.rows + 1, totals.quantity + 1
            totals.revenue += 5.9
    totals.customers = len(customers - {"99999"})
    _write(folder / "erp_belege.csv", header, rows, delimiter=";", encoding="cp1252")
    return totals


def m5(folder: Path) -> Totals:
    """Write daily sales as in the M5 competition's data, with one row an item, shop and day."""
    chance = random.Random(5)
    header = ["item_id", "dept_id", "cat_id", "store_id", "state_id", "date", "sales", "sell_price"]
    rows: list[list[object]] = []
    totals = Totals(products=8)
    for item in range(8):
        for store in ("CA_1", "TX_1"):
            for day in range(60):
                units = chance.choice([0, 0, 0, 1, 2, 3])
                cents = 198 + 50 * item
                date = datetime(2016, 1, 1) + timedelta(days=day)
                keys = [f"FOODS_1_{item:03d}", "FOODS_1", "FOODS", store, store[:2]]
                rows.append([*keys, f"{date:%Y-%m-%d}", units, f"{cents / CENTS:.2f}"])
                totals.rows += 1
                totals.quantity += units
    _write(folder / "m5_sales.csv", header, rows)
    return totals


def personalize(folder: Path) -> Totals:
    """Write the three data sets of Amazon Personalize; other events than purchases are left out."""
    chance = random.Random(6)
    rows: list[list[object]] = []
    kept, dropped = [], 0
    for lines in _lines(6):
        for line in lines:
            epoch = int((line.at - datetime(1970, 1, 1)).total_seconds())
            person, item = f"u{line.customer}", f"i{line.product}"
            rows.append([person, item, epoch, "purchase", f"{line.cents / CENTS:.2f}"])
            for minutes in range(chance.randrange(3)):
                rows.append([person, item, epoch - 60 * (minutes + 1), "view", ""])
                dropped += 1
        kept += [[line] for line in lines]
    columns = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "EVENT_VALUE"]
    _write(folder / "personalize_interactions.csv", columns, rows)
    items: list[list[object]] = [[f"i{item}", "books", 250 + 75 * item] for item in range(24)]
    _write(folder / "personalize_items.csv", ["ITEM_ID", "CATEGORY_L1", "PRICE"], items)
    users: list[list[object]] = [[f"u{user}", "member"] for user in range(45)]
    _write(folder / "personalize_users.csv", ["USER_ID", "MEMBERSHIP"], users)
    lines = [line for (line,) in kept]
    return Totals(
        rows=len(lines),
        quantity=len(lines),
        revenue=sum(line.cents for line in lines) / CENTS,
        orders=len({(line.customer, line.at.date()) for line in lines}),
        customers=len({line.customer for line in lines}),
        dropped=dropped,
        products=24,
    )


EXPORTS: dict[str, Callable[[Path], Totals]] = {
    "shopify": shopify,
    "woocommerce": woocommerce,
    "square": square,
    "erp": erp,
    "m5": m5,
    "personalize": personalize,
}


if __name__ == "__main__":
    target = Path(__file__).parent / "exports"
    target.mkdir(exist_ok=True)
    for name, write in EXPORTS.items():
        print(name, asdict(write(target)))
