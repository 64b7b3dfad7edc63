"""Which column is what: profiles of a file's columns in, roles out, with what is in doubt.

Names count first, then what the values allow; where names say nothing, values decide alone.
"""

from dataclasses import dataclass, field

import polars as pl

from features.ingest.mapping_draft.profile import Profile
from features.ingest.mapping_draft.words import Meaning, meaning

IDS = {
    "customer": "customer_id",
    "order": "order_id",
    "product": "product_id",
    "location": "location_id",
    "campaign": "campaign_id",
}
# An amount that belongs to a whole line grows with its units by this or more, of at most 1.
_GROWS = 0.5
# A column is an attribute of a thing where it takes one value for so many of its ids.
_FIXED = 0.97
_AMOUNTS = {"quantity", "price", "money", "cost", "discount", "on_hand", "week", "day"}
_KINDS = {"sale", "return", "sent", "seen", "clicked", "visited", "redeemed"}
ATTRIBUTES = ("name", "department", "category", "subcategory", "brand")


@dataclass
class Roles:
    """What the columns of one file are.

    Attributes
    ----------
    columns
        Source column by role: ids, ts, quantity, unit_price, revenue, and so on.
    attributes
        Source column by attribute, by the thing (product, customer, location) it describes.
    notes
        What could not be told, by role or column.
    spare
        Columns that were not used, with why.
    """

    columns: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    spare: dict[str, str] = field(default_factory=dict)


def find_roles(profiles: list[Profile]) -> Roles:
    """Decide what each column is."""
    roles = Roles()
    said = {one.name: meaning(one.name) for one in profiles}
    by_name = {one.name: one for one in profiles}
    _dates(roles, profiles, said)
    _ids(roles, profiles, said)
    _amounts(roles, profiles, said)
    if not roles.columns.keys() & set(IDS.values()):
        _ids_by_content(roles, profiles)
    _others(roles, profiles, said)
    _attributes(roles, by_name, said)
    return roles


def _taken(roles: Roles, name: str) -> bool:
    named = set(roles.columns.values()) | set(roles.spare)
    return name in named or any(name in found.values() for found in roles.attributes.values())


def _dates(roles: Roles, profiles: list[Profile], said: dict[str, Meaning]) -> None:
    """Find the instant of a record, or the first and last day of a span."""
    dated = [
        one
        for one in profiles
        if one.dates is not None and (one.date_format != "%Y%m%d" or _is_day(said[one.name], one))
    ]
    spans = {said[one.name].ends: one.name for one in dated if said[one.name].ends}
    if {"first", "last"} <= spans.keys():
        roles.columns |= {"from_day": spans["first"], "last_day": spans["last"]}
        dated = [one for one in dated if one.name not in spans.values()]
    # The record's own instant: named so, filled, and as fine as there is.
    dated.sort(key=lambda one: (not said[one.name].stated, -one.filled, -_fineness(one)))
    for one in dated:
        if "ts" not in roles.columns and "from_day" not in roles.columns:
            roles.columns["ts"] = one.name
        else:
            roles.spare[one.name] = "another date"
    if dated or "from_day" in roles.columns:
        return
    for one in profiles:
        weeks = "week" in said[one.name].stated and one.is_number and one.whole == 1
        if weeks and float(one.numbers.max() or 0) < 10_000:  # type: ignore[arg-type]
            roles.columns["week"] = one.name
            return


def _is_day(said: Meaning, one: Profile) -> bool:
    """Whether figures such as 20240102 are days: by name, or since nothing else repeats so."""
    return "date" in said.stated or not (said.things or said.stated) or one.repeats > 1.5


def _fineness(one: Profile) -> int:
    assert one.dates is not None  # noqa: S101
    return one.dates.n_unique()


def _ids(roles: Roles, profiles: list[Profile], said: dict[str, Meaning]) -> None:
    """Find ids by name: about one thing, and nothing stated of it."""
    for thing, role in IDS.items():
        fitting = [
            one
            for one in profiles
            if said[one.name].things[-1:] == (thing,)
            and not said[one.name].stated
            and not _taken(roles, one.name)
            and (one.dates is None or one.date_format == "%Y%m%d")
            and _could_be_id(one)
        ]
        # Of several, the one that tells most of them apart.
        fitting.sort(key=lambda one: (-one.distinct, one.filled))
        for one in fitting[:1]:
            roles.columns[role] = one.name


def _could_be_id(one: Profile) -> bool:
    fractions = one.is_number and one.whole < 1 and not one.values.dtype.is_integer()
    return not fractions and one.negative < 0.5


