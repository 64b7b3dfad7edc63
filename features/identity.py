"""Who is who: links between ids and what tells them apart in, one canonical id for each out.

Links are rows of `customer_links` and `product_links`: this id was seen with this loyalty number,
in this source. Ids that share a value are one person (or product), and so are all that hang
together by such steps. Nothing that is stored is rewritten: `dataset` puts canonical ids in the
place of the others when it opens tables, so that whatever is undone is undone everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.errors import NotFound
from features.privacy.consent import YES, consent_columns
from features.tables import TABLES

# The table of links of each kind of id.
LINK_TABLES = {"customer_id": "customer_links", "product_id": "product_links"}
# How many ids one person may have, unless the mapping says otherwise.
MAX_IDS = 20
# In a rule: whatever stands there.
ANY = ""
_FIELDS = ("kind", "value", "source")
# What rows of one product add up to, and what any of them says.
_SUMMED = ("quantity", "on_hand")
_EITHER = ("on_sale",)


@dataclass(frozen=True)
class Resolution:
    """Who is who.

    Attributes
    ----------
    ids
        One row an id that has links: the id, `canonical_id`, and `size`, how many it is one of.
    suspicious
        One row a value that too many ids share, or a group that is too large: `kind`, `value`
        (both null for a group), `ids` and `examples`. By these nothing is joined.
    """

    ids: pl.DataFrame
    suspicious: pl.DataFrame

    @property
    def merged(self) -> pl.DataFrame:
        """Those ids that another one stands for: the id and `canonical_id`."""
        column = self.ids.columns[0]
        return self.ids.filter(pl.col(column) != pl.col("canonical_id")).drop("size")


def active_links(links: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rules among the links, and what they undo."""
    column = links.columns[0]
    found = links.filter(pl.col("undone").is_null())
    for rule in links.filter(pl.col("undone")).iter_rows(named=True):
        said = [pl.col(name) == rule[name] for name in (column, *_FIELDS) if rule[name] != ANY]
        found = found.filter(~pl.all_horizontal(said))
    return found


def resolve(links: pl.DataFrame) -> Resolution:
    """Say which ids are one.

    A value that more than `most` ids share says nothing of who they are (a till's own card), and a
    group of more than `most` ids is none. The id that was known first stands for the others: it
    stays when further ids are found to be the same, and of two persons who turn out to be one,
    the one known longer gives the id.

    Parameters
    ----------
    links
        A table of links as it is stored, see `features.tables`.
    """
    column = links.columns[0]
    active = active_links(links)
    if active.is_empty():
        ids = pl.DataFrame(schema={column: pl.String, "canonical_id": pl.String, "size": pl.Int64})
        return Resolution(ids, _suspicious(active, column))
    most = int(active.get_column("most").max())  # type: ignore[arg-type]
    shared = active.group_by("kind", "value").agg(pl.col(column).n_unique().alias("ids"))
    crowded = shared.filter(pl.col("ids") > most)
    used = active.join(crowded, on=["kind", "value"], how="anti")
    # Senior first, so that of a component the least number is the canonical id.
    known = active.group_by(column).agg(pl.col("since").min()).sort("since", column)
    label = _components(used, known.get_column(column))
    size = np.bincount(label)[label]
    senior = np.full(label.max() + 1, len(label))
    np.minimum.at(senior, label, np.arange(len(label)))
    whole = np.where(size > most, np.arange(len(label)), senior[label])
    names = known.get_column(column)
    ids = pl.DataFrame(
        {
            column: names,
            "canonical_id": names.gather(whole),
            "size": np.where(size > most, 1, size),
        }
    )
    large = known.select(column, group=pl.Series(label)).filter(pl.Series(size > most))
    return Resolution(
        ids.sort(column),
        pl.concat(
            [
                _suspicious(active.join(crowded, on=["kind", "value"], how="semi"), column),
                large.group_by("group")
                .agg(*_told(column))
                .select(
                    pl.lit(None, pl.String).alias("kind"),
                    pl.lit(None, pl.String).alias("value"),
                    "ids",
                    "examples",
                ),
            ]
        ).sort("ids", "kind", "value", descending=[True, False, False]),
    )


def _components(links: pl.DataFrame, names: pl.Series) -> np.ndarray[Any, Any]:
    """Give each id the number of its component in the graph of ids and values."""
    at = links.get_column(links.columns[0]).replace_strict(
        names, np.arange(len(names)), return_dtype=pl.Int64
    )
    value = links.select(pl.struct("kind", "value").rank("dense").cast(pl.Int64)).to_series()
    nodes = len(names) + int(value.max() or 0) + 1  # type: ignore[arg-type]
    ends = (at.to_numpy(), len(names) + value.to_numpy())
    graph = coo_array((np.ones(len(links), np.int8), ends), shape=(nodes, nodes))
    label: np.ndarray[Any, Any] = connected_components(graph.tocsr(), directed=False)[1]
    # Numbers of those components that hold an id, without gaps.
    return np.unique(label[: len(names)], return_inverse=True)[1]


