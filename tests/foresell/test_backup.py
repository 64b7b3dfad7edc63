"""A home and its runs are restored from one archive, elsewhere, and serve the same predictions."""

from contextlib import closing
from datetime import datetime

import pytest

from features.dataset import open_dataset
from features.errors import InvalidInput
from features.events.log import EventLog
from features.events.schema import Event
from features.ingest.sources.complete_journey import NAME
from foresell.backup import backup, restore
from foresell.settings import Settings
from serving.http.keys import KeyStore
from serving.readers import READERS
from training.publish import publish
from training.published import versions as published
from training.registered import CHAMPION, Registry
from training.registry import TASKS
from training.tracking import Tracker
from training.train import train


@pytest.fixture(scope="module")
def settings(home_of, tmp_path_factory):
    """A home with a published churn model, an event and a key."""
    settings = Settings(home=home_of(300), mlruns=tmp_path_factory.mktemp("runs") / "mlruns")
    dataset, tracker = open_dataset(settings.home, NAME), Tracker(settings.mlruns)
    version = train(TASKS["churn"], dataset, tracker, params={"rounds": 5, "cutoffs": 2})
    tracker.set_alias(NAME, "churn", CHAMPION, version.number)
    publish(settings.home, tracker, NAME)
    event = Event(event_id="e", type="view", session_id="s", product_id="p", ts=datetime.now())
    with closing(EventLog(settings.home, NAME)) as log:
        log.append([event])
    KeyStore(settings.home).create("shop", ["read"])
    return settings


@pytest.fixture(scope="module")
def archive(settings, tmp_path_factory):
    return backup(settings, tmp_path_factory.mktemp("backups"))[0]


def _elsewhere(folder) -> Settings:
    return Settings(home=folder / "home", mlruns=folder / "runs")


def _answers(settings: Settings) -> object:
    folder = published.current(settings.home, NAME)
    reader = READERS["churn"](folder / "churn")
    ids = open_dataset(settings.home, NAME).table("customers").collect()["customer_id"]
    return reader.answer(ids.to_list()[:5], 28)


def test_a_restored_home_serves_the_same_predictions(settings, archive, tmp_path):
    elsewhere = _elsewhere(tmp_path)
    restore(elsewhere, archive)
    assert _answers(elsewhere) == _answers(settings)
    assert published.read_intact(published.current(elsewhere.home, NAME)) is not None
    version = Registry(elsewhere.mlruns).version(NAME, "churn")
    assert version.folder.is_relative_to(elsewhere.mlruns)
    assert TASKS["churn"].model.load(version.folder).horizon_days == version.options["horizon_days"]
    assert [key.name for key in KeyStore(elsewhere.home).stored()] == ["shop"]
    with closing(EventLog(elsewhere.home, NAME)) as log:
        assert log.head().position == 1
    assert not [path for path in elsewhere.home.iterdir() if path.name.startswith(".")]


def test_a_damaged_archive_changes_nothing(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    place = content.index(b"/tables/orders-") + 10_000
    content[place] ^= 1
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(content)
    elsewhere = _elsewhere(tmp_path)
    with pytest.raises(InvalidInput, match="nothing was changed"):
        restore(elsewhere, damaged)
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match="nothing was changed"):
        restore(elsewhere, damaged)
    assert not published.datasets(elsewhere.home)
    assert not (elsewhere.home / "datasets").exists()


def test_a_home_that_is_not_empty_is_replaced_by_force_alone(archive, tmp_path):
    elsewhere = _elsewhere(tmp_path)
    (elsewhere.home / "datasets" / "other").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="--force"):
        restore(elsewhere, archive)
    assert (elsewhere.home / "datasets" / "other").exists()
    restore(elsewhere, archive, force=True)
    assert not (elsewhere.home / "datasets" / "other").exists()
    assert published.datasets(elsewhere.home) == [NAME]


def test_an_archive_is_not_written_into_what_it_contains(settings):
    with pytest.raises(InvalidInput, match="elsewhere"):
        backup(settings, settings.home)
