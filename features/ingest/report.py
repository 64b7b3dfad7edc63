"""Result of an import: row counts by table, in the shape of `data import --json`."""

from dataclasses import asdict, dataclass, field


@dataclass
class TableReport:
    """Row counts of one imported table.

    Attributes
    ----------
    read, accepted, quarantined, duplicates
        Numbers of rows; `read` is the sum of the other three.
    replaced
        Accepted rows that replaced a stored row with the same key.
    touched
        Accepted rows that a rule of the source modified, by rule.
    dropped
        Quarantined rows that a `drop` rule of the source excludes on purpose.
    noted
        Accepted rows with a remark that deserves a check, by remark.
    superseded
        Stored rows that were removed, because a former version of the mapping had read them.
    """

    read: int
    accepted: int
    quarantined: int
    duplicates: int
    replaced: int = 0
    touched: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    noted: dict[str, int] = field(default_factory=dict)
    superseded: int = 0


@dataclass
class ImportReport:
    """Reports of an import's tables, and the snapshot that the import created."""

    dataset: str
    snapshot: str
    tables: dict[str, TableReport]

    def to_json(self) -> dict[str, object]:
        """Return the report as built-in types, in the shape of `data import --json`."""
        return asdict(self)