def _amounts(roles: Roles, profiles: list[Profile], said: dict[str, Meaning]) -> None:
    """Find units and money among the numbers, by name and by how they go together."""
    free = [one for one in profiles if one.is_number and not _taken(roles, one.name)]
    free = [one for one in free if not said[one.name].things or said[one.name].stated]
    free = [one for one in free if set(said[one.name].stated) <= _AMOUNTS]

    def named(*words: str) -> list[Profile]:
        return [
            one
            for one in free
            if set(words) & set(said[one.name].stated) and not _taken(roles, one.name)
        ]

    for one in named("cost"):
        roles.spare[one.name] = "a cost"
    for one in named("discount"):
        if one.negative > 0:
            roles.spare[one.name] = "a discount with a minus; Foresell wants it without"
        elif "discount" in roles.columns:
            roles.spare[one.name] = "a further discount"
        else:
            roles.columns["discount"] = one.name
    for one in named("on_hand")[:1]:
        roles.columns["on_hand"] = one.name
    money, prices = named("money"), named("price")
    counts = [one for one in named("quantity") if one not in money]
    if not counts:
        # A plain amount of whole numbers beside another one of money counts units.
        whole = [one for one in money if one.whole == 1]
        if whole and (len(money) + len(prices) > 1 or _is_units(whole[0])):
            counts = [whole[0]]
    for one in counts[:1]:
        roles.columns["quantity"] = one.name
    left = [one for one in [*money, *prices] if not _taken(roles, one.name)]
    if not left and not (named("quantity") or counts):
        left = _nameless_amounts(roles, free, said)
    units = _numbers_of(roles, profiles, "quantity")
    paid = [one for one in left if one in money and one not in prices] or left
    for one in paid[:1]:
        role, sure = _money_role(one, units, _groups(roles, profiles), said[one.name])
        roles.columns[role] = one.name
        if not sure:
            roles.notes[role] = f"{one.name} could be the {_other(role)}"
        left.remove(one)
    for one in left:
        both = "revenue" in roles.columns or "unit_price" in roles.columns
        role = "price" if both and one in prices else ""
        if role and role not in roles.columns:
            roles.columns[role] = one.name
        else:
            roles.spare[one.name] = "a further amount"


def _other(role: str) -> str:
    return "price of a unit" if role == "revenue" else "revenue of the whole line"


def _is_units(one: Profile) -> bool:
    """Whether whole numbers are such as counts of units are: small, and few different ones."""
    high = one.numbers.quantile(0.9)
    return one.whole == 1 and high is not None and abs(high) <= 100


def _nameless_amounts(roles: Roles, free: list[Profile], said: dict[str, Meaning]) -> list[Profile]:
    """Take numbers without a telling name: fractions for money, small whole ones for units."""
    open_ = [
        one
        for one in free
        if not said[one.name].stated and not _taken(roles, one.name) and one.dates is None
    ]
    units = [one for one in open_ if _is_units(one) and one.repeats > 20]
    money = [one for one in open_ if one.whole < 1]
    if units and money:
        roles.columns["quantity"] = units[-1].name
        roles.notes["quantity"] = f"that {units[-1].name} counts units is a guess by its values"
    return money[-1:]


def _numbers_of(roles: Roles, profiles: list[Profile], role: str) -> pl.Series | None:
    name = roles.columns.get(role)
    return next((one.numbers for one in profiles if one.name == name), None)


def _groups(roles: Roles, profiles: list[Profile]) -> pl.Series | None:
    name = roles.columns.get("product_id")
    return next((one.values.cast(pl.String) for one in profiles if one.name == name), None)


def _money_role(
    one: Profile, units: pl.Series | None, products: pl.Series | None, said: Meaning
) -> tuple[str, bool]:
    """Tell a unit's price from a line's revenue by whether it grows with the units."""
    by_name = "unit_price" if "price" in said.stated and "money" not in said.stated else "revenue"
    if units is None:
        return "revenue", True
    frame = pl.DataFrame({"units": units, "paid": one.numbers.abs()}).with_columns(
        (products if products is not None else pl.Series([""] * len(units))).alias("product")
    )
    frame = frame.filter(pl.col("units") > 0, pl.col("paid") > 0)
    single = frame.filter(pl.col("units") == 1).group_by("product").agg(one=pl.col("paid").median())
    several = frame.filter(pl.col("units") > 1).join(single, on="product")
    if several.height < 20:
        return by_name, "unit" in one.name.lower() or by_name == "revenue"
    growth = several.select(
        ((pl.col("paid") / pl.col("one")).log() / pl.col("units").log()).median()
    ).item()
    return ("revenue" if growth > _GROWS else "unit_price"), True


