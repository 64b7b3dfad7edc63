"""The draft itself: files in, the text of a mapping out, to be read and mended by a person.

Used by `foresell data sketch`. What could not be told stands beside the guess as a comment.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from features.ingest.mapping_draft.odd_rows import find_oddities
from features.ingest.mapping_draft.profile import Profile, profile
from features.ingest.mapping_draft.roles import find_roles
from features.ingest.mapping_draft.sample import Sample, alike, pattern_of, take_sample
from features.ingest.mapping_draft.sections import Look, Section
from features.ingest.mapping_draft.words import meaning
from features.ingest.mapping_draft.written import body, head, tail
from features.tables import TABLES

_THINGS = {"products": "product", "customers": "customer", "locations": "location"}
# A key that is unique to this share is one; a few lines may stand twice by mistake.
_UNIQUE = 0.995
# Quantities so many times above most others are weights or volumes.
_FAR = 50


def draft_mapping(
    files: Sequence[Path], folder: Path, scratch: Path, name: str | None = None
) -> str:
    """Draft a mapping of some files.

    Parameters
    ----------
    folder
        Where the draft will stand; paths are written relative to it where files lie in it.
    scratch
        An empty folder for copies of what is looked at.
    name
        Of the dataset; by default that of the file, or of the folder of several.

    Raises
    ------
    InvalidInput
        If a file is not there, empty, or of no known kind.
    """
    looks = [look for group in alike(files) for look in _looks(group, scratch)]
    sections, left = [], []
    for look in looks:
        found = _sections(look)
        sections += found
        if not found:
            left.append(look)
    sections = _without_repeats(sections)
    if name is None:
        name = files[0].resolve().parent.name if len(files) > 1 else files[0].name.split(".")[0]
    return "\n".join([*head(name, looks, sections), *body(sections, folder), *tail(left)]) + "\n"


def _looks(group: list[Path], scratch: Path) -> list[Look]:
    """Look at files of one name but for its figures, as one where they have the same columns."""
    chosen = sorted({0, len(group) // 2, len(group) - 1})
    samples = [take_sample(group[number], scratch) for number in chosen]
    if len({tuple(sample.frame.columns) for sample in samples}) > 1:
        return [_look(take_sample(path, scratch)) for path in group]
    frame = pl.concat([sample.frame for sample in samples], how="vertical_relaxed")
    return [_look(replace(samples[0], path=pattern_of(group), frame=frame))]


def _look(sample: Sample) -> Look:
    roles = find_roles(_profiles(sample))
    if sample.header is not None:
        # Columns without names are called what they are.
        names = {raw: role for role, raw in roles.columns.items()}
        sample = sample.renamed(names)
        roles = find_roles(_profiles(sample))
    by_name = {one.name: one for one in _profiles(sample)}
    return Look(sample, by_name, roles, find_oddities(roles, by_name))


def _profiles(sample: Sample) -> list[Profile]:
    return [profile(name, sample.frame.get_column(name)) for name in sample.frame.columns]


def _sections(look: Look) -> list[Section]:
    """Decide which tables a file holds."""
    roles = look.roles.columns
    dated = "ts" in roles or "week" in roles
    described = [
        Section(table, look, {f"{thing}_id": roles[f"{thing}_id"]})
        for table, thing in _THINGS.items()
        if f"{thing}_id" in roles
        and (look.roles.attributes.get(thing) or (thing == "location" and not dated))
    ]
    for one in described:
        one.columns |= look.roles.attributes.get(_THINGS[one.table], {})
        if one.table == "locations" and not dated and "channel" in roles:
            one.columns["channel"] = roles["channel"]
    if "from_day" in roles:
        return _spans(look)
    if not dated:
        # The thing that each row is about.
        main = [one for one in described if look.unique(f"{_THINGS[one.table]}_id") >= _UNIQUE]
        return main[:1]
    if "on_hand" in roles and "product_id" in roles:
        return [_section("stock", look, "product_id", "location_id", "on_hand")]
    if "campaign_id" in roles and "customer_id" in roles:
        return [_touchpoints(look)]
    if not {"quantity", "revenue", "unit_price"} & set(roles):
        return []
    people = {"customer_id", "order_id"} & set(roles)
    if not people and _is_shelf(look):
        return [_sales(look), *described]
    if not people and "product_id" not in roles:
        return []
    return [_orders(look), *described]


def _is_shelf(look: Look) -> bool:
    """Whether there is one row a product, location and day; a group may stand for a product."""
    roles = look.roles.columns
    key = [name for name in ("product_id", "location_id", "ts", "week") if name in roles]
    if len(key) < 2:
        return False
    if look.unique(*key) >= _UNIQUE:
        return True
    for name, one in look.profiles.items():
        group = {"department", "category", "subcategory"} & set(meaning(name).stated)
        if "product_id" not in roles and group and one.distinct > 1:
            roles["product_id"] = name
            look.roles.spare.pop(name, None)
            look.roles.notes["product_id"] = f"no product was found: {name} stands for it"
            return look.unique("product_id", *key) >= _UNIQUE
    return False


def _section(table: str, look: Look, *names: str) -> Section:
    """Make a section of the roles that the file has, its day or instant among them."""
    roles = look.roles.columns
    columns = {name: roles[name] for name in names if name in roles}
    when = "ts" if "ts" in TABLES[table].columns else "day"
    for role in ("ts", "week"):
        if role in roles:
            columns[when if role == "ts" else "day"] = roles[role]
    notes = [look.roles.notes[role] for role in names if role in look.roles.notes]
    return Section(table, look, columns, notes=notes)


def _orders(look: Look) -> Section:
    names = ("customer_id", "order_id", "line", "product_id", "location_id", "channel", "kind")
    amounts = ("quantity", "unit_price", "revenue", "discount")
    section = _section("orders", look, *names, *amounts)
    if "line" in section.columns and look.unique("order_id", "line") < _UNIQUE:
        del section.columns["line"]
        section.notes.append("the column of line numbers repeats within orders and was left out")
    if "customer_id" not in section.columns:
        section.notes.append("no customer was found: demand and what is bought together run")
    if "order_id" not in section.columns:
        section.notes.append(
            "no order id was found: what a customer buys in a place on a day is one order"
        )
    if "product_id" not in section.columns:
        groups = [
            name
            for name in look.roles.spare
            if {"category", "subcategory", "name"} & set(meaning(name).stated)
        ]
        if groups:
            section.columns["product_id"] = groups[0]
            del look.roles.spare[groups[0]]
            section.notes.append(f"no product was found: {groups[0]} stands for it")
    if "quantity" not in section.columns:
        section.notes.append("no quantity was found: each row counts as one")
    else:
        units = look.of("quantity").numbers
        most, usual = units.max(), units.quantile(0.99)
        if isinstance(most, float) and usual and most > _FAR * max(1.0, usual):
            section.notes.append(
                f"quantities reach {most:,g}, most are below {usual:,g}: are some weights or "
                f"volumes? cap_quantity = {usual:g} would count them as so many"
            )
    if not {"revenue", "unit_price"} & section.columns.keys():
        section.notes.append("no amount of money was found: the value model cannot run")
    return section


def _sales(look: Look) -> Section:
    section = _section("sales", look, "product_id", "location_id", "quantity", "on_sale")
    roles = look.roles.columns
    if "product_id" not in roles:
        section.constants["product_id"] = "all"
        section.notes.append("no product was found: all are taken as one")
    if "quantity" not in roles and "revenue" in roles:
        section.columns["quantity"] = roles["revenue"]
        section.notes.append(f"{roles['revenue']} stands for the units sold, which were not found")
        return section
    for role in ("price", "unit_price"):
        if role in roles:
            section.columns["price"] = roles[role]
    if "revenue" in roles:
        section.notes.append(
            f"{roles['revenue']} looks like revenue; sales want the price of a unit, so it was "
            "left out"
        )
    return section


def _touchpoints(look: Look) -> Section:
    section = _section("touchpoints", look, "customer_id", "campaign_id", "kind", "channel", "cost")
    if "kind" not in section.columns:
        stem = look.sample.path.stem.lower()
        words = {"redem": "redeemed", "click": "clicked", "open": "seen", "visit": "visited"}
        kind = next((kind for part, kind in words.items() if part in stem), "sent")
        section.constants["kind"] = kind
        section.notes.append(f"kind = {kind!r} is a guess by the file's name")
    return section


def _spans(look: Look) -> list[Section]:
    """Promotions or prices: something that holds from a day to a day."""
    roles = look.roles.columns
    if "product_id" not in roles:
        return []
    money = roles.get("unit_price") or roles.get("price") or roles.get("revenue")
    names = ("product_id", "location_id")
    columns = {name: roles[name] for name in names if name in roles}
    columns["from_day"] = roles["from_day"]
    if money and "discount" not in roles:
        return [Section("prices", look, {**columns, "price": money})]
    columns["last_day"] = roles["last_day"]
    depth = look.of("discount").numbers.max() if "discount" in roles else None
    if isinstance(depth, float) and depth <= 1:
        columns["depth"] = roles["discount"]
    section = Section("promotions", look, columns, {"kind": "discount"})
    section.notes.append("kind = 'discount' is a guess; last_day counts as its last day")
    return [section]


def _without_repeats(sections: list[Section]) -> list[Section]:
    """Describe a thing by the file that is about it, rather than by lines that mention it."""
    about = {one.table for one in sections if one.table in _THINGS and _is_about(one)}
    return [one for one in sections if one.table not in about or _is_about(one)]


def _is_about(section: Section) -> bool:
    return not {"ts", "week"} & section.look.roles.columns.keys()
