"""Where in a mapping file something stands, so that whatever goes wrong can point to its line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InvalidInput

_HEADER = re.compile(r"^\s*\[\[?\s*([\w.-]+)\s*\]\]?")


@dataclass(frozen=True)
class Place:
    """A mapping file's path and text. All are equal: where it is written changes no meaning."""

    path: Path = field(compare=False)
    text: str = field(compare=False, repr=False)

    def line(self, table: str | None, key: str, number: int = 0) -> int | None:
        """Find the line that says `key`, in the table's given occurrence."""
        pattern = re.compile(rf'(^|[\s{{,"\[.]){re.escape(key)}["\]]*\s*(=|\]|$)')
        for count, said in self._section(table, number):
            if pattern.search(said.split("#")[0]):
                return count
        return None

    def mention(self, table: str | None, text: str, number: int = 0) -> int | None:
        """Find the line that quotes a text, in the table's given occurrence."""
        for count, said in self._section(table, number):
            if f'"{text}"' in said or f"'{text}'" in said:
                return count
        return None

    def error(
        self, problem: str, table: str | None = None, key: str = "", number: int = 0
    ) -> InvalidInput:
        """Make an error that begins with the file and, where it is found, the line of a key."""
        line = self.line(table, key, number) if key else None
        if key and line is None:
            line = self.mention(table, key, number)
        where = f"{self.path}, line {line}" if line else str(self.path)
        name = ".".join(part for part in (table, key) if part)
        return InvalidInput(f"{where}: {problem}.", field=name or "source")

    @contextmanager
    def pointing(self, table: str, number: int) -> Iterator[None]:
        """Lead an error about a source's field back to the line of the mapping that named it."""
        try:
            yield
        except InvalidInput as error:
            key = error.field or ""
            found = self.error(error.message.rstrip("."), table, key, number)
            raise InvalidInput(found.message, field=error.field) from None

    def _section(self, table: str | None, number: int) -> Iterator[tuple[int, str]]:
        inside, seen = table is None, -1
        for count, line in enumerate(self.text.splitlines(), 1):
            found = _HEADER.match(line)
            if found:
                name = found[1].split(".")[0]
                seen += name == table and found[1] == name
                inside = table is None or (name == table and seen == number)
            if inside:
                yield count, line
