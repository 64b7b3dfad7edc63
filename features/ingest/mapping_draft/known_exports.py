"""Exports of known shop systems, recognised by their header: column names in, roles out.

Shopify (orders), WooCommerce (two exports of items), Magento (items; orders without items) and
Square (items). Names are compared by their letters and digits alone, in lower case.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import Roles

# A column with fewer values is passed over for the next one that could have its role.
_MIN_FILLED = 0.2
_NOT_NEEDED = "not needed"


@dataclass(frozen=True)
class KnownExport:
    """An export of a shop system.

    Attributes
    ----------
    system
        Name of the system.
    signature
        Columns that together only this export has.
    roles
        By role, the columns that may have it; the first one with values does.
    products
        The same for attributes of products.
    refunds
        Column and value that mark returned lines; None if quantities tell.
    """

    system: str
    signature: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]]
    products: Mapping[str, tuple[str, ...]]
    refunds: tuple[str, str] | None = None


_EXPORTS = (
    KnownExport(
        "Shopify",
        ("name", "createdat", "lineitemquantity", "lineitemname", "lineitemprice"),
        {
            "customer_id": ("email", "phone"),
            "order_id": ("name",),
            "product_id": ("lineitemsku", "lineitemname"),
            "location_id": ("location",),
            "quantity": ("lineitemquantity",),
            "unit_price": ("lineitemprice",),
            "ts": ("createdat",),
        },
        {"name": ("lineitemname",), "brand": ("vendor",)},
    ),
    KnownExport(
        "WooCommerce",
        ("itemname", "itemquantity", "itemtotal"),
        {
            "customer_id": ("customeremail", "billingemail", "customeruser", "customerid"),
            "order_id": ("orderid", "ordernumber", "ordernumberformatted"),
            "product_id": ("itemsku", "itemproductid", "itemname"),
            "quantity": ("itemquantity",),
            "revenue": ("itemtotal",),
            "ts": ("date", "orderdate", "datecreated"),
        },
        {"name": ("itemname",), "category": ("itemcategory", "category")},
    ),
    KnownExport(
        "WooCommerce",
        ("ordernumber", "orderdate", "itemname", "itemcost"),
        {
            "customer_id": ("emailbilling", "customeruserid", "phonebilling"),
            "order_id": ("ordernumber",),
            "product_id": ("sku", "productid", "itemname"),
            "quantity": ("quantityrefund", "quantity"),
            "unit_price": ("itemcost",),
            "ts": ("orderdate",),
        },
        {"name": ("itemname",), "category": ("category", "productcategory")},
    ),
    KnownExport(
        "Magento",
        ("sku", "qtyordered", "createdat"),
        {
            "customer_id": ("customeremail", "customerid"),
            "order_id": ("incrementid", "orderid", "ordernumber"),
            "product_id": ("sku",),
            "location_id": ("storename", "storeid"),
            "quantity": ("qtyordered",),
            "revenue": ("rowtotal",),
            "unit_price": ("price",),
            "discount": ("discountamount",),
            "ts": ("createdat",),
        },
        {"name": ("name", "productname")},
    ),
    KnownExport(
        "Magento",
        ("id", "purchasedate", "grandtotalpurchased"),
        {
            "customer_id": ("customeremail",),
            "order_id": ("id",),
            "location_id": ("purchasepoint",),
            "revenue": ("grandtotalpurchased",),
            "ts": ("purchasedate",),
        },
        {},
    ),
    KnownExport(
        "Square",
        ("date", "item", "qty", "netsales", "transactionid"),
        {
            "customer_id": ("customerid", "customerreferenceid"),
            "order_id": ("transactionid",),
            "product_id": ("sku", "item"),
            "location_id": ("location",),
            "quantity": ("qty",),
            "revenue": ("netsales",),
            "ts": ("date",),
        },
        {"name": ("item",), "category": ("category",)},
        ("eventtype", "Refund"),
    ),
)


def recognise_export(profiles: list[ColumnProfile]) -> Roles | None:
    """Return the roles of the columns of a known system's export; None for other files."""
    columns = {_plain(column.name): column for column in profiles}
    export = next((e for e in _EXPORTS if set(e.signature) <= columns.keys()), None)
    if export is None:
        return None
    roles = Roles(system=export.system)
    for role, names in export.roles.items():
        column = _first_filled(columns, names)
        # Revenue is given, or computed from the price.
        if column is None or (role == "unit_price" and "revenue" in roles.columns):
            continue
        if role == "discount" and not column.numbers.max():
            continue
        roles.columns[role] = column.name
    for attribute, names in export.products.items():
        column = _first_filled(columns, names)
        is_id = column is not None and column.name == roles.columns.get("product_id")
        if column is None or (attribute != "name" and column.distinct <= 1):
            continue
        if not is_id or attribute == "name":
            roles.attributes.setdefault("product", {})[attribute] = column.name
    if export.refunds is not None and export.refunds[0] in columns:
        roles.refunds = (columns[export.refunds[0]].name, export.refunds[1])
    for column in profiles:
        if not roles.is_assigned(column.name):
            roles.unused[column.name] = _NOT_NEEDED if column.filled else "empty"
    return roles


def _first_filled(
    columns: Mapping[str, ColumnProfile], names: tuple[str, ...]
) -> ColumnProfile | None:
    present = [columns[name] for name in names if name in columns and columns[name].filled]
    filled = [column for column in present if column.filled >= _MIN_FILLED]
    return next(iter([*filled, *present]), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
