"""Rows of an export that are no sales: returns, cancelled orders, services among the products.

Roles and profiles of a file in, lines of the draft's orders section out.
"""

import json
import re
from dataclasses import dataclass, field

import polars as pl

from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import Roles
from features.ingest.mapping_draft.whole_orders import cancelled_orders

# What a customer pays for beside products, in several languages.
_SERVICES = re.compile(
    r"post(age|al)?\b|porto|versand|shipping|delivery|livraison|envio|carriage|freight|manual|"
    r"discount|rabatt|fee|charges?\b|voucher|gutschein|gift ?card|pfand|deposit|tip\b|dotcom|"
    r"rounding|rundung",
    re.IGNORECASE,
)
# Bookings that no customer causes.
_BOOKINGS = re.compile(
    r"bank|commission|\btest|^test|adjust|samples?\b|bad debt|amazon", re.IGNORECASE
)
_MAX_LISTED = 40
# Minimum share of negative quantities among the rows with a prefix that marks returns.
_RETURNED_SHARE = 0.9
# Minimum share of rows whose product id has the common form.
_COMMON_SHARE = 0.9


@dataclass
class NonSales:
    """Rows of a file that are no sales.

    Attributes
    ----------
    returns_prefix
        Prefix of order ids that marks returns; empty if there is none.
    refunds
        Column and value that mark returns.
    services
        Ids of products that are services, such as postage.
    bookings
        Ids of products that are bookings of the retailer.
    doubtful
        Ids with an uncommon form that are neither.
    cancelled
        Column of statuses, and those of cancelled orders.
    """

    returns_prefix: str = ""
    refunds: tuple[str, str] | None = None
    services: list[str] = field(default_factory=list)
    bookings: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    cancelled: tuple[str, list[str]] | None = None

    def lines(self, columns: dict[str, str]) -> list[str]:
        """Return the lines of the orders section."""
        lines = []
        if self.returns_prefix:
            column = _quoted(columns["order_id"])
            prefix = self.returns_prefix
            lines.append(f'returns = {{ column = {column}, starts_with = "{prefix}" }}')
        elif self.refunds:
            column, value = map(_quoted, self.refunds)
            lines.append(f"returns = {{ column = {column}, equals = {value} }}")
        product = columns.get("product_id", "")
        if self.services:
            lines.append(f"no_product = [ {{ {_condition(product, self.services)} }} ]")
        drops = []
        if self.bookings:
            drops.append(f'{{ {_condition(product, self.bookings)}, reason = "not a product" }}')
        if self.cancelled:
            drops.append(f'{{ {_condition(*self.cancelled)}, reason = "cancelled" }}')
        if drops:
            lines.append(f"drop = [ {', '.join(drops)} ]")
        if self.doubtful:
            ids = ", ".join(self.doubtful)
            lines.append(f"# Check whether these ids of an uncommon form are products: {ids}")
        return lines


def _condition(column: str, values: list[str]) -> str:
    return f"column = {_quoted(column)}, in = [{', '.join(map(_quoted, values))}]"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def find_non_sales(roles: Roles, profiles: dict[str, ColumnProfile]) -> NonSales:
    """Find returns, cancelled orders, and services among the products."""
    rows = NonSales(
        returns_prefix=_returns_prefix(roles, profiles),
        refunds=roles.refunds,
        cancelled=cancelled_orders(list(profiles.values())),
    )
    if "product_id" in roles.columns and {"ts", "week"} & roles.columns.keys():
        name_column = roles.attributes.get("product", {}).get("name")
        names = profiles[name_column].values if name_column else None
        products = profiles[roles.columns["product_id"]]
        _find_services(rows, products, names)
    return rows


def _returns_prefix(roles: Roles, profiles: dict[str, ColumnProfile]) -> str:
    """Return the prefix of order ids whose quantities are negative."""
    if not {"order_id", "quantity"} <= roles.columns.keys():
        return ""
    rows = pl.DataFrame(
        {
            "order": profiles[roles.columns["order_id"]].values.cast(pl.String),
            "units": profiles[roles.columns["quantity"]].numbers,
        }
    ).drop_nulls()
    prefix = pl.col("order").str.extract(r"^([A-Za-z]{1,3})[-_ ]?\d").alias("prefix")
    prefixes = (
        rows.with_columns(prefix)
        .filter(pl.col("prefix").is_not_null())
        .group_by("prefix")
        .agg((pl.col("units") < 0).mean().alias("returned"), pl.len())
        .filter(pl.col("returned") >= _RETURNED_SHARE)
        .sort("len", "prefix", descending=[True, False])
    )
    share = prefixes.get_column("len").sum() / max(1, rows.height)
    return prefixes.item(0, "prefix") if prefixes.height and share < 0.5 else ""


def _find_services(rows: NonSales, products: ColumnProfile, names: pl.Series | None) -> None:
    """Sort the ids of an uncommon form into services, bookings and doubtful ones."""
    ids = products.values.cast(pl.String)
    common = ids.str.contains(r"\d{4}")
    if float(common.mean() or 0) < _COMMON_SHARE:  # type: ignore[arg-type]
        return
    texts = pl.Series([None] * len(ids)) if names is None else names
    lines = pl.DataFrame({"id": ids, "common": common}).with_columns(
        texts.cast(pl.String).fill_null("").alias("name")
    )
    uncommon = (
        lines.filter(~pl.col("common"))
        .group_by("id")
        .agg(pl.len(), pl.col("name").mode().sort().first())
        .sort("len", "id", descending=[True, False])
    )
    for code, _, name in uncommon.head(_MAX_LISTED).iter_rows():
        if _BOOKINGS.search(code) or _BOOKINGS.search(name):
            rows.bookings.append(code)
        elif _SERVICES.search(code) or _SERVICES.search(name):
            rows.services.append(code)
        else:
            rows.doubtful.append(code)
    # Ids of test products may have the common form.
    tests = lines.filter(pl.col("common") & pl.col("id").str.contains(r"(?i)^test"))
    rows.bookings += tests.get_column("id").unique().sort().to_list()