def _ids_by_content(roles: Roles, profiles: list[Profile]) -> None:
    """Without a name that tells, take a customer's id to be what repeats and is no amount."""
    free = [
        one
        for one in profiles
        if not _taken(roles, one.name)
        and one.dates is None
        and one.whole in (0, 1)
        and (not one.is_number or one.whole == 1)
        and one.filled > 0.5
        and one.distinct > 20
    ]
    if free and "ts" in roles.columns:
        roles.columns["customer_id"] = free[0].name
        roles.notes["customer_id"] = f"that {free[0].name} is the customer is a guess by its values"


def _others(roles: Roles, profiles: list[Profile], said: dict[str, Meaning]) -> None:
    """Find line numbers, channels, kinds and flags by name."""
    for one in profiles:
        if _taken(roles, one.name):
            continue
        stated = said[one.name].stated
        things = said[one.name].things
        if (
            "line" in stated and one.is_number and one.whole == 1 and "order_id" in roles.columns
        ) or _is_line(roles, one, profiles):
            roles.columns["line"] = one.name
        elif "kind" not in roles.columns and _is_kind(one):
            roles.columns["kind"] = one.name
        elif "channel" in stated and not things and one.distinct <= 50:
            roles.columns["channel"] = one.name
        elif ("on_sale" in stated or set(stated) == {"discount"}) and one.distinct <= 2:
            roles.columns["on_sale"] = one.name
        elif things[-1:] == ("campaign",) and not stated and "campaign_id" not in roles.columns:
            roles.columns["campaign_id"] = one.name


def _is_kind(one: Profile) -> bool:
    """Whether a column says sale or return, or what reached a customer."""
    if one.is_number or one.distinct > len(_KINDS):
        return False
    return one.distinct > 0 and set(one.values.drop_nulls().cast(pl.String)) <= _KINDS


def _is_line(roles: Roles, one: Profile, profiles: list[Profile]) -> bool:
    """Whether small whole numbers tell the rows of an order apart, beginning at 0 or 1."""
    if {"order_id", "product_id"} - roles.columns.keys() or "line" in roles.columns:
        return False
    if not one.is_number or one.whole < 1 or one.filled < 1 or one.numbers.min() not in (0, 1):
        return False
    orders = next(other for other in profiles if other.name == roles.columns["order_id"])
    pairs = pl.DataFrame({"order": orders.values.cast(pl.String), "line": one.numbers})
    return orders.repeats > 1.1 and one.distinct > 1 and pairs.n_unique() == pairs.height


def _attributes(roles: Roles, by_name: dict[str, Profile], said: dict[str, Meaning]) -> None:
    """Give what is left to the thing it is an attribute of: named so, and fixed for its ids."""
    things = {
        thing: by_name[roles.columns[IDS[thing]]]
        for thing in ("product", "customer", "location")
        if IDS[thing] in roles.columns
    }
    for name, one in by_name.items():
        if _taken(roles, name):
            continue
        if one.distinct <= 1 and not set(said[name].stated) & set(ATTRIBUTES):
            roles.spare[name] = "always the same" if one.distinct else "empty"
            continue
        holders = [thing for thing, ids in things.items() if _is_fixed(ids, one)]
        named = [thing for thing in said[name].things if thing in holders]
        if not holders:
            when = by_name.get(roles.columns.get("ts") or roles.columns.get("week", ""))
            told = when is not None and when.repeats > 2 and _is_fixed(when, one)
            roles.spare[name] = f"told by {when.name}" if told and when else "not known what it is"
            continue
        stated = said[name].stated
        product = "product" in holders and set(stated) & set(ATTRIBUTES)
        thing = named[0] if named else "product" if product else holders[-1]
        here = roles.attributes.setdefault(thing, {})
        here[_attribute(thing, name, stated, here)] = name


def _is_fixed(ids: Profile, one: Profile) -> bool:
    """Whether a column takes one value for nearly every id, and says more than the id itself."""
    pairs = pl.DataFrame(
        {"id": ids.values.cast(pl.String), "value": one.values.cast(pl.String)}
    ).drop_nulls()
    if pairs.is_empty():
        return False
    counts = pairs.group_by("id").agg(pl.col("value").n_unique(), pl.len().alias("rows"))
    seen = counts if ids.repeats < 1.01 else counts.filter(pl.col("rows") > 1)
    if seen.is_empty():
        return False
    return float((seen.get_column("value") == 1).mean() or 0) >= _FIXED  # type: ignore[arg-type]


def _attribute(thing: str, name: str, stated: tuple[str, ...], taken: dict[str, str]) -> str:
    if thing == "product":
        for role in stated:
            if role in ATTRIBUTES and role not in taken:
                return role
    if thing == "location":
        for role in stated:
            if role in ("region", "channel") and role not in taken:
                return role
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
