"""Database sources: a running PostgreSQL server (FORESELL_TEST_DATABASE) and SQLite."""

import os
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.errors import InvalidInput
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.sources.database import read_query
from features.ingest.sources.mapped import read_mapped

URL = os.environ.get("FORESELL_TEST_DATABASE", "postgresql://postgres@127.0.0.1:5432/test")
TABLE = f"foresell_lines_{os.getpid()}"
ROWS = 300_000  # more than one batch
COLUMNS = """columns = { customer_id = "customer", order_id = "invoice", product_id = "code", ts = "sold_at", quantity = "qty", revenue = "paid" }
constants = { channel = "shop" }
"""  # noqa: E501


@pytest.fixture(scope="module")
def server():
    """A connection to the server; without a server, tests are skipped, and fail in CI."""
    engine = sa.create_engine(sa.make_url(URL).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            yield connection
    except sa.exc.OperationalError as error:
        reason = f"no PostgreSQL server at {engine.url.render_as_string()}: {error.orig}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def lines(server, tmp_path_factory) -> Path:
    """A CSV file of a table, written by the server; the table exists during the tests."""
    server.execute(sa.text(f"drop table if exists {TABLE}"))
    server.execute(
        sa.text(
            f"""create table {TABLE} as select
                case when g % 7 > 0 then g % 5003 end as customer,
                g / 4 as invoice,
                'p' || g % 211 as code,
                timestamp '2023-01-01' + (g / 4) * interval '3 minutes' as sold_at,
                (g % 9 - 1)::int as qty,
                ((g % 9 - 1) * (g % 97) / 100.0)::numeric(12, 2) as paid,
                g as position
            from generate_series(0, {ROWS - 1}) g"""
        )
    )
    server.connection.commit()
    path = tmp_path_factory.mktemp("csv") / "lines.csv"
    copy = f"copy (select * from {TABLE} order by position) to stdout with (format csv, header)"
    with server.connection.driver_connection.cursor().copy(copy) as out, path.open("wb") as file:
        for part in out:
            file.write(part)
    yield path
    server.execute(sa.text(f"drop table {TABLE}"))
    server.connection.commit()


def import_orders(home: Path, folder: Path, origin: str):
    path = folder / f"{home.name}.toml"
    path.write_text(f'name = "shop"\n[orders]\n{origin}\n{COLUMNS}')
    (home / "scratch").mkdir(parents=True)
    tables = read_mapped(read_mapping(path), datetime(2026, 1, 1), home / "scratch")
    return import_tables(home, "shop", tables, max_bad_share=1.0)


def test_a_database_and_a_csv_file_of_the_same_rows_give_the_same_snapshot(lines, tmp_path):
    query = f"select * from {TABLE} order by position"
    database = import_orders(tmp_path / "db", tmp_path, f'url = "{URL}"\nquery = "{query}"')
    files = import_orders(tmp_path / "files", lines.parent, 'path = "lines.csv"')
    assert database.snapshot == files.snapshot
    assert database.tables == files.tables
    assert database.tables["orders"].read == ROWS
    assert database.tables["orders"].quarantined > 0


def test_a_column_that_is_null_for_a_whole_batch_is_read(server, tmp_path):
    query = "select case when g > 150000 then 'x' end as a from generate_series(1, 150010) g"
    frame = read_query(URL, query, ["a"], tmp_path).collect()
    assert frame.get_column("a").drop_nulls().to_list() == ["x"] * 10


def test_a_failing_query_raises_with_the_message_of_the_server(server, tmp_path):
    with pytest.raises(InvalidInput, match="nowhere"):
        read_query(URL, "select * from nowhere", ["a"], tmp_path)


def test_a_column_missing_from_the_result_is_named(server, tmp_path):
    with pytest.raises(InvalidInput, match="no column 'b'"):
        read_query(URL, "select 1 as a", ["b"], tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@127.0.0.1:1/d",
        "postgresql://u@127.0.0.1:1/d?password=s3cret",
        "postgresql:/u:s3cret@",
        "nosuchthing://u:s3cret@h/d",
        "postgresql://u:${FORESELL_TEST_SECRET}@127.0.0.1:1/d",
    ],
)
def test_a_password_is_in_no_message(url, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("FORESELL_TEST_SECRET", "s3cret")
    with pytest.raises(InvalidInput) as caught:
        read_query(url, "select 1 as a", ["a"], tmp_path)
    assert "s3cret" not in caught.value.message + caplog.text
    assert caught.value.__cause__ is None


def test_an_unset_environment_variable_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FORESELL_TEST_SECRET", raising=False)
    with pytest.raises(InvalidInput, match="FORESELL_TEST_SECRET"):
        read_query("postgresql://u:${FORESELL_TEST_SECRET}@h/d", "select 1", ["a"], tmp_path)


def test_an_sqlite_database_is_read(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.execute(sa.text("create table t (a text, b integer)"))
        connection.execute(sa.text("insert into t values ('x', 1), ('y', 2)"))
    frame = read_query(
        f"sqlite:///{tmp_path}/shop.db", "select * from t", ["b", "a"], tmp_path
    ).collect()
    assert frame.select("b", "a").rows() == [(1, "x"), (2, "y")]


def test_an_empty_result_has_its_columns(tmp_path):
    query = "select 1 as a, 'x' as b where 1 = 0"
    frame = read_query(f"sqlite:///{tmp_path}/shop.db", query, ["b"], tmp_path).collect()
    assert frame.is_empty()
