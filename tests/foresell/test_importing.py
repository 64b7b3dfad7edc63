"""Imports by a mapping on the command line: report, stored mapping, quarantine, draft, links."""

import json
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from features.dataset import open_dataset
from features.events.log import EventLog
from features.events.schema import Event
from features.ingest.mapping.file import read_mapping
from foresell.cli import app

MAPPING = """name = "corner-shop"
[orders]
path = "lines/*.csv"
columns = { customer_id = "who", ts = "when", revenue = "paid" }
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with one export and its mapping."""
    (tmp_path / "lines").mkdir()
    lines = "".join(f"{n % 3},2024-01-{n:02d},{n}.5\n" for n in range(1, 29))
    (tmp_path / "lines" / "1.csv").write_text("who,when,paid\n" + lines + "9,soon,1\n")
    (tmp_path / "shop.toml").write_text(MAPPING)
    return tmp_path


@pytest.fixture
def run(shop):
    runner = CliRunner()
    env = {"FORESELL_HOME": str(shop / "home"), "COLUMNS": "200"}

    def invoke(*words: str) -> tuple[int, str, str]:
        result = runner.invoke(app, list(words), env=env, catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_the_report_is_printed_as_json(run, shop):
    code, out, err = run("data", "import", str(shop / "shop.toml"), "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["dataset"] == "corner-shop"
    orders = report["tables"]["orders"]
    assert (orders["read"], orders["accepted"], orders["quarantined"]) == (29, 28, 1)


def test_customer_models_can_run_on_a_log_of_customer_date_and_amount(run, shop):
    year = [date(2023, 1, 1) + timedelta(days=n) for n in range(365)]
    lines = "".join(f"{n % 40},{day},{n}.5\n" for n, day in enumerate(year))
    (shop / "lines" / "0.csv").write_text("who,when,paid\n" + lines)
    run("data", "import", str(shop / "shop.toml"))
    shown = json.loads(run("data", "show", "corner-shop", "--json")[1])
    can_run = {row["model"]: row["can_run"] for row in shown["models"]}
    assert (can_run["churn"], can_run["next-purchase"], can_run["recommender"]) == (
        "yes",
        "yes",
        "no",
    )


def test_show_counts_the_locations_of_each_calendar_of_holidays(run, shop):
    (shop / "lines" / "1.csv").write_text(
        "who,when,paid,where\n" + "".join(f"1,2024-01-{n:02d},5,s{n % 4}\n" for n in range(1, 29))
    )
    (shop / "shops.csv").write_text("id,land,state\ns0,DE,BY\ns1,DE,BY\ns2,NL,\ns3,,\n")
    (shop / "shop.toml").write_text(
        MAPPING.replace("}", ', location_id = "where" }')
        + '[locations]\npath = "shops.csv"\n'
        + 'columns = { location_id = "id", country = "land", region_code = "state" }\n'
    )
    run("data", "import", str(shop / "shop.toml"))
    shown = json.loads(run("data", "show", "corner-shop", "--json")[1])["holidays"]
    assert [tuple(row.values()) for row in shown] == [
        ("DE-BY", 2, False),
        ("NL", 1, False),
        ("US", 1, True),
    ]
    assert (
        "public holidays of DE-BY at 2 locations, NL at 1 location, US (FORESELL_COUNTRY) at 1"
        in run("data", "show", "corner-shop")[2]
    )


def test_an_unknown_country_is_refused_with_field_value_and_remedy(run, shop):
    (shop / "shops.csv").write_text("id,land\ns0,DE\ns1,Holland\n")
    (shop / "shop.toml").write_text(
        MAPPING
        + '[locations]\npath = "shops.csv"\ncolumns = { location_id = "id", country = "land" }\n'
    )
    code, _, err = run("data", "import", str(shop / "shop.toml"))
    assert code == 2
    assert "country is no ISO 3166-1 code with known public holidays" in " ".join(err.split())
    assert "'Holland'" in err


def test_the_stored_mapping_is_equal_and_readable_by_its_owner_only(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    stored = shop / "home" / "sources" / "corner-shop.toml"
    assert read_mapping(stored) == read_mapping(shop / "shop.toml")
    assert stored.stat().st_mode & 0o077 == 0


def test_an_import_by_the_stored_mapping_adds_new_files(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    (shop / "lines" / "2.csv").write_text("who,when,paid\n1,2024-02-01,5\n")
    code, out, err = run("data", "import", str(shop / "home/sources/corner-shop.toml"), "--json")
    assert code == 0, err
    assert json.loads(out)["tables"]["orders"]["accepted"] == 1
    assert open_dataset(shop / "home", "corner-shop").end.month == 2


def test_an_import_reads_the_event_log_beside_the_files(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    log = EventLog(shop / "home", "corner-shop")
    fields = {"type": "purchase", "product_id": "milk", "channel": "web", "revenue": 2.0}
    log.append([Event(event_id="1", customer_id="new", ts="2024-02-01T10:00:00", **fields)])
    log.close()
    code, _, err = run("data", "import", str(shop / "shop.toml"), "--json")
    assert code == 0, err
    orders = open_dataset(shop / "home", "corner-shop").table("orders").collect().to_polars()
    assert orders.height == 29
    assert orders.filter(customer_id="new").select("order_id", "revenue").rows() == [
        ("new/2024-02-01", 2.0)
    ]
    # The records know neither products nor channels.
    assert not {"product_id", "channel"} & set(orders.columns)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (MAPPING.replace("corner-shop", "complete-journey"), "bundled"),
        (MAPPING.replace("*.csv", "*.txt"), "matches no file"),
        (MAPPING.replace('"paid"', '"amount"'), "'amount'"),
        (MAPPING.replace("path", "pth"), "line 3"),
    ],
)
def test_an_invalid_mapping_gives_one_message_and_exit_code_2(run, shop, text, named):
    (shop / "bad.toml").write_text(text)
    code, out, err = run("data", "import", str(shop / "bad.toml"))
    assert code == 2
    assert named in err
    assert "Traceback" not in err + out


def test_the_quarantine_is_shown_and_replayed_by_the_corrected_mapping(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    code, out, err = run("data", "quarantine", "corner-shop", "--json")
    assert code == 0, err
    (group,) = json.loads(out)["groups"]
    (example,) = group["examples"]
    assert (group["reason"][:13], example["value"]) == ("ts is not a d", "soon")
    assert (example["file"], example["row"]) == ("lines/1.csv", 30)
    # The original file is corrected, not the stored copy.
    (shop / "shop.toml").write_text(MAPPING + 'date_format = "%Y-%m-%d"\n')
    (shop / "lines" / "1.csv").unlink()
    report = json.loads(run("data", "quarantine", "corner-shop", "--replay", "--json")[1])
    assert report["tables"]["orders"]["quarantined"] == 1
    shown = run("data", "quarantine", "corner-shop")[2]
    assert "%Y-%m-%d" in shown
    assert "row 30: 'soon'" in shown


def test_a_draft_is_printed_or_written_and_never_replaces_a_file(run, shop):
    export, out = str(shop / "lines" / "1.csv"), str(shop / "draft.toml")
    printed = run("data", "sketch", export)[1]
    assert 'customer_id = "who"' in printed
    assert run("data", "sketch", export, "--out", out)[0] == 0
    assert 'path = "lines/1.csv"' in (shop / "draft.toml").read_text()
    code, _, err = run("data", "sketch", export, "--out", out)
    assert (code, "draft.toml" in err) == (2, True)
    assert run("data", "import", out)[0] == 0
    code, names, table = run("data", "list")
    assert (code, names) == (0, "draft\n")
    assert "2024-01-01" in table
    (row,) = json.loads(run("data", "list", "--json")[1])
    assert (row["dataset"], row["first"], row["last"]) == ("draft", "2024-01-01", "2024-01-28")
    assert (row["records"], row["rows"]) == ("orders", 28)


def test_brackets_in_a_message_are_printed(run, shop):
    (shop / "bad.toml").write_text(MAPPING.replace("ts =", "tss ="))
    assert "[orders] has no column 'tss'" in run("data", "import", str(shop / "bad.toml"))[2]


def test_retraining_a_dataset_without_a_source_names_the_import_command(run):
    code, _, err = run("retrain", "--dataset", "elsewhere")
    assert code == 2
    assert "data import MAPPING.toml" in err


LINKED = """name = "corner-shop"
[[orders]]
path = "lines/*.csv"
columns = { customer_id = "who", ts = "when", revenue = "paid" }
[[customers]]
path = "cards.csv"
columns = { customer_id = "who", phone = "phone" }
[identity]
customer_id = ["phone"]
most = 2
"""


def test_links_are_shown_undone_and_restored(run, shop):
    cards = "0,a1\n1,a1\n4,b2\n5,b2\n6,b2\n"
    (shop / "cards.csv").write_text("who,phone\n" + cards)
    (shop / "shop.toml").write_text(LINKED)
    run("data", "import", str(shop / "shop.toml"))

    def identity(*words: str):
        code, out, err = run("data", "identity", "corner-shop", *words, "--json")
        assert code == 0, err
        return json.loads(out)[0]

    first = identity()
    group = {"canonical_id": "0", "ids": ["0", "1"], "by": ["phone in cards.csv"]}
    assert (first["column"], first["links"], first["groups"]) == ("customer_id", 5, [group])
    assert first["suspicious"] == [
        {"kind": "phone", "value": "b2", "ids": 3, "examples": ["4", "5", "6"]}
    ]
    undone = identity("--undo", "phone=a1")
    assert (undone["groups"], undone["undone"]) == ([], [{"kind": "phone", "value": "a1"}])
    assert identity("--restore", "phone=a1") == first
    text = run("data", "identity", "corner-shop")[2]
    assert "phone = b2 is shared by 3 ids, such as 4, 5, 6" in text


def test_a_missing_link_cannot_be_undone(run, shop):
    run("data", "import", str(shop / "shop.toml"))
    code, _, err = run("data", "identity", "corner-shop")
    assert (code, "no [identity] section" in err) == (2, True)
    code, _, err = run("data", "identity", "corner-shop", "--undo", "nonsense")
    assert (code, "email=" in err) == (2, True)
