"""Amounts of a file: units, money, prices and discounts among its columns of numbers.

Names decide first; the relation between units and money distinguishes prices from revenue.
"""

import polars as pl

from features.ingest.mapping_draft.column_names import NameMeaning
from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import Meanings, Roles

# Minimum elasticity of a line's revenue with respect to its units: 1 for a constant price, 0 for
# the price of a unit.
_REVENUE_ELASTICITY = 0.5
# Minimum number of lines with several units, to estimate the elasticity.
_MIN_LINES = 20
_AMOUNTS = {"quantity", "price", "money", "cost", "discount", "on_hand", "week", "day"}


def assign_amounts(roles: Roles, profiles: list[ColumnProfile], meanings: Meanings) -> None:
    """Assign units and money among the numbers, by name and by their relation."""
    numbers = [
        column
        for column in roles.unassigned(profiles)
        if column.is_number
        and (not meanings[column.name].entities or meanings[column.name].properties)
        and set(meanings[column.name].properties) <= _AMOUNTS
    ]

    def named(property_: str) -> list[ColumnProfile]:
        return [
            column
            for column in roles.unassigned(numbers)
            if property_ in meanings[column.name].properties
        ]

    for column in named("cost"):
        roles.unused[column.name] = "a cost"
    for column in named("discount"):
        if column.negative > 0:
            roles.unused[column.name] = "a negative discount; discounts have to be positive"
        elif "discount" in roles.columns:
            roles.unused[column.name] = "a further discount"
        else:
            roles.columns["discount"] = column.name
    for column in named("on_hand")[:1]:
        roles.columns["on_hand"] = column.name
    money, prices = named("money"), named("price")
    counts = [column for column in named("quantity") if column not in money]
    if not counts:
        # An amount of whole numbers beside another amount counts units.
        whole = [column for column in money if column.whole == 1]
        if whole and (len(money) + len(prices) > 1 or _is_units(whole[0])):
            counts = [whole[0]]
    for column in counts[:1]:
        roles.columns["quantity"] = column.name
    amounts = roles.unassigned([*money, *prices])
    if not amounts and not (named("quantity") or counts):
        amounts = _amounts_by_values(roles, numbers, meanings)
    paid = [column for column in amounts if column in money and column not in prices] or amounts
    for column in paid[:1]:
        _assign_money(roles, profiles, column, meanings[column.name])
        amounts.remove(column)
    has_amount = bool({"revenue", "unit_price"} & roles.columns.keys())
    for column in amounts:
        if has_amount and column in prices and "price" not in roles.columns:
            roles.columns["price"] = column.name
        else:
            roles.unused[column.name] = "a further amount"


def _assign_money(
    roles: Roles, profiles: list[ColumnProfile], column: ColumnProfile, meaning: NameMeaning
) -> None:
    """Assign revenue or unit_price to a column, with a note if it is uncertain."""
    quantity = roles.profile("quantity", profiles)
    products = roles.profile("product_id", profiles)
    role, certain = _money_role(column, quantity, products, meaning)
    roles.columns[role] = column.name
    if not certain:
        other = "price of a unit" if role == "revenue" else "revenue of the whole line"
        roles.notes[role] = f"{column.name} could be the {other}"


def _is_units(column: ColumnProfile) -> bool:
    """Whether whole numbers are as small as counts of units."""
    high = column.numbers.quantile(0.9)
    return column.whole == 1 and high is not None and abs(high) <= 100


def _amounts_by_values(
    roles: Roles, numbers: list[ColumnProfile], meanings: Meanings
) -> list[ColumnProfile]:
    """Return money among columns without a telling name, and assign units.

    Fractions are money, small whole numbers are units.
    """
    unnamed = [
        column
        for column in roles.unassigned(numbers)
        if not meanings[column.name].properties and column.dates is None
    ]
    units = [column for column in unnamed if _is_units(column) and column.repeats > 20]
    money = [column for column in unnamed if column.whole < 1]
    if units and money:
        name = units[-1].name
        roles.columns["quantity"] = name
        roles.notes["quantity"] = f"{name} was taken for units by its values"
    return money[-1:]


def _money_role(
    column: ColumnProfile,
    quantity: ColumnProfile | None,
    products: ColumnProfile | None,
    meaning: NameMeaning,
) -> tuple[str, bool]:
    """Decide between a unit's price and a line's revenue; returns role and certainty.

    For each product, amounts of lines with several units are compared with the median amount of
    a single unit: revenue grows with the units, a price does not.
    """
    is_price = "price" in meaning.properties and "money" not in meaning.properties
    role_by_name = "unit_price" if is_price else "revenue"
    if quantity is None:
        return "revenue", True
    no_products = pl.Series([""] * len(quantity.numbers))
    product = no_products if products is None else products.values.cast(pl.String)
    lines = pl.DataFrame(
        {"units": quantity.numbers, "paid": column.numbers.abs(), "product": product}
    ).filter(pl.col("units") > 0, pl.col("paid") > 0)
    single = lines.filter(pl.col("units") == 1)
    single = single.group_by("product").agg(pl.col("paid").median().alias("single"))
    several = lines.filter(pl.col("units") > 1).join(single, on="product")
    if several.height < _MIN_LINES:
        return role_by_name, "unit" in column.name.lower() or role_by_name == "revenue"
    ratio = (pl.col("paid") / pl.col("single")).log()
    elasticity = several.select((ratio / pl.col("units").log()).median()).item()
    return ("revenue" if elasticity > _REVENUE_ELASTICITY else "unit_price"), True
