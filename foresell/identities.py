"""Identity links of a dataset: describe, undo and restore them."""

from __future__ import annotations

from typing import Any

import polars as pl

from features.dataset import open_dataset
from features.errors import InvalidInput, NotFound
from features.identity import LINK_TABLES, active_links, resolve, undo_rule
from features.ingest.pipeline import import_tables
from features.ingest.source_table import SourceTable
from features.privacy.pseudonyms import read_key_check
from features.storage.snapshots import dataset_folder
from foresell.settings import Settings


def describe(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Describe for customers and for products which ids are linked, and by which values.

    Returns
    -------
    list of dict
        One row per id column that has links: `column`, `links` (their number), `groups` (`ids`
        with their `canonical_id`, linked `by`), `suspicious` (values and groups that are shared
        by too many ids to link them) and `undone` (rules).
    """
    rows = []
    for column, links in _links(settings, name).items():
        resolved = resolve(links)
        several = resolved.ids.filter(pl.col("size") > 1)
        valid = active_links(links).join(several, on=column)
        sources = pl.concat_str(pl.col("kind"), pl.lit(" in "), pl.col("source"))
        groups = valid.group_by("canonical_id").agg(
            pl.col(column).unique().sort().alias("ids"), sources.unique().sort().alias("by")
        )
        rules = links.filter(pl.col("undone")).select(column, "kind", "value", "source")
        rows.append(
            {
                "column": column,
                "links": links.filter(pl.col("undone").is_null()).height,
                "groups": groups.sort("canonical_id").to_dicts(),
                "suspicious": resolved.suspicious.to_dicts(),
                "undone": [
                    {field: value for field, value in rule.items() if value}
                    for rule in rules.iter_rows(named=True)
                ],
            }
        )
    return rows


def change(settings: Settings, name: str, selector: str, *, undone: bool) -> None:
    """Undo links or restore them, by a selector: `source=web.csv`, `id=17`, `email=...`.

    Raises
    ------
    InvalidInput
        If the selector does not name a field and a value.
    NotFound
        If it selects no link.
    """
    field, equals, value = selector.partition("=")
    if not equals or not field or not value:
        raise InvalidInput(
            f"{selector!r} selects no link: write source=, id= or a kind such as email=, and its "
            "value.",
            field="undo",
        )
    not_found: NotFound | None = None
    rules = []
    for column, links in _links(settings, name).items():
        try:
            row = undo_rule(links, field, value, undone=undone)
            rules.append(SourceTable(LINK_TABLES[column], row))
        except NotFound as error:
            not_found = error
    if not rules and not_found is not None:
        raise not_found
    check = read_key_check(dataset_folder(settings.home, name))
    import_tables(settings.home, name, rules, max_bad_share=0.0, key_check=check)


def _links(settings: Settings, name: str) -> dict[str, pl.DataFrame]:
    dataset = open_dataset(settings.home, name)
    links = {
        column: dataset.table(table).collect().to_polars()
        for column, table in LINK_TABLES.items()
        if dataset.has(table)
    }
    if not links:
        raise NotFound(
            f"Dataset {name} has no links: its mapping has no [identity] section, which would "
            "link ids of one customer or one product.",
            field="dataset",
        )
    return links
