"""Digests of a mapping: what it says about a table in, a short hash out.

Two mappings with equal digests of a table read the same rows from the same files. Layout, comments
and the folder of the files do not count.
"""

import hashlib
import json

from features.identity import LINK_TABLES
from features.ingest.mapping.schema import Mapping, TableSource
from features.tables import TABLES


def table_digest(mapping: Mapping, table: str) -> str:
    """Return a hash of everything that the mapping says about the rows of a table."""
    sources = mapping.tables[table]
    content = {
        "table": table,
        "local_time_zone": mapping.local_time_zone,
        "pseudonymise": mapping.pseudonymise,
        "sources": [_written(source) for source in sources],
        "from_transactions": [reads_transactions(mapping, table, source) for source in sources],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def location(mapping: Mapping, source: TableSource) -> str:
    """Return where a source lies: the absolute glob of its files, or a hash of URL and query."""
    if source.path is not None:
        return str(mapping.folder / source.path)
    # A URL may contain a password.
    text = json.dumps([source.url, source.query])
    return f"query {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def reads_transactions(mapping: Mapping, table: str, source: TableSource) -> bool:
    """Whether a table's rows are taken from order lines or sales.

    Lines that do not mention a product, customer or location are then no rows of the table, and
    unreadable lines are reported by orders or sales.
    """
    if table in LINK_TABLES.values():
        return True
    transactions = [*mapping.tables.get("orders", ()), *mapping.tables.get("sales", ())]
    origins = [(other.path, other.url, other.query) for other in transactions]
    return TABLES[table].open_ended and (source.path, source.url, source.query) in origins


def _written(source: TableSource) -> dict[str, object]:
    """Return the keys that the mapping file sets; later versions may add keys with defaults."""
    keys = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {key: value for key, value in keys.items() if value not in (None, [], {})}
