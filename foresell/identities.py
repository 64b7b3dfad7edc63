"""Who is who in a dataset: shown, and undone, by `foresell data identity`."""

from __future__ import annotations

from typing import Any

import polars as pl

from features.dataset import open_dataset
from features.errors import InvalidInput, NotFound
from features.identity import LINKS, in_force, resolve, rule
from features.ingest.pipeline import import_tables
from features.ingest.staging import SourceTable
from features.privacy.pseudonyms import key_check
from features.storage.snapshots import dataset_folder
from foresell.settings import Settings


def describe(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Say for customers and for products which ids are one, by what, and what is suspicious.

    Returns
    -------
    list of dict
        For each kind of id that has links: `column`, `links`, `groups` of ids under a
        `canonical_id` with what joins them (`by`), `suspicious` values and groups, by which
        nothing is joined, and what is `undone`.
    """
    found = []
    for column, links in _links(settings, name).items():
        who = resolve(links)
        several = who.ids.filter(pl.col("size") > 1)
        told = in_force(links).join(several, on=column)
        joins = pl.concat_str(pl.col("kind"), pl.lit(" in "), pl.col("source"))
        groups = told.group_by("canonical_id").agg(
            pl.col(column).unique().sort().alias("ids"), joins.unique().sort().alias("by")
        )
        rules = links.filter(pl.col("undone")).select(column, "kind", "value", "source")
        found.append(
            {
                "column": column,
                "links": links.filter(pl.col("undone").is_null()).height,
                "groups": groups.sort("canonical_id").to_dicts(),
                "suspicious": who.suspicious.to_dicts(),
                "undone": [
                    {field: value for field, value in row.items() if value}
                    for row in rules.iter_rows(named=True)
                ],
            }
        )
    return found


def change(settings: Settings, name: str, what: str, *, undone: bool) -> None:
    """Take links out of force, or bring them back: `source=web.csv`, `id=17`, `email=...`.

    Raises
    ------
    InvalidInput
        If `what` does not name a field and a value.
    NotFound
        If no link is meant.
    """
    field, equals, value = what.partition("=")
    if not equals or not field or not value:
        raise InvalidInput(
            f"{what!r} names no link: write source=, id= or a kind such as email=, and its value.",
            field="undo",
        )
    lacking: NotFound | None = None
    rules = []
    for column, links in _links(settings, name).items():
        try:
            row = rule(links, field, value, undone=undone)
            rules.append(SourceTable(LINKS[column], row))
        except NotFound as error:
            lacking = error
    if not rules and lacking is not None:
        raise lacking
    check = key_check(dataset_folder(settings.home, name))
    import_tables(settings.home, name, rules, max_bad_share=0.0, key_check=check)


def _links(settings: Settings, name: str) -> dict[str, pl.DataFrame]:
    dataset = open_dataset(settings.home, name)
    found = {
        column: dataset.table(table).collect().to_polars()
        for column, table in LINKS.items()
        if dataset.has(table)
    }
    if not found:
        raise NotFound(
            f"Dataset {name} has no links: its mapping has no [identity] section, by which ids "
            "would be found to be one person's or one product's.",
            field="dataset",
        )
    return found
