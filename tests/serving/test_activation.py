"""Workers that share a folder answer from a new version all at once."""

import itertools

import pytest

from serving.activation import Activation
from serving.predictor import VersionHolder


@pytest.fixture
def worker(tmp_path, readers):
    """Build the holder of a further worker."""
    numbers = itertools.count()

    def build(**options):
        name = f"worker{next(numbers)}"
        return VersionHolder(
            [tmp_path / "home"],
            readers,
            poll_seconds=60,
            activation=lambda dataset: Activation(tmp_path / dataset, name, **options),
        )

    return build


@pytest.fixture
def publish(tmp_path, publish_by_hand):
    return lambda name: publish_by_hand(tmp_path / "home", name, name)


def versions_of(*workers):
    return [worker.current().record.version for worker in workers]


def test_a_new_version_answers_once_every_worker_has_loaded_it(worker, publish):
    first, second = worker(), worker()
    publish("v1")
    assert first.refresh()
    assert second.refresh()
    publish("v2")
    assert not first.refresh()
    assert versions_of(first, second) == ["v1", "v1"]
    assert second.refresh()
    assert versions_of(first, second) == ["v2", "v2"]


def test_a_version_that_was_replaced_before_all_had_loaded_it_never_answers(worker, publish):
    first, second = worker(), worker()
    publish("v1")
    first.refresh(), second.refresh()
    publish("v2")
    first.refresh()
    publish("v3")
    second.refresh()
    assert versions_of(first, second) == ["v1", "v1"]
    first.refresh()
    assert versions_of(first, second) == ["v3", "v3"]


def test_the_former_version_may_be_published_again_meanwhile(
    tmp_path, worker, publish, publish_by_hand
):
    first, second = worker(), worker()
    folder = publish("v1")
    first.refresh(), second.refresh()
    publish("v2")
    first.refresh()
    (folder.parent / "manifest").write_text("v1\n")
    first.refresh(), second.refresh()
    assert versions_of(first, second) == ["v1", "v1"]


def test_a_worker_that_ended_does_not_delay_the_others(worker, publish):
    first, second = worker(), worker()
    publish("v1")
    first.refresh(), second.refresh()
    del second
    publish("v2")
    assert first.refresh()


def test_a_worker_that_cannot_load_a_version_delays_the_others_for_a_bounded_time(worker, publish):
    now = [0.0]
    first, second = worker(clock=lambda: now[0], most_seconds=60), worker()
    publish("v1")
    first.refresh(), second.refresh()
    publish("v2")
    assert not first.refresh()
    now[0] = 59.0
    assert not first.refresh()
    now[0] = 60.0
    assert first.refresh()
