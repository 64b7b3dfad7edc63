"""What a draft is made of: files with what was found in them, and the sources they become.

`draft` finds the sources, `written` says them in the words of a mapping.
"""

from dataclasses import dataclass, field

from features.ingest.mapping_draft.odd_rows import Oddities
from features.ingest.mapping_draft.profile import Profile
from features.ingest.mapping_draft.roles import Roles
from features.ingest.mapping_draft.sample import Sample


@dataclass
class Look:
    """One file, and what was found in it."""

    sample: Sample
    profiles: dict[str, Profile]
    roles: Roles
    oddities: Oddities

    def of(self, role: str) -> Profile:
        """Return what was found of the column that plays a role."""
        return self.profiles[self.roles.columns[role]]

    def unique(self, *roles: str) -> float:
        """Share of rows that these columns tell apart."""
        names = [self.roles.columns[role] for role in roles]
        frame = self.sample.frame.select(names)
        return frame.n_unique() / max(1, frame.height)


@dataclass
class Section:
    """One source of one table, as it will be written."""

    table: str
    look: Look
    columns: dict[str, str]
    constants: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
