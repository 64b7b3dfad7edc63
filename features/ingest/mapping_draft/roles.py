"""Roles of a file's columns: which source column is which canonical column or attribute."""

from dataclasses import dataclass, field

from features.ingest.mapping_draft.column_names import NameMeaning
from features.ingest.mapping_draft.profile import ColumnProfile

# Role of the id of each entity.
IDS = {
    "customer": "customer_id",
    "order": "order_id",
    "product": "product_id",
    "location": "location_id",
    "campaign": "campaign_id",
}

Meanings = dict[str, NameMeaning]


@dataclass
class Roles:
    """Roles of the columns of one file.

    Attributes
    ----------
    columns
        Source column by role: ids, ts, quantity, unit_price, revenue, and so on.
    attributes
        Source column by attribute, by the entity (product, customer, location) it describes.
    notes
        Doubts, by role.
    unused
        Reasons why columns are not used, by column.
    system
        Name of the shop system whose export the file is; empty if it is none that is known.
    refunds
        Column and value that mark returns, if the export has them.
    """

    columns: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    system: str = ""
    refunds: tuple[str, str] | None = None

    def is_assigned(self, name: str) -> bool:
        """Whether a column has a role or is unused."""
        assigned = set(self.columns.values()) | set(self.unused)
        attributes = self.attributes.values()
        return name in assigned or any(name in columns.values() for columns in attributes)

    def unassigned(self, profiles: list[ColumnProfile]) -> list[ColumnProfile]:
        """Return the columns without a role."""
        return [column for column in profiles if not self.is_assigned(column.name)]

    def profile(self, role: str, profiles: list[ColumnProfile]) -> ColumnProfile | None:
        """Return the profile of the column with a role; None if there is none."""
        name = self.columns.get(role)
        return next((column for column in profiles if column.name == name), None)