def _told(column: str) -> tuple[pl.Expr, pl.Expr]:
    ids = pl.col(column).unique().sort()
    return ids.len().cast(pl.Int64).alias("ids"), ids.head(3).alias("examples")


def _suspicious(links: pl.DataFrame, column: str) -> pl.DataFrame:
    return links.group_by("kind", "value").agg(*_told(column))


def keep_first_import(
    fresh: pl.DataFrame, old: pl.DataFrame, key: list[str], number: int
) -> pl.DataFrame:
    """Date arriving links: those stored already keep their number, others get this one."""
    before = old.select(*key, pl.col("since").alias("#since"))
    joined = fresh.join(before, on=key, how="left", maintain_order="left")
    first = pl.coalesce("#since", pl.lit(number, pl.Int32))
    return joined.with_columns(first.alias("since")).select(fresh.columns)


def undo_rule(links: pl.DataFrame, field: str, value: str, *, undone: bool) -> pl.DataFrame:
    """Make the row that takes links out of force, or brings them back.

    Parameters
    ----------
    field
        `source`, `id`, or the kind of a value, such as `email`.

    Raises
    ------
    NotFound
        If there is no such link.
    """
    column = links.columns[0]
    said = {column: ANY, **dict.fromkeys(_FIELDS, ANY)}
    if field in ("id", column, "source"):
        said[column if field != "source" else field] = value
    else:
        said |= {"kind": field, "value": value}
    meant = [pl.col(name) == one for name, one in said.items() if one != ANY]
    if links.filter(pl.col("undone").is_null() & pl.all_horizontal(meant)).is_empty():
        kinds = links.filter(pl.col("kind") != ANY).get_column("kind").unique().sort().to_list()
        raise NotFound(
            f"There is no link with {field} = {value!r}; say source, id, or one of "
            f"{', '.join(kinds)}.",
            field="undo",
        )
    row = {**said, "since": 0, "most": MAX_IDS, "undone": undone}
    return pl.DataFrame([row]).select(
        pl.col(name).cast(links.schema[name]) for name in links.columns
    )


def unify(tables: Mapping[str, nw.LazyFrame[Any]]) -> dict[str, nw.LazyFrame[Any]]:
    """Put canonical ids in the place of the others, in tables that are Polars scans."""
    found = dict(tables)
    for column, links in LINK_TABLES.items():
        if links not in tables:
            continue
        merged = resolve(tables[links].collect().to_polars()).merged
        if merged.is_empty():
            continue
        for name, frame in tables.items():
            if name != links and column in frame.collect_schema().names():
                native: pl.LazyFrame = found[name].to_native()
                found[name] = nw.from_native(_replaced(native, name, column, merged))
    return found


def _replaced(frame: pl.LazyFrame, name: str, column: str, merged: pl.DataFrame) -> pl.LazyFrame:
    canonical = pl.col(column).replace(merged.get_column(column), merged.get_column("canonical_id"))
    columns = frame.collect_schema().names()
    key = [one for one in TABLES[name].key if one in columns]
    if column not in key or name == "touchpoints":
        return frame.with_columns(canonical)
    # Of a key there is one row again; where ids did not change nothing can have met.
    marked = frame.with_columns(canonical, (canonical == pl.col(column)).alias("#own"))
    met = pl.col(column).is_in(merged.get_column("canonical_id").unique().implode())
    told = [_one_of(one) for one in columns if one not in key]
    one_a_key = marked.filter(met).group_by(key, maintain_order=True).agg(told)
    return pl.concat([marked.filter(~met).select(columns), one_a_key.select(columns)])


def _one_of(column: str) -> pl.Expr:
    """Make one value of those that rows of one person or product have."""
    value = pl.col(column)
    if column in _SUMMED:
        return value.sum()
    if column in _EITHER:
        return value.max()
    if consent_columns([column]):
        # A no counts, whichever row says it.
        word = value.cast(pl.String).str.strip_chars().str.to_lowercase()
        return value.sort_by(~word.is_in(YES), maintain_order=True).drop_nulls().last()
    # What the row of the canonical id says counts, where it says anything.
    return value.sort_by("#own", maintain_order=True).drop_nulls().last()
