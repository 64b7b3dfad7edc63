"""Parser of audience conditions: a condition in, a Polars expression out.

    churn_probability > 0.4 and (stage = 'slipping' or value_90 >= 200)
    next_category in ('COFFEE', 'TEA') and not rfm_segment = 'lost'
    top_categories contains 'COFFEE' and average_order_value is not null

Fields are compared with constants only. A comparison with a null field is false.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import NoReturn

import polars as pl

from features.errors import InvalidInput

Constant = float | str | date | bool
MAX_LENGTH = 2_000
MAX_DEPTH = 50

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
ORDERINGS = ("<", "<=", ">", ">=")


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    Attributes
    ----------
    expression
        True for the rows that satisfy the condition.
    fields
        The fields that it reads.
    """

    expression: pl.Expr
    fields: frozenset[str]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(
    where: str, schema: Mapping[str, pl.DataType], removed: Mapping[str, str] = MappingProxyType({})
) -> Condition:
    """Parse a condition on the fields of a table.

    Parameters
    ----------
    where
        The condition.
    schema
        The fields and their types.
    removed
        Fields that there no longer are, each with the one to use instead.

    Raises
    ------
    InvalidInput
        If the condition is too long, too deeply nested or cannot be parsed (names the position),
        names an unknown field (lists the fields), or compares a field with a constant of another
        type.
    """
    if len(where) > MAX_LENGTH:
        raise InvalidInput(
            f"where has {len(where):,} characters; {MAX_LENGTH:,} are read at most; "
            "write it shorter.",
            field="where",
        )
    parser = _Parser(where, schema, removed)
    expression = parser.disjunction(0)
    if parser.token.kind != "end":
        parser.refuse("and, or, or the end")
    return Condition(expression, frozenset(parser.fields))


class _Parser:
    """Recursive-descent parser of one condition; `or` binds weakest, `not` strongest."""

    def __init__(
        self, where: str, schema: Mapping[str, pl.DataType], removed: Mapping[str, str]
    ) -> None:
        self.where = where
        self.schema = schema
        self.removed = removed
        self.fields: set[str] = set()
        self.tokens = _tokens(where)
        self.token = next(self.tokens)

    def disjunction(self, depth: int) -> pl.Expr:
        if depth > MAX_DEPTH:
            raise InvalidInput(
                f"where is nested more than {MAX_DEPTH} deep; write it flatter.", field="where"
            )
        expression = self.conjunction(depth)
        while self.accept("or"):
            expression = expression | self.conjunction(depth)
        return expression

    def conjunction(self, depth: int) -> pl.Expr:
        expression = self.negation(depth)
        while self.accept("and"):
            expression = expression & self.negation(depth)
        return expression

    def negation(self, depth: int) -> pl.Expr:
        negated = False
        while self.accept("not"):
            negated = not negated
        if self.accept("("):
            expression = self.disjunction(depth + 1)
            if not self.accept(")"):
                self.refuse(")")
        else:
            expression = self.comparison()
        return ~expression if negated else expression

    def comparison(self) -> pl.Expr:
        name = self.field()
        column = pl.col(name)
        if self.accept("is"):
            negated = self.accept("not")
            if not self.accept("null"):
                self.refuse("null")
            return column.is_not_null() if negated else column.is_null()
        negated = self.accept("not")
        if self.accept("in"):
            self.refuse_list(name)
            expression = self.membership_column(name).is_in(self.constants(name))
            return (~expression if negated else expression).fill_null(value=False)
        if negated:
            self.refuse("in")
        if self.accept("contains"):
            if not isinstance(self.schema[name], pl.List):
                self.mismatch(name, "contains is for lists")
            return column.list.contains(self.constant(name)).fill_null(value=False)
        sign = self.token
        if sign.text not in COMPARISONS:
            self.refuse("a comparison (=, !=, <, <=, >, >=, in, is null, contains)")
        self.advance()
        self.refuse_list(name)
        if sign.text in ORDERINGS and self.schema[name] == pl.String:
            self.mismatch(name, "text has no order here; use = or in")
        constant = self.constant(name)
        return COMPARISONS[sign.text](column, pl.lit(constant)).fill_null(value=False)

    def field(self) -> str:
        token = self.token
        if token.kind != "word":
            self.refuse("a field")
        if token.text not in self.schema:
            instead = self.removed.get(token.text)
            remedy = f"use {instead}" if instead else f"there is {', '.join(self.schema)}"
            raise InvalidInput(
                f"where: there is no field {token.text!r} (character {token.position + 1}); "
                f"{remedy}.",
                field="where",
            )
        self.fields.add(token.text)
        self.advance()
        return token.text

    def refuse_list(self, name: str) -> None:
        if isinstance(self.schema[name], pl.List):
            self.mismatch(name, "a list is asked with: contains 'VALUE'")

    def membership_column(self, name: str) -> pl.Expr:
        """Return a field for `in`, in the type of constants: numbers are floats."""
        column = pl.col(name)
        return column.cast(pl.Float64) if self.schema[name].is_numeric() else column

    def constants(self, name: str) -> list[Constant]:
        if not self.accept("("):
            self.refuse("(")
        constants = [self.constant(name)]
        while self.accept(","):
            constants.append(self.constant(name))
        if not self.accept(")"):
            self.refuse(") or ,")
        return constants

    def constant(self, name: str) -> Constant:
        """Parse a constant of the field's type."""
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
            return self.date(name, text)
        if token.kind == "word" and inner == pl.Boolean:
            return token.text.lower() == "true"
        kinds = {pl.String: "a 'text'", pl.Date: "a '2017-12-01'", pl.Boolean: "true or false"}
        expected = next((text for kind, text in kinds.items() if inner == kind), "a number")
        return self.mismatch(name, f"{token.text} is not {expected}")

    def date(self, name: str, text: str) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError:
            return self.mismatch(name, f"{text!r} is not a date such as '2017-12-01'")

    def accept(self, text: str) -> bool:
        if self.token.kind == "text" or self.token.text.lower() != text:
            return False
        self.advance()
        return True

    def advance(self) -> None:
        self.token = next(self.tokens)

    def mismatch(self, name: str, reason: str) -> NoReturn:
        raise InvalidInput(f"where: {name} cannot be compared so: {reason}.", field="where")

    def refuse(self, expected: str) -> NoReturn:
        actual = "its end" if self.token.kind == "end" else f"{self.token.text[:40]!r}"
        raise InvalidInput(
            f"where: expected {expected} at character {self.token.position + 1}, found {actual}.",
            field="where",
        )


def _tokens(where: str) -> Iterator[_Token]:
    position = 0
    end = len(where.rstrip())
    while position < end:
        match = TOKEN.match(where, position)
        if match is None:
            start = position + len(where[position:]) - len(where[position:].lstrip())
            hint = " (a text ends with a quote)" if where[start] == "'" else ""
            raise InvalidInput(
                f"where: {where[start : start + 1]!r} at character {start + 1} is not understood"
                f"{hint}.",
                field="where",
            )
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind))
        position = match.end()
    while True:
        yield _Token("end", "", end)
