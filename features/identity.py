"""Identity resolution: links of ids in, one canonical id per customer or product out.

Links are rows of `customer_links` and `product_links`: an id, and a value such as a loyalty number
that it occurs with in a source. Ids with a common value, directly or through further ids, are one
customer or product. Stored tables keep the original ids. `unify` replaces them when a dataset is
opened, so that links can be undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import narwhals as nw
import numpy as np
import polars as pl

from features.errors import NotFound
from features.privacy.consent import YES, consent_columns
from features.tables import TABLES
from features.typing import Bools, Frame, Ints

# Table of links by id column.
LINK_TABLES = {"customer_id": "customer_links", "product_id": "product_links"}
# Default of the largest number of ids that may be linked.
MAX_IDS = 20
# In an undo rule: matches every value of the column.
ANY = ""
_FIELDS = ("kind", "value", "source")
# How rows of linked products are merged: columns that are summed, and flags of which any counts.
_SUMMED = ("quantity", "on_hand")
_FLAGS = ("on_sale",)


@dataclass(frozen=True)
class Resolution:
    """The canonical id of each linked id.

    Attributes
    ----------
    ids
        One row per id with links: the id, `canonical_id`, and `size`, the number of ids in its
        group.
    suspicious
        One row per value with too many ids, or group that is too large: `kind`, `value` (both
        null for a group), `ids` (their number) and `examples`. These do not link ids.
    """

    ids: pl.DataFrame
    suspicious: pl.DataFrame

    @property
    def merged(self) -> pl.DataFrame:
        """The ids that are replaced: the id and its `canonical_id`."""
        column = self.ids.columns[0]
        return self.ids.filter(pl.col(column) != pl.col("canonical_id")).drop("size")


def active_links(links: pl.DataFrame) -> pl.DataFrame:
    """Return the links without undo rules and without the links that rules match."""
    column = links.columns[0]
    active = links.filter(pl.col("undone").is_null())
    for rule in links.filter(pl.col("undone")).iter_rows(named=True):
        matches = [pl.col(name) == rule[name] for name in (column, *_FIELDS) if rule[name] != ANY]
        active = active.filter(~pl.all_horizontal(matches))
    return active


def resolve(links: pl.DataFrame) -> Resolution:
    """Find the ids that belong together, and their canonical id.

    A value with more than `most` ids does not link them (a till's own card, for example). A group
    of more than `most` ids is dissolved. The canonical id of a group is the one imported first:
    it does not change when further ids join the group.

    Parameters
    ----------
    links
        A table of links, see `features.tables`.
    """
    column = links.columns[0]
    active = active_links(links)
    if active.is_empty():
        ids = pl.DataFrame(schema={column: pl.String, "canonical_id": pl.String, "size": pl.Int64})
        return Resolution(ids, _suspicious_values(active, column))
    limit = int(active.get_column("most").max())  # type: ignore[arg-type]
    shared = active.group_by("kind", "value").agg(pl.col(column).n_unique().alias("ids"))
    crowded = shared.filter(pl.col("ids") > limit)
    used = active.join(crowded, on=["kind", "value"], how="anti")
    # Sorted by import: the canonical id of a component is its first row.
    known = active.group_by(column).agg(pl.col("since").min()).sort("since", column)
    names = known.get_column(column)
    label = _components(used, names)
    size = np.bincount(label)[label]
    first = np.full(label.max() + 1, len(label))
    np.minimum.at(first, label, np.arange(len(label)))
    canonical = np.where(size > limit, np.arange(len(label)), first[label])
    ids = pl.DataFrame(
        {
            column: names,
            "canonical_id": names.gather(canonical),
            "size": np.where(size > limit, 1, size),
        }
    )
    suspicious = [
        _suspicious_values(active.join(crowded, on=["kind", "value"], how="semi"), column),
        _suspicious_groups(known.select(column, group=pl.Series(label)), size > limit),
    ]
    order = pl.concat(suspicious).sort("ids", "kind", "value", descending=[True, False, False])
    return Resolution(ids.sort(column), order)


def _components(links: pl.DataFrame, names: pl.Series) -> Ints:
    """Return the number of each id's component in the bipartite graph of ids and values."""
    row = links.get_column(links.columns[0]).replace_strict(
        names, np.arange(len(names)), return_dtype=pl.Int64
    )
    value = links.select(pl.struct("kind", "value").rank("dense").cast(pl.Int64)).to_series()
    nodes = len(names) + int(value.max() or 0) + 1  # type: ignore[arg-type]
    edges = (row.to_numpy(), len(names) + value.to_numpy())
    # Imported here because most datasets have no links, and the import takes long.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), np.int8), edges), shape=(nodes, nodes))
    label: Ints = connected_components(graph.tocsr(), directed=False)[1]
    # Renumber the components with ids from 0 without gaps.
    return np.unique(label[: len(names)], return_inverse=True)[1]


def _counted(column: str) -> tuple[pl.Expr, pl.Expr]:
    """Count the ids of a group and take three examples."""
    ids = pl.col(column).unique().sort()
    return ids.len().cast(pl.Int64).alias("ids"), ids.head(3).alias("examples")


def _suspicious_values(links: pl.DataFrame, column: str) -> pl.DataFrame:
    return links.group_by("kind", "value").agg(*_counted(column))


def _suspicious_groups(members: pl.DataFrame, too_large: Bools) -> pl.DataFrame:
    column = members.columns[0]
    groups = members.filter(pl.Series(too_large)).group_by("group").agg(*_counted(column))
    null = pl.lit(None, pl.String)
    return groups.select(null.alias("kind"), null.alias("value"), "ids", "examples")


def keep_first_import(
    new: pl.DataFrame, stored: pl.DataFrame, key: list[str], number: int
) -> pl.DataFrame:
    """Set `since` of arriving links: that of the stored link, or the number of this import."""
    before = stored.select(*key, pl.col("since").alias("#since"))
    joined = new.join(before, on=key, how="left", maintain_order="left")
    first = pl.coalesce("#since", pl.lit(number, pl.Int32))
    return joined.with_columns(first.alias("since")).select(new.columns)


def undo_rule(links: pl.DataFrame, field: str, value: str, *, undone: bool) -> pl.DataFrame:
    """Make a row that undoes the links with a value, or restores them.

    Parameters
    ----------
    field
        `source`, `id`, or a kind of value, such as `email`.

    Raises
    ------
    NotFound
        If no link matches.
    """
    column = links.columns[0]
    rule = {column: ANY, **dict.fromkeys(_FIELDS, ANY)}
    if field in ("id", column, "source"):
        rule[column if field != "source" else field] = value
    else:
        rule |= {"kind": field, "value": value}
    matches = [pl.col(name) == text for name, text in rule.items() if text != ANY]
    if links.filter(pl.col("undone").is_null() & pl.all_horizontal(matches)).is_empty():
        kinds = links.filter(pl.col("kind") != ANY).get_column("kind").unique().sort().to_list()
        raise NotFound(
            f"There is no link with {field} = {value!r}; use source, id, or one of "
            f"{', '.join(kinds)}.",
            field="undo",
        )
    row = {**rule, "since": 0, "most": MAX_IDS, "undone": undone}
    return pl.DataFrame([row]).select(
        pl.col(name).cast(links.schema[name]) for name in links.columns
    )


def unify(tables: Mapping[str, Frame]) -> dict[str, Frame]:
    """Replace linked ids by canonical ids, in tables that are Polars scans."""
    replaced = dict(tables)
    for column, links in LINK_TABLES.items():
        if links not in tables:
            continue
        merged = resolve(tables[links].collect().to_polars()).merged
        if merged.is_empty():
            continue
        for name, frame in tables.items():
            if name != links and column in frame.collect_schema().names():
                native: pl.LazyFrame = replaced[name].to_native()
                replaced[name] = nw.from_native(_replace_ids(native, name, column, merged))
    return replaced


def _replace_ids(frame: pl.LazyFrame, name: str, column: str, merged: pl.DataFrame) -> pl.LazyFrame:
    canonical = pl.col(column).replace(merged.get_column(column), merged.get_column("canonical_id"))
    columns = frame.collect_schema().names()
    key = [part for part in TABLES[name].key if part in columns]
    if column not in key or name == "touchpoints":
        return frame.with_columns(canonical)
    # Rows that now have the same key are merged. Only rows with a canonical id can.
    marked = frame.with_columns(canonical, (canonical == pl.col(column)).alias("#canonical"))
    affected = pl.col(column).is_in(merged.get_column("canonical_id").unique().implode())
    values = [_merged_value(other) for other in columns if other not in key]
    merged_rows = marked.filter(affected).group_by(key, maintain_order=True).agg(values)
    return pl.concat([marked.filter(~affected).select(columns), merged_rows.select(columns)])


def _merged_value(column: str) -> pl.Expr:
    """Merge the values of a column over the rows of one customer or product."""
    value = pl.col(column)
    if column in _SUMMED:
        return value.sum()
    if column in _FLAGS:
        return value.max()
    if consent_columns([column]):
        # Consent requires a yes in every row that has an answer.
        word = value.cast(pl.String).str.strip_chars().str.to_lowercase()
        return value.sort_by(~word.is_in(YES), maintain_order=True).drop_nulls().last()
    # The row of the canonical id takes precedence, then later rows.
    return value.sort_by("#canonical", maintain_order=True).drop_nulls().last()
