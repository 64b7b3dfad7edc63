"""Data of a draft: the profile of each file, and the table sources that it becomes."""

from dataclasses import dataclass, field

from features.ingest.mapping_draft.non_sales import NonSales
from features.ingest.mapping_draft.profile import ColumnProfile
from features.ingest.mapping_draft.roles import Roles
from features.ingest.mapping_draft.sample import Sample


@dataclass
class FileProfile:
    """A sampled file with its columns' profiles and roles.

    Attributes
    ----------
    sample
        The sample.
    columns
        Profiles by column name.
    roles
        Roles of the columns.
    non_sales
        Rows that are no sales.
    first_line_columns
        Columns that have values on the first lines of orders alone.
    """

    sample: Sample
    columns: dict[str, ColumnProfile]
    roles: Roles
    non_sales: NonSales
    first_line_columns: list[str] = field(default_factory=list)

    def column(self, role: str) -> ColumnProfile:
        """Return the profile of the column with a role."""
        return self.columns[self.roles.columns[role]]

    def distinct_share(self, *roles: str) -> float:
        """Return the number of distinct combinations of columns, as a share of the rows."""
        names = [self.roles.columns[role] for role in roles]
        frame = self.sample.frame.select(names)
        return frame.n_unique() / max(1, frame.height)


@dataclass
class Section:
    """One source of one table in the draft.

    Attributes
    ----------
    table
        The canonical table.
    file
        The file.
    columns, constants
        As in the mapping.
    notes
        Comments for the reader of the draft.
    """

    table: str
    file: FileProfile
    columns: dict[str, str]
    constants: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
