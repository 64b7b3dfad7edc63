"""Draft of a mapping: sample files in, the text of a mapping with comments on doubts out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from features.ingest.mapping_draft.column_names import interpret_name
from features.ingest.mapping_draft.doubts import order_doubts
from features.ingest.mapping_draft.non_sales import find_non_sales
from features.ingest.mapping_draft.profile import ColumnProfile, profile_column
from features.ingest.mapping_draft.render import render_head, render_tables, render_unrecognised
from features.ingest.mapping_draft.role_assignment import find_roles
from features.ingest.mapping_draft.sample import Sample, glob_of, group_files, take_sample
from features.ingest.mapping_draft.sections import FileProfile, Section
from features.ingest.mapping_draft.whole_orders import first_line_columns
from features.tables import TABLES

_ENTITY_BY_TABLE = {"products": "product", "customers": "customer", "locations": "location"}
# Minimum share of distinct keys; a few lines may be repeated by mistake.
_KEY_SHARE = 0.995
# Quantities that exceed the 99 % quantile by this factor are weights or volumes.
_OUTLIER_FACTOR = 50
_TIME_ROLES = ("ts", "week")


def draft_mapping(
    files: Sequence[Path], folder: Path, scratch: Path, name: str | None = None
) -> str:
    """Draft a mapping of some files.

    Parameters
    ----------
    folder
        Folder of the draft, to which paths are relative where possible.
    scratch
        Empty folder for copies of the samples.
    name
        Name of the dataset; by default that of the file, or of the folder of several files.

    Raises
    ------
    InvalidInput
        If a file does not exist, is empty, or is of an unknown type.
    """
    profiles = [file for group in group_files(files) for file in _profile_group(group, scratch)]
    sections, unrecognised = [], []
    for file in profiles:
        of_file = _sections(file)
        sections += of_file
        if not of_file:
            unrecognised.append(file)
    sections = _without_repeats(sections)
    if name is None:
        name = files[0].resolve().parent.name if len(files) > 1 else files[0].name.split(".")[0]
    lines = [
        *render_head(name, profiles, sections),
        *render_tables(sections, folder),
        *render_unrecognised(unrecognised),
    ]
    return "\n".join(lines) + "\n"


def _profile_group(group: list[Path], scratch: Path) -> list[FileProfile]:
    """Profile files with similar names: as one if they have the same columns."""
    sampled = sorted({0, len(group) // 2, len(group) - 1})
    samples = [take_sample(group[number], scratch) for number in sampled]
    if len({tuple(sample.frame.columns) for sample in samples}) > 1:
        return [_profile_file(take_sample(path, scratch)) for path in group]
    frame = pl.concat([sample.frame for sample in samples], how="vertical_relaxed")
    return [_profile_file(replace(samples[0], path=glob_of(group), frame=frame))]


def _profile_file(sample: Sample) -> FileProfile:
    roles = find_roles(_profile_columns(sample))
    if sample.header is not None:
        # Without a header, columns are named by their roles.
        sample = sample.renamed({raw: role for role, raw in roles.columns.items()})
        roles = find_roles(_profile_columns(sample))
    columns = {column.name: column for column in _profile_columns(sample)}
    order = roles.profile("order_id", list(columns.values()))
    first_line = [] if order is None else first_line_columns(order, list(columns.values()))
    return FileProfile(sample, columns, roles, find_non_sales(roles, columns), first_line)


def _profile_columns(sample: Sample) -> list[ColumnProfile]:
    return [profile_column(name, sample.frame.get_column(name)) for name in sample.frame.columns]


def _sections(file: FileProfile) -> list[Section]:
    """Decide which tables a file contains."""
    roles = file.roles.columns
    is_dated = bool(set(_TIME_ROLES) & set(roles))
    if "from_day" in roles:
        return _spans(file)
    entities = _entity_sections(file, is_dated=is_dated)
    if not is_dated:
        # The entity that each row describes.
        main = [
            section
            for section in entities
            if file.distinct_share(f"{_ENTITY_BY_TABLE[section.table]}_id") >= _KEY_SHARE
        ]
        return main[:1]
    if "on_hand" in roles and "product_id" in roles:
        return [_section("stock", file, "product_id", "location_id", "on_hand")]
    if "campaign_id" in roles and "customer_id" in roles:
        return [_touchpoints(file)]
    has_lines = {"order_id", "product_id"} <= set(roles)
    if not has_lines and not {"quantity", "revenue", "unit_price"} & set(roles):
        return []
    has_orders = bool({"customer_id", "order_id"} & set(roles))
    if not has_orders and _is_sales(file):
        return [_sales(file), *entities]
    if not has_orders and "product_id" not in roles:
        return []
    return [_orders(file), *entities]


def _entity_sections(file: FileProfile, *, is_dated: bool) -> list[Section]:
    """Return sections of the entities that a file describes."""
    roles = file.roles.columns
    sections = []
    for table, entity in _ENTITY_BY_TABLE.items():
        role = f"{entity}_id"
        attributes = file.roles.attributes.get(entity, {})
        is_list = entity == "location" and not is_dated
        if role not in roles or not (attributes or is_list):
            continue
        section = Section(table, file, {role: roles[role], **attributes})
        if is_list and "channel" in roles:
            section.columns["channel"] = roles["channel"]
        sections.append(section)
    return sections


def _is_sales(file: FileProfile) -> bool:
    """Whether there is one row per product, location and day.

    Without a product, a product group takes its place.
    """
    roles = file.roles.columns
    key = [name for name in ("product_id", "location_id", *_TIME_ROLES) if name in roles]
    if len(key) < 2:
        return False
    if file.distinct_share(*key) >= _KEY_SHARE:
        return True
    for name, column in file.columns.items():
        is_group = {"department", "category", "subcategory"} & set(interpret_name(name).properties)
        if "product_id" not in roles and is_group and column.distinct > 1:
            roles["product_id"] = name
            file.roles.unused.pop(name, None)
            file.roles.notes["product_id"] = f"no product was recognised; {name} is used instead"
            return file.distinct_share("product_id", *key) >= _KEY_SHARE
    return False


def _section(table: str, file: FileProfile, *names: str) -> Section:
    """Return a section with the named roles that the file has, and its day or timestamp."""
    roles = file.roles.columns
    columns = {name: roles[name] for name in names if name in roles}
    time_column = "ts" if "ts" in TABLES[table].columns else "day"
    for role in _TIME_ROLES:
        if role in roles:
            columns[time_column if role == "ts" else "day"] = roles[role]
    notes = [file.roles.notes[role] for role in names if role in file.roles.notes]
    return Section(table, file, columns, notes=notes)


def _orders(file: FileProfile) -> Section:
    names = ("customer_id", "order_id", "line", "product_id", "location_id", "channel", "kind")
    amounts = ("quantity", "unit_price", "revenue", "discount")
    section = _section("orders", file, *names, *amounts)
    notes = section.notes
    if "line" in section.columns and file.distinct_share("order_id", "line") < _KEY_SHARE:
        del section.columns["line"]
        notes.append("the column of line numbers repeats within orders and was left out")
    if "customer_id" not in section.columns:
        notes.append(
            "no customer was recognised: demand and products bought together can be computed"
        )
    if "order_id" not in section.columns:
        notes.append(
            "no order id was recognised: the lines of a customer, location and day are one order"
        )
    if "product_id" not in section.columns:
        _use_group_as_product(section)
    if "quantity" not in section.columns:
        notes.append("no quantity was recognised: each row counts as one")
    else:
        notes += _quantity_notes(file.column("quantity").numbers)
    if not {"revenue", "unit_price"} & section.columns.keys():
        notes.append("no amount of money was recognised: the value model cannot run")
    notes += order_doubts(section.file, section.columns)
    return section


def _use_group_as_product(section: Section) -> None:
    """Use the first unused column of product groups or names as the product."""
    unused = section.file.roles.unused
    groups = [
        name
        for name in unused
        if {"category", "subcategory", "name"} & set(interpret_name(name).properties)
    ]
    if groups:
        section.columns["product_id"] = groups[0]
        del unused[groups[0]]
        section.notes.append(f"no product was recognised; {groups[0]} is used instead")


def _quantity_notes(units: pl.Series) -> list[str]:
    """Return a note on quantities that may be weights or volumes."""
    largest, usual = units.max(), units.quantile(0.99)
    if not (isinstance(largest, float) and usual):
        return []
    if largest <= _OUTLIER_FACTOR * max(1.0, usual):
        return []
    return [
        f"quantities reach {largest:,g}, 99 % are at most {usual:,g}; if the largest are weights "
        f"or volumes, set cap_quantity = {usual:g}"
    ]


def _sales(file: FileProfile) -> Section:
    section = _section("sales", file, "product_id", "location_id", "quantity", "on_sale")
    roles = file.roles.columns
    if "product_id" not in roles:
        section.constants["product_id"] = "all"
        section.notes.append("no product was recognised: all sales are of one product")
    if "quantity" not in roles and "revenue" in roles:
        section.columns["quantity"] = roles["revenue"]
        section.notes.append(f"no units were recognised; {roles['revenue']} is used instead")
        return section
    for role in ("price", "unit_price"):
        if role in roles:
            section.columns["price"] = roles[role]
    if "revenue" in roles:
        section.notes.append(
            f"{roles['revenue']} was taken for revenue and left out: sales need the price of a unit"
        )
    return section


def _touchpoints(file: FileProfile) -> Section:
    section = _section("touchpoints", file, "customer_id", "campaign_id", "kind", "channel", "cost")
    if "kind" not in section.columns:
        stem = file.sample.path.stem.lower()
        kinds = {"redem": "redeemed", "click": "clicked", "open": "seen", "visit": "visited"}
        kind = next((kind for part, kind in kinds.items() if part in stem), "sent")
        section.constants["kind"] = kind
        section.notes.append(f"kind = {kind!r} is a guess by the file's name")
    return section


def _spans(file: FileProfile) -> list[Section]:
    """Return a section of promotions or prices, which are valid from a day to a day."""
    roles = file.roles.columns
    if "product_id" not in roles:
        return []
    price = roles.get("unit_price") or roles.get("price") or roles.get("revenue")
    names = ("product_id", "location_id", "from_day")
    columns = {name: roles[name] for name in names if name in roles}
    if price and "discount" not in roles:
        return [Section("prices", file, {**columns, "price": price})]
    columns["last_day"] = roles["last_day"]
    depth = file.column("discount").numbers.max() if "discount" in roles else None
    if isinstance(depth, float) and depth <= 1:
        columns["depth"] = roles["discount"]
    section = Section("promotions", file, columns, {"kind": "discount"})
    section.notes.append("kind = 'discount' is a guess; last_day is included in the promotion")
    return [section]


def _without_repeats(sections: list[Section]) -> list[Section]:
    """Drop entities taken from dated lines if another file lists the entities."""
    listed = {
        section.table
        for section in sections
        if section.table in _ENTITY_BY_TABLE and _is_list(section)
    }
    return [section for section in sections if section.table not in listed or _is_list(section)]


def _is_list(section: Section) -> bool:
    return not set(_TIME_ROLES) & section.file.roles.columns.keys()
