"""Audience conditions: which rows satisfy them, and how errors name the position."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput
from serving.audience.condition import parse

TABLE = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "p": [0.1, 0.5, 0.9, None],
        "visits": [1, 5, 9, 3],
        "stage": ["new", "loyal", "won back", None],
        "last": [date(2017, 1, 1), date(2017, 6, 1), date(2017, 12, 1), None],
        "top": [["TEA"], ["TEA", "O'SOUP"], [], None],
    }
)


def matching(where):
    rows = TABLE.filter(parse(where, TABLE.schema).expression)
    return "".join(rows.get_column("customer_id"))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("p > 0.4", "bc"),
        ("p >= .5 AND p < 9e-1", "b"),
        ("p > 0.4 and stage = 'loyal'", "b"),
        ("stage = 'won back' or visits <= 1", "ac"),
        ("visits = 1 or visits = 5 and p > 0.6", "a"),
        ("(visits = 1 or visits = 5) and p < 0.4", "a"),
        ("not stage = 'new'", "bcd"),
        ("not (p > 0.4)", "ad"),
        ("stage in ('new', 'loyal')", "ab"),
        ("stage not in ('new')", "bc"),
        ("stage != 'new'", "bc"),
        ("p is null", "d"),
        ("stage is not null and visits <> 9", "ab"),
        ("last >= '2017-06-01'", "bc"),
        ("top contains 'TEA'", "ab"),
        ("top contains 'O''SOUP'", "b"),
        ("visits > -1", "abcd"),
        ("visits in (1, 9)", "ac"),
        ("visits not in (1, 9.5)", "bcd"),
        ("p in (0.1, .5)", "ab"),
        ("last in ('2017-01-01', '2017-12-01')", "ac"),
    ],
)
def test_a_condition_selects_the_expected_rows(where, expected):
    assert matching(where) == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("chrun > 0.4", "no field 'chrun'.*there is customer_id, p, visits, stage, last, top"),
        ("p > 0.4 and", "expected a field at character 12, found its end"),
        ("p >", "expected a number"),
        ("p 0.4", "expected a comparison"),
        ("p > 'high'", "'high' is not a number"),
        ("stage = 3", "3 is not a 'text'"),
        ("stage > 'new'", "text has no order"),
        ("last > 'yesterday'", "not a date"),
        ("top = 'TEA'", "contains 'VALUE'"),
        ("top in ('TEA')", "contains 'VALUE'"),
        ("top not in ('TEA')", "contains 'VALUE'"),
        ("stage contains 'n'", "contains is for lists"),
        ("p > 0.4)", "expected and, or, or the end at character 8"),
        ("(p > 0.4", r"expected \)"),
        ("p > visits", "expected a number"),
        ("stage = 'new", "a text ends with a quote"),
        ("p > 0.4; drop", "';' at character 8"),
        ("__import__('os')", "no field '__import__'"),
        ("stage in ()", "expected a number"),
        ("", "expected a field"),
        ("(" * 60 + "p > 1" + ")" * 60, "nested more than 50"),
        ("p > 1 or " * 400 + "p > 1", "2,000 are read at most"),
    ],
)
def test_syntax_errors_name_cause_and_position(where, message):
    with pytest.raises(InvalidInput, match=message) as error:
        parse(where, TABLE.schema)
    assert error.value.field == "where"


def test_a_condition_lists_its_fields():
    condition = parse("p > 1 or (stage = 'p' and visits in (1, 2))", TABLE.schema)
    assert condition.fields == {"p", "stage", "visits"}


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="pvist ()<>=!'0.9,andornotinull;-", max_size=40))
def test_any_text_is_parsed_or_refused(where):
    try:
        condition = parse(where, TABLE.schema)
    except InvalidInput as refused:
        message = refused.message
    else:
        message = f"where: {TABLE.filter(condition.expression).height} of 4"
    assert message.startswith("where")
