"""Assignment of roles: column profiles of a file in, `Roles` out.

A column's name decides first, among the roles that its values allow; if no name is informative,
values alone decide.
"""

import polars as pl

from features.ingest.mapping_draft.amounts import assign_amounts
from features.ingest.mapping_draft.column_names import NameMeaning, interpret_name
from features.ingest.mapping_draft.known_exports import recognise_export
from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import IDS, Meanings, Roles
from features.ingest.mapping_draft.whole_orders import first_line_columns, order_totals
from features.public_holidays import COUNTRY, are_countries
from features.tables import TABLES

# An attribute takes one value for this share of an entity's ids, or more.
_CONSTANT_SHARE = 0.97
# Largest week number of a continuous count.
_MAX_WEEK = 10_000
_ORDER_AMOUNTS = {"money", "price", "cost", "discount"}
_KINDS = {
    word
    for table in ("orders", "touchpoints")
    for words in TABLES[table].columns["kind"].words.values()
    for word in words
}
PRODUCT_ATTRIBUTES = ("name", "department", "category", "subcategory", "brand")
_LOCATION_ATTRIBUTES = ("region", "channel", COUNTRY)


def find_roles(profiles: list[ColumnProfile]) -> Roles:
    """Assign a role to each column of a file."""
    known = recognise_export(profiles)
    if known is not None:
        return known
    roles = Roles()
    meanings = {column.name: interpret_name(column.name) for column in profiles}
    _assign_dates(roles, profiles, meanings)
    _assign_ids(roles, profiles, meanings)
    _set_aside_order_amounts(roles, profiles, meanings)
    assign_amounts(roles, profiles, meanings)
    if not roles.columns.keys() & set(IDS.values()):
        _assign_customer_by_values(roles, profiles)
    _assign_others(roles, profiles, meanings)
    _assign_attributes(roles, profiles, meanings)
    return roles


def _set_aside_order_amounts(
    roles: Roles, profiles: list[ColumnProfile], meanings: Meanings
) -> None:
    """Leave amounts of whole orders unused: on every line they would count several times."""
    order = roles.profile("order_id", profiles)
    if order is None:
        return
    amounts = [
        column
        for column in roles.unassigned(profiles)
        if column.is_number and set(meanings[column.name].properties) & _ORDER_AMOUNTS
    ]
    for name in first_line_columns(order, amounts):
        roles.unused[name] = "of the whole order: on its first line alone"
    for name in order_totals(order, roles.unassigned(amounts)):
        roles.unused[name] = "of the whole order: the same on all of its lines"


def _assign_dates(roles: Roles, profiles: list[ColumnProfile], meanings: Meanings) -> None:
    """Assign the timestamp of a record, or the first and last day of a span."""
    dated = [
        column
        for column in profiles
        if column.dates is not None
        and (column.date_format != "%Y%m%d" or _is_day(meanings[column.name], column))
    ]
    bounds = {
        meanings[column.name].boundary: column.name
        for column in dated
        if meanings[column.name].boundary
    }
    if {"first", "last"} <= bounds.keys():
        roles.columns |= {"from_day": bounds["first"], "last_day": bounds["last"]}
        dated = [column for column in dated if column.name not in bounds.values()]
    # Preferably a column with a telling name, then the most filled, then the finest one.
    dated.sort(
        key=lambda column: (
            not meanings[column.name].properties,
            -column.filled,
            -_distinct_dates(column),
        )
    )
    for column in dated:
        if "ts" not in roles.columns and "from_day" not in roles.columns:
            roles.columns["ts"] = column.name
        else:
            roles.unused[column.name] = "another date"
    if dated or "from_day" in roles.columns:
        return
    for column in profiles:
        is_week = "week" in meanings[column.name].properties
        is_whole = column.is_number and column.whole == 1
        if is_week and is_whole and float(column.numbers.max() or 0) < _MAX_WEEK:  # type: ignore[arg-type]
            roles.columns["week"] = column.name
            return


