"""What [identity] of a mapping asks for: each source's own columns in, sources of links out.

Used by `mapping_file`: what tells who somebody is becomes a link and is no attribute.
"""

from typing import Any

from features.identity import LINK_TABLES
from features.ingest.mapping.position import Place
from features.ingest.mapping.schema import Identity, TableSource

# What says how a source is read, whatever is read from it.
_READING = ("path", "url", "query", "delimiter", "encoding", "header", "drop")

Tables = dict[str, list[TableSource]]


def with_links(at: Place, tables: Tables, identity: Identity) -> Tables:
    """Move the columns that tell who is who from their tables to those of links.

    Raises
    ------
    InvalidInput
        If a source has such a column and not the id, or none has it.
    """
    named = {"customer_id": identity.customer_id, "product_id": identity.product_id}
    found: Tables = {}
    links: Tables = {}
    for table, sources in tables.items():
        found[table] = []
        for number, source in enumerate(sources):
            rest = dict(source.columns)
            for column, kinds in named.items():
                for kind in kinds:
                    if kind not in rest:
                        continue
                    if column not in source.columns:
                        problem = f"[{table}] names {kind} and no {column}, which it would tell of"
                        raise at.error(problem, table, kind, number)
                    link = _link(source, column, kind, rest.pop(kind), identity.most, table, number)
                    links.setdefault(LINK_TABLES[column], []).append(link)
            found[table].append(source.model_copy(update={"columns": rest}))
    told = {str(one.constants["kind"]) for sources in links.values() for one in sources}
    for kinds in named.values():
        for kind in kinds:
            if kind not in told:
                raise at.error(f"[identity] names {kind}, which no table has", "identity", kind)
    return found | links


def _link(
    source: TableSource,
    column: str,
    kind: str,
    raw: str,
    most: int,
    table: str,
    number: int,
) -> TableSource:
    reading: dict[str, Any] = {name: getattr(source, name) for name in _READING}
    place = source.path or f"{table} {number + 1}"
    return TableSource(
        **reading,
        columns={column: source.columns[column], "value": raw},
        constants={"kind": kind, "source": place, "since": 0, "most": most},
    )
