"""Positions in a mapping file: a table and a key in, the line that states it out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InvalidInput

_HEADER = re.compile(r"^\s*\[\[?\s*([\w.-]+)\s*\]\]?")


@dataclass(frozen=True)
class MappingText:
    """Path and text of a mapping file, excluded from comparisons of mappings.

    In all methods, `number` is the position of a source among the sources of `table`; None stands
    for the whole file.
    """

    path: Path = field(compare=False)
    text: str = field(compare=False, repr=False)

    def line_of_key(self, table: str | None, key: str, number: int = 0) -> int | None:
        """Return the line that sets a key."""
        pattern = re.compile(rf'(^|[\s{{,"\[.]){re.escape(key)}["\]]*\s*(=|\]|$)')
        for count, line in self._section(table, number):
            if pattern.search(line.split("#")[0]):
                return count
        return None

    def line_of_text(self, table: str | None, text: str, number: int = 0) -> int | None:
        """Return the line that contains a quoted text."""
        for count, line in self._section(table, number):
            if f'"{text}"' in line or f"'{text}'" in line:
                return count
        return None

    def error(
        self, problem: str, table: str | None = None, key: str = "", number: int = 0
    ) -> InvalidInput:
        """Return an error that names the file and, if it is known, the line of a key."""
        line = self.line_of_key(table, key, number) if key else None
        if key and line is None:
            line = self.line_of_text(table, key, number)
        position = f"{self.path}, line {line}" if line else str(self.path)
        name = ".".join(part for part in (table, key) if part)
        return InvalidInput(f"{position}: {problem}.", field=name or "source")

    @contextmanager
    def locate_errors(self, table: str, number: int) -> Iterator[None]:
        """Add the file and the line of the mapping to errors about a source's field."""
        try:
            yield
        except InvalidInput as error:
            located = self.error(error.message.rstrip("."), table, error.field or "", number)
            raise InvalidInput(located.message, field=error.field) from None

    def _section(self, table: str | None, number: int) -> Iterator[tuple[int, str]]:
        """Yield the numbered lines of a source's section."""
        inside, occurrence = table is None, -1
        for count, line in enumerate(self.text.splitlines(), 1):
            header = _HEADER.match(line)
            if header:
                name = header[1].split(".")[0]
                occurrence += name == table and header[1] == name
                inside = table is None or (name == table and occurrence == number)
            if inside:
                yield count, line
