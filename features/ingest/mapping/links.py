"""Sources of link tables: table sources and [identity] of a mapping in, link sources out.

A column that identifies a customer or product becomes a link and is no attribute.
"""

from typing import Any

from features.identity import LINK_TABLES
from features.ingest.mapping.position import MappingText
from features.ingest.mapping.schema import Identity, TableSource

# Keys that state how a source is read, whichever table its rows become.
_READING_KEYS = ("path", "url", "query", "delimiter", "encoding", "header", "skip_rows", "drop")

Tables = dict[str, list[TableSource]]


def add_links(text: MappingText, tables: Tables, identity: Identity) -> Tables:
    """Move identifying columns from their tables to link tables.

    Raises
    ------
    InvalidInput
        If a source has an identifying column without the id, or no source has the column.
    """
    kinds_by_id = {"customer_id": identity.customer_id, "product_id": identity.product_id}
    remaining: Tables = {}
    links: Tables = {}
    for table, sources in tables.items():
        remaining[table] = []
        for number, source in enumerate(sources):
            columns = dict(source.columns)
            for id_column, kinds in kinds_by_id.items():
                for kind in kinds:
                    if kind not in columns:
                        continue
                    if id_column not in source.columns:
                        problem = f"[{table}] names {kind} without {id_column}, which it identifies"
                        raise text.error(problem, table, kind, number)
                    name = source.path or f"{table} {number + 1}"
                    link = _link(source, name, id_column, kind, columns.pop(kind), identity.most)
                    links.setdefault(LINK_TABLES[id_column], []).append(link)
            remaining[table].append(source.model_copy(update={"columns": columns}))
    linked = {str(link.constants["kind"]) for sources in links.values() for link in sources}
    for kinds in kinds_by_id.values():
        for kind in kinds:
            if kind not in linked:
                raise text.error(f"[identity] names {kind}, which no table has", "identity", kind)
    return remaining | links


def _link(
    source: TableSource, name: str, id_column: str, kind: str, raw: str, most: int
) -> TableSource:
    """Return the source of links between an id and one identifying column."""
    reading: dict[str, Any] = {key: getattr(source, key) for key in _READING_KEYS}
    return TableSource(
        **reading,
        columns={id_column: source.columns[id_column], "value": raw},
        constants={"kind": kind, "source": name, "since": 0, "most": most},
    )
