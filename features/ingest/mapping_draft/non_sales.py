"""Rows of an export that are no sales: returns marked by a prefix, services among the products.

Roles and profiles of a file in, lines of the draft's orders section out.
"""

import json
import re
from dataclasses import dataclass, field

import polars as pl

from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import Roles

# Bookings beside products, in several languages.
_SERVICES = re.compile(
    r"post(age|al)?\b|porto|versand|shipping|delivery|livraison|envio|carriage|freight|manual|"
    r"discount|rabatt|fee|charges?\b|commission|test|adjust|bank|voucher|gutschein|gift ?card|"
    r"pfand|deposit|samples?\b|bad debt|tip\b|dotcom|amazon|rounding|rundung",
    re.IGNORECASE,
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
    services
        Ids of products that are services.
    doubtful
        Ids with an uncommon form that are not known services.
    """

    returns_prefix: str = ""
    services: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def lines(self, columns: dict[str, str]) -> list[str]:
        """Return the lines of the orders section."""
        lines = []
        if self.returns_prefix:
            column = json.dumps(columns["order_id"], ensure_ascii=False)
            prefix = self.returns_prefix
            lines.append(f'returns = {{ column = {column}, starts_with = "{prefix}" }}')
        product = json.dumps(columns.get("product_id", ""), ensure_ascii=False)
        if self.services:
            ids = ", ".join(json.dumps(code, ensure_ascii=False) for code in self.services)
            lines.append(
                f'drop = [ {{ column = {product}, in = [{ids}], reason = "not a product" }} ]'
            )
        if self.doubtful:
            ids = ", ".join(self.doubtful[:_MAX_LISTED])
            lines.append(f"# Check whether these ids of an uncommon form are products: {ids}")
        return lines


def find_non_sales(roles: Roles, profiles: dict[str, ColumnProfile]) -> NonSales:
    """Find returns marked by a prefix, and services among the products."""
    rows = NonSales(returns_prefix=_returns_prefix(roles, profiles))
    if "product_id" in roles.columns and {"ts", "week"} & roles.columns.keys():
        name_column = roles.attributes.get("product", {}).get("name")
        names = profiles[name_column].values if name_column else None
        products = profiles[roles.columns["product_id"]]
        rows.services, rows.doubtful = _uncommon_products(products, names)
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


def _uncommon_products(
    products: ColumnProfile, names: pl.Series | None
) -> tuple[list[str], list[str]]:
    """Return ids of an uncommon form: those that denote services, and the others."""
    ids = products.values.cast(pl.String)
    common = ids.str.contains(r"\d{4}")
    if float(common.mean() or 0) < _COMMON_SHARE:  # type: ignore[arg-type]
        return [], []
    texts = pl.Series([None] * len(ids)) if names is None else names
    rows = pl.DataFrame({"id": ids, "common": common}).with_columns(
        texts.cast(pl.String).fill_null("").alias("name")
    )
    uncommon = (
        rows.filter(~pl.col("common"))
        .group_by("id")
        .agg(pl.len(), pl.col("name").mode().first())
        .sort("len", "id", descending=[True, False])
    )
    services: list[str] = []
    doubtful: list[str] = []
    for code, _, name in uncommon.iter_rows():
        is_service = _SERVICES.search(code) or _SERVICES.search(name)
        (services if is_service else doubtful).append(code)
    # Ids of test products may have the common form.
    tests = rows.filter(pl.col("common") & pl.col("id").str.contains(r"(?i)^test"))
    services += tests.get_column("id").unique().sort().to_list()
    return services[:_MAX_LISTED], doubtful