def _is_day(meaning: NameMeaning, column: ColumnProfile) -> bool:
    """Whether numbers such as 20240102 are days: by name, or by their repetition."""
    is_unnamed = not (meaning.entities or meaning.properties)
    return "date" in meaning.properties or is_unnamed or column.repeats > 1.5


def _distinct_dates(column: ColumnProfile) -> int:
    assert column.dates is not None  # noqa: S101
    return column.dates.n_unique()


def _assign_ids(roles: Roles, profiles: list[ColumnProfile], meanings: Meanings) -> None:
    """Assign ids by name: the name mentions an entity and no property."""
    for entity, role in IDS.items():
        candidates = [
            column
            for column in roles.unassigned(profiles)
            if meanings[column.name].entities[-1:] == (entity,)
            and not meanings[column.name].properties
            and (column.dates is None or column.date_format == "%Y%m%d")
            and _may_be_id(column)
        ]
        # The candidate with the most distinct values.
        candidates.sort(key=lambda column: (-column.distinct, column.filled))
        for column in candidates[:1]:
            roles.columns[role] = column.name


def _may_be_id(column: ColumnProfile) -> bool:
    is_integer = column.values.dtype.is_integer()
    has_fractions = column.is_number and column.whole < 1 and not is_integer
    return not has_fractions and column.negative < 0.5


def _assign_customer_by_values(roles: Roles, profiles: list[ColumnProfile]) -> None:
    """Assign the customer in a file without any named id: the first column of whole values."""
    candidates = [
        column
        for column in roles.unassigned(profiles)
        if column.dates is None
        and column.whole in (0, 1)
        and (not column.is_number or column.whole == 1)
        and column.filled > 0.5
        and column.distinct > 20
    ]
    if candidates and "ts" in roles.columns:
        name = candidates[0].name
        roles.columns["customer_id"] = name
        roles.notes["customer_id"] = f"{name} was taken for the customer by its values"


def _assign_others(roles: Roles, profiles: list[ColumnProfile], meanings: Meanings) -> None:
    """Assign line numbers, channels, kinds and flags."""
    for column in roles.unassigned(profiles):
        properties = meanings[column.name].properties
        entities = meanings[column.name].entities
        if _is_line(roles, column, profiles, properties):
            roles.columns["line"] = column.name
        elif "kind" not in roles.columns and _is_kind(column):
            roles.columns["kind"] = column.name
        elif "channel" in properties and not entities and column.distinct <= 50:
            roles.columns["channel"] = column.name
        elif ("on_sale" in properties or set(properties) == {"discount"}) and column.distinct <= 2:
            roles.columns["on_sale"] = column.name
        elif (
            entities[-1:] == ("campaign",) and not properties and "campaign_id" not in roles.columns
        ):
            roles.columns["campaign_id"] = column.name


def _is_kind(column: ColumnProfile) -> bool:
    """Whether the values are kinds of order lines or touchpoints."""
    if column.is_number or column.distinct > len(_KINDS):
        return False
    words = column.values.drop_nulls().cast(pl.String).str.to_lowercase()
    return column.distinct > 0 and set(words) <= _KINDS


def _is_line(
    roles: Roles,
    column: ColumnProfile,
    profiles: list[ColumnProfile],
    properties: tuple[str, ...],
) -> bool:
    """Whether a column numbers the lines of orders: by name, or by distinct numbers from 0 or 1."""
    is_whole = column.is_number and column.whole == 1
    if "line" in properties and is_whole and "order_id" in roles.columns:
        return True
    if {"order_id", "product_id"} - roles.columns.keys() or "line" in roles.columns:
        return False
    if not is_whole or column.filled < 1 or column.numbers.min() not in (0, 1):
        return False
    orders = roles.profile("order_id", profiles)
    assert orders is not None  # noqa: S101
    pairs = pl.DataFrame({"order": orders.values.cast(pl.String), "line": column.numbers})
    return orders.repeats > 1.1 and column.distinct > 1 and pairs.n_unique() == pairs.height


