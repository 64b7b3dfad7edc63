"""Health of imports: files that fail as a whole, and sources that stopped delivering."""

from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from features.dataset import open_dataset
from features.errors import ImportRejected, InvalidInput
from features.ingest.health import ImportHealth, read_health, record_failure
from features.ingest.mapping.file import read_mapping
from features.ingest.pipeline import import_tables
from features.ingest.quarantine import quarantine_file, scan_quarantine
from features.ingest.sources.mapped import read_mapped

FIRST = date(2024, 1, 1)
COLUMNS = 'columns = { order_id = "bon", customer_id = "who", ts = "when", quantity = "qty" }\n'
TILL = f'name = "shop"\n[[orders]]\npath = "till-*.csv"\n{COLUMNS}'
WITH_WEB = f'{TILL}[[orders]]\npath = "web-*.csv"\n{COLUMNS}'


class Shop:
    """Exports of a shop, with two lines a day; imported on a day of choice."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"

    def export(self, name: str, days: range, form: str = "%Y-%m-%d", bad: int = 0) -> None:
        times = [f"{FIRST + timedelta(days=n):{form}}" for n in days for _ in range(2)]
        times[:bad] = ["soon"] * bad
        rows = [f"{name}-{n},{n % 9},{time},1" for n, time in enumerate(times)]
        (self.folder / f"{name}.csv").write_text("\n".join(["bon,who,when,qty", *rows, ""]))

    def bring(self, mapping: str = TILL, *, day: int = 200, share: float = 0.05) -> ImportHealth:
        (self.folder / "shop.toml").write_text(mapping)
        now = datetime(2024, 1, 1) + timedelta(days=day)
        with TemporaryDirectory() as scratch, record_failure(self.home, "shop", now):
            tables = read_mapped(read_mapping(self.folder / "shop.toml"), now, Path(scratch))
            import_tables(self.home, "shop", tables, share)
        return self.health()

    def health(self) -> ImportHealth:
        return read_health(self.home, "shop", 0.05)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    for month in range(6):
        shop.export(f"till-{month}", range(30 * month, 30 * month + 30))
    return shop


def test_a_new_file_that_fails_as_a_whole_stops_the_import_and_is_named(shop):
    shop.bring()
    before = open_dataset(shop.home, "shop").snapshot
    shop.export("till-6", range(180, 183), form="%d/%m/%Y")
    with pytest.raises(ImportRejected, match=r"100\.0% of the rows of till-6\.csv \(orders\)"):
        shop.bring()
    assert open_dataset(shop.home, "shop").snapshot == before
    stopped = scan_quarantine(quarantine_file(shop.home, "shop", stopped=True)).collect()
    assert stopped["file"].unique().to_list() == ["till-6.csv"]
    failure = shop.health().failure
    assert failure.startswith("2024-07-19")
    assert "till-6.csv" in failure
    assert "29/06/2024" not in failure  # values of records stay in quarantine
    shop.export("till-6", range(180, 183))
    assert shop.bring().failure is None


def test_single_invalid_rows_of_a_new_file_do_not_stop_the_import(shop):
    shop.export("till-6", range(180, 200), bad=2)
    health = shop.bring()
    assert (health.failure, health.quarantined, health.failing_files) == (None, {"orders": 2}, [])


def test_several_failing_files_are_named(shop):
    for name in ("till-6", "till-7", "till-8", "till-9"):
        shop.export(name, range(180, 182), form="%d/%m/%Y")
    with pytest.raises(ImportRejected, match=r"till-6\.csv, .*till-8\.csv and 1 more files"):
        shop.bring()


def test_an_accepted_failing_file_is_reported_and_stops_no_later_import(shop):
    shop.export("till-6", range(180, 183), bad=2)
    assert shop.bring(share=0.5).failing_files == ["till-6.csv (orders, 33% of its rows)"]
    shop.export("till-7", range(183, 190))
    assert shop.bring().failing_files == ["till-6.csv (orders, 33% of its rows)"]
    shop.export("till-6", range(180, 183), bad=3)
    with pytest.raises(ImportRejected, match=r"till-6\.csv"):
        shop.bring()


def test_a_failure_before_any_row_is_read_is_recorded(shop):
    shop.bring()
    (shop.folder / "till-6.csv").write_text("bon,who,day,qty\n1,1,2024-06-29,1\n")
    with pytest.raises(InvalidInput):
        shop.bring()
    assert "till-6.csv has no column 'when'" in shop.health().failure


def test_the_newest_record_of_each_source_is_reported(shop):
    shop.export("web-0", range(20, 178))
    rows = [
        (source.source, source.files, source.newest, source.days_late)
        for source in shop.bring(WITH_WEB).sources
    ]
    assert rows == [("till-*.csv", 6, "2024-06-28", 0), ("web-*.csv", 1, "2024-06-26", 0)]


def test_a_source_that_ends_before_the_others_stopped_delivering(shop):
    shop.export("web-0", range(20, 150))
    health = shop.bring(WITH_WEB)
    assert [source.days_late for source in health.sources] == [0, 30]
    assert health.late_sources == ["web-*.csv (orders, nothing since 2024-05-29)"]


def test_an_archive_that_another_source_continues_is_not_late(shop):
    shop.export("web-0", range(-90, -1))
    assert shop.bring(WITH_WEB).late_sources == []


def test_a_lone_source_is_late_once_nothing_new_arrives(shop):
    assert shop.bring(day=181).late_sources == []
    shop.export("till-6", range(180, 182))
    assert shop.bring(day=183).late_sources == []
    assert shop.bring(day=186).late_sources == []
    assert shop.bring(day=187).late_sources == ["till-*.csv (orders, nothing since 2024-06-30)"]
    shop.export("till-7", range(182, 187))
    assert shop.bring(day=188).late_sources == []


def test_old_records_that_are_imported_once_are_not_late(shop):
    assert shop.bring(day=3000).late_sources == []
    assert shop.bring(day=3400).late_sources == []


def test_an_equal_pause_in_the_past_is_usual(shop):
    for month in range(6):
        shop.export(f"till-{month}", range(30 * month, 30 * month + 20))
    assert shop.bring(day=171).late_sources == []
    shop.export("till-6", range(180, 182))
    shop.bring(day=183)
    assert shop.bring(day=190).late_sources == []
