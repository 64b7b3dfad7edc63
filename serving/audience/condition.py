"""The small language in which an audience is asked for: a condition in, a Polars expression out.

    churn_probability > 0.4 and (stage = 'slipping' or value_90 >= 200)
    next_category in ('COFFEE', 'TEA') and not rfm_segment = 'lost'
    top_categories contains 'COFFEE' and average_order_value is not null

Fields are compared with constants and with nothing else; nothing is evaluated that is not read
here. A comparison with a field that is null does not hold.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NoReturn

import polars as pl

from features.errors import InvalidInput

Constant = float | str | date | bool
LONGEST = 2_000
DEEPEST = 50

TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
COMPARISONS = {
    "=": pl.Expr.eq,
    "==": pl.Expr.eq,
    "!=": pl.Expr.ne,
    "<>": pl.Expr.ne,
    "<": pl.Expr.lt,
    "<=": pl.Expr.le,
    ">": pl.Expr.gt,
    ">=": pl.Expr.ge,
}
ORDERLY = ("<", "<=", ">", ">=")


@dataclass(frozen=True)
class Condition:
    """A condition that was understood.

    Attributes
    ----------
    expression
        Whether it holds, as a Polars expression.
    fields
        The fields that it reads.
    """

    expression: pl.Expr
    fields: frozenset[str]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def understand(where: str, schema: Mapping[str, pl.DataType]) -> Condition:
    """Read a condition on the fields of a table.

    Parameters
    ----------
    where
        The condition.
    schema
        The fields that may be named, with their types.

    Raises
    ------
    InvalidInput
        Naming what is not understood and where, an unknown field with those that there are, or
        a constant that a field cannot be compared with.
    """
    if len(where) > LONGEST:
        raise InvalidInput(
            f"where has {len(where):,} characters; {LONGEST:,} are read at most; write it shorter.",
            field="where",
        )
    reader = _Reader(where, schema)
    expression = reader.either(0)
    if reader.token.kind != "end":
        reader.refuse("and, or, or the end")
    return Condition(expression, frozenset(reader.fields))


class _Reader:
    """Reads one condition from left to right; `or` binds weakest, `not` strongest."""

    def __init__(self, where: str, schema: Mapping[str, pl.DataType]) -> None:
        self.where = where
        self.schema = schema
        self.fields: set[str] = set()
        self.tokens = _tokens(where)
        self.token = next(self.tokens)

    def either(self, depth: int) -> pl.Expr:
        if depth > DEEPEST:
            raise InvalidInput(
                f"where is nested more than {DEEPEST} deep; write it flatter.", field="where"
            )
        found = self.both(depth)
        while self.takes("or"):
            found = found | self.both(depth)
        return found

    def both(self, depth: int) -> pl.Expr:
        found = self.one(depth)
        while self.takes("and"):
            found = found & self.one(depth)
        return found

    def one(self, depth: int) -> pl.Expr:
        negated = False
        while self.takes("not"):
            negated = not negated
        if self.takes("("):
            found = self.either(depth + 1)
            if not self.takes(")"):
                self.refuse(")")
        else:
            found = self.comparison()
        return ~found if negated else found

    def comparison(self) -> pl.Expr:
        name = self.field()
        column = pl.col(name)
        if self.takes("is"):
            negated = self.takes("not")
            if not self.takes("null"):
                self.refuse("null")
            return column.is_not_null() if negated else column.is_null()
        negated = self.takes("not")
        if self.takes("in"):
            self.refuse_list(name)
            found = self.value(name).is_in(self.constants(name))
            return (~found if negated else found).fill_null(value=False)
        if negated:
            self.refuse("in")
        if self.takes("contains"):
            if not isinstance(self.schema[name], pl.List):
                self.mismatch(name, "contains is for lists")
            return column.list.contains(self.constant(name)).fill_null(value=False)
        sign = self.token
        if sign.text not in COMPARISONS:
            self.refuse("a comparison (=, !=, <, <=, >, >=, in, is null, contains)")
        self.advance()
        self.refuse_list(name)
        if sign.text in ORDERLY and self.schema[name] == pl.String:
            self.mismatch(name, "text has no order here; use = or in")
        constant = self.constant(name)
        return COMPARISONS[sign.text](column, pl.lit(constant)).fill_null(value=False)

    def field(self) -> str:
        token = self.token
        if token.kind != "word":
            self.refuse("a field")
        if token.text not in self.schema:
            raise InvalidInput(
                f"where: there is no field {token.text!r} (character {token.at + 1}); there is "
                f"{', '.join(self.schema)}.",
                field="where",
            )
        self.fields.add(token.text)
        self.advance()
        return token.text

    def refuse_list(self, name: str) -> None:
        if isinstance(self.schema[name], pl.List):
            self.mismatch(name, "a list is asked with: contains 'VALUE'")

    def value(self, name: str) -> pl.Expr:
        """Return a field as `in` compares it: constants are floats, also where it is not."""
        column = pl.col(name)
        return column.cast(pl.Float64) if self.schema[name].is_numeric() else column

    def constants(self, name: str) -> list[Constant]:
        if not self.takes("("):
            self.refuse("(")
        found = [self.constant(name)]
        while self.takes(","):
            found.append(self.constant(name))
        if not self.takes(")"):
            self.refuse(") or ,")
        return found

    def constant(self, name: str) -> Constant:
        """Read what a field is compared with, of the field's own type."""
        token, dtype = self.token, self.schema[name]
        inner = dtype.inner if isinstance(dtype, pl.List) else dtype
        if token.kind not in ("number", "text") and token.text.lower() not in ("true", "false"):
            self.refuse("a number, a 'text', or true or false")
        self.advance()
        if token.kind == "number" and inner.is_numeric():
            return float(token.text)
        text = token.text[1:-1].replace("''", "'")
        if token.kind == "text" and inner == pl.String:
            return text
        if token.kind == "text" and inner == pl.Date:
            return self.day(name, text)
        if token.kind == "word" and inner == pl.Boolean:
            return token.text.lower() == "true"
        kinds = {pl.String: "a 'text'", pl.Date: "a '2017-12-01'", pl.Boolean: "true or false"}
        expected = next((said for kind, said in kinds.items() if inner == kind), "a number")
        return self.mismatch(name, f"{token.text} is not {expected}")

    def day(self, name: str, text: str) -> date:
        try:
            found = date.fromisoformat(text)
        except ValueError:
            return self.mismatch(name, f"{text!r} is not a date such as '2017-12-01'")
        return found

    def takes(self, text: str) -> bool:
        if self.token.kind == "text" or self.token.text.lower() != text:
            return False
        self.advance()
        return True

    def advance(self) -> None:
        self.token = next(self.tokens)

    def mismatch(self, name: str, why: str) -> NoReturn:
        raise InvalidInput(f"where: {name} cannot be compared so: {why}.", field="where")

    def refuse(self, expected: str) -> NoReturn:
        found = "its end" if self.token.kind == "end" else f"{self.token.text[:40]!r}"
        raise InvalidInput(
            f"where: expected {expected} at character {self.token.at + 1}, found {found}.",
            field="where",
        )


def _tokens(where: str) -> Iterator[_Token]:
    at = 0
    end = len(where.rstrip())
    while at < end:
        found = TOKEN.match(where, at)
        if found is None:
            start = at + len(where[at:]) - len(where[at:].lstrip())
            hint = " (a text ends with a quote)" if where[start] == "'" else ""
            raise InvalidInput(
                f"where: {where[start : start + 1]!r} at character {start + 1} is not understood"
                f"{hint}.",
                field="where",
            )
        kind = str(found.lastgroup)
        yield _Token(kind, found.group(kind), found.start(kind))
        at = found.end()
    while True:
        yield _Token("end", "", end)