def _assign_attributes(roles: Roles, profiles: list[ColumnProfile], meanings: Meanings) -> None:
    """Assign the remaining columns to the entity whose ids determine their values."""
    ids = {
        entity: roles.profile(IDS[entity], profiles)
        for entity in ("product", "customer", "location")
        if IDS[entity] in roles.columns
    }
    for column in profiles:
        name = column.name
        if roles.is_assigned(name):
            continue
        properties = meanings[name].properties
        if meanings[name].is_personal:
            roles.unused[name] = "of a person"
            continue
        is_product_attribute = bool(set(properties) & set(PRODUCT_ATTRIBUTES))
        if "name" in properties and _is_of_orders(roles, profiles, column):
            roles.unused[name] = "of the whole order"
            continue
        if column.distinct <= 1 and not is_product_attribute:
            roles.unused[name] = "constant" if column.distinct else "empty"
            continue
        owners = [entity for entity, id_ in ids.items() if id_ and _determines(id_, column)]
        if not owners:
            roles.unused[name] = _reason_unused(roles, profiles, column)
            continue
        named = [entity for entity in meanings[name].entities if entity in owners]
        is_product = "product" in owners and is_product_attribute
        owner = named[0] if named else "product" if is_product else owners[-1]
        attributes = roles.attributes.setdefault(owner, {})
        attributes[_attribute_name(owner, column, properties, attributes)] = name


def _is_of_orders(roles: Roles, profiles: list[ColumnProfile], column: ColumnProfile) -> bool:
    """Whether a column has one value per order, which a product's name has not."""
    order, product = roles.profile("order_id", profiles), roles.profile("product_id", profiles)
    if order is None or product is None or order.repeats < 1.1 or _determines(order, product):
        return False
    return column.distinct <= 1 or _determines(order, column)


def _reason_unused(roles: Roles, profiles: list[ColumnProfile], column: ColumnProfile) -> str:
    role = "ts" if "ts" in roles.columns else "week"
    time = roles.profile(role, profiles)
    if time is not None and time.repeats > 2 and _determines(time, column):
        return f"determined by {time.name}"
    return "not recognised"


def _determines(key: ColumnProfile, column: ColumnProfile) -> bool:
    """Whether nearly every value of a key that repeats has one value of the column."""
    pairs = pl.DataFrame(
        {"key": key.values.cast(pl.String), "value": column.values.cast(pl.String)}
    ).drop_nulls()
    if pairs.is_empty():
        return False
    counts = pairs.group_by("key").agg(pl.col("value").n_unique(), pl.len().alias("rows"))
    repeated = counts if key.repeats < 1.01 else counts.filter(pl.col("rows") > 1)
    if repeated.is_empty():
        return False
    constant = (repeated.get_column("value") == 1).mean()
    return float(constant or 0) >= _CONSTANT_SHARE  # type: ignore[arg-type]


def _attribute_name(
    entity: str, column: ColumnProfile, properties: tuple[str, ...], attributes: dict[str, str]
) -> str:
    """Return the canonical name of an attribute, or the column's name in lower case.

    The country of a location is a code: names of countries are regions.
    """
    if entity == "location" and not are_countries(column.values):
        properties = tuple("region" if word == COUNTRY else word for word in properties)
    known = {"product": PRODUCT_ATTRIBUTES, "location": _LOCATION_ATTRIBUTES}.get(entity, ())
    for property_ in properties:
        if property_ in known and property_ not in attributes:
            return property_
    letters = (letter if letter.isalnum() else "_" for letter in column.name.lower())
    name = "".join(letters).strip("_")
    return "country_name" if (entity, name) == ("location", COUNTRY) else name
