"""Rows that are no sales: cancellations by a letter, postage and tests among the products.

Roles and profiles in, lines of the draft out; used by `draft`.
"""

import json
import re
from dataclasses import dataclass, field

import polars as pl

from features.ingest.mapping_draft.profile import Profile
from features.ingest.mapping_draft.roles import Roles

# What a shop books beside its products, in several languages.
_SERVICES = re.compile(
    r"post(age|al)?\b|porto|versand|shipping|delivery|livraison|envio|carriage|freight|manual|"
    r"discount|rabatt|fee|charges?\b|commission|test|adjust|bank|voucher|gutschein|gift ?card|"
    r"pfand|deposit|samples?\b|bad debt|tip\b|dotcom|amazon|rounding|rundung",
    re.IGNORECASE,
)
_LISTED = 40
# So many of the rows that a letter marks go back, where it marks returns.
_BACK = 0.9


@dataclass
class Oddities:
    """What was found.

    Attributes
    ----------
    returns
        Prefix of order ids that marks returns.
    services
        Products that are none, by their ids.
    doubtful
        Ids that look unlike the others, but are not known to be no products.
    """

    returns: str = ""
    services: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def lines(self, columns: dict[str, str]) -> list[str]:
        """Write keys of the orders' section."""
        lines = []
        if self.returns:
            column = json.dumps(columns["order_id"], ensure_ascii=False)
            lines.append(f'returns = {{ column = {column}, starts_with = "{self.returns}" }}')
        product = json.dumps(columns.get("product_id", ""), ensure_ascii=False)
        if self.services:
            listed = ", ".join(json.dumps(one, ensure_ascii=False) for one in self.services)
            lines.append(
                f'drop = [ {{ column = {product}, in = [{listed}], reason = "not a product" }} ]'
            )
        if self.doubtful:
            listed = ", ".join(self.doubtful[:_LISTED])
            lines.append(f"# Are these products? They look unlike the others: {listed}")
        return lines


def find_oddities(roles: Roles, profiles: dict[str, Profile]) -> Oddities:
    """Look for cancellations and for products that are none."""
    found = Oddities(returns=_returns(roles, profiles))
    if "product_id" in roles.columns and {"ts", "week"} & roles.columns.keys():
        names = roles.attributes.get("product", {}).get("name")
        described = profiles[names].values if names else None
        found.services, found.doubtful = _services(profiles[roles.columns["product_id"]], described)
    return found


def _returns(roles: Roles, profiles: dict[str, Profile]) -> str:
    """Find a prefix of order ids whose rows go back."""
    if not {"order_id", "quantity"} <= roles.columns.keys():
        return ""
    frame = pl.DataFrame(
        {
            "order": profiles[roles.columns["order_id"]].values.cast(pl.String),
            "units": profiles[roles.columns["quantity"]].numbers,
        }
    ).drop_nulls()
    marked = frame.with_columns(
        pl.col("order").str.extract(r"^([A-Za-z]{1,3})[-_ ]?\d").alias("mark")
    )
    shares = (
        marked.filter(pl.col("mark").is_not_null())
        .group_by("mark")
        .agg((pl.col("units") < 0).mean().alias("back"), pl.len())
        .filter(pl.col("back") >= _BACK)
        .sort("len", "mark", descending=[True, False])
    )
    share = shares.get_column("len").sum() / max(1, frame.height)
    return shares.item(0, "mark") if shares.height and share < 0.5 else ""


def _services(products: Profile, described: pl.Series | None) -> tuple[list[str], list[str]]:
    """List ids that are unlike the others: those that name a service, and the rest."""
    ids = products.values.cast(pl.String)
    usual = ids.str.contains(r"\d{4}")
    if float(usual.mean() or 0) < 0.9:  # type: ignore[arg-type]
        return [], []
    frame = pl.DataFrame({"id": ids, "usual": usual}).with_columns(
        (described.cast(pl.String) if described is not None else pl.Series([None] * len(ids)))
        .cast(pl.String)
        .fill_null("")
        .alias("name")
    )
    odd = frame.filter(~pl.col("usual")).group_by("id").agg(pl.len(), pl.col("name").mode().first())
    odd = odd.sort("len", "id", descending=[True, False])
    services: list[str] = []
    doubtful: list[str] = []
    for code, _, name in odd.iter_rows():
        known = _SERVICES.search(code) or _SERVICES.search(name)
        (services if known else doubtful).append(code)
    # Tests carry figures like products do.
    tests = frame.filter(pl.col("usual") & pl.col("id").str.contains(r"(?i)^test"))
    services += tests.get_column("id").unique().sort().to_list()
    return services[:_LISTED], doubtful
