import shutil
import time

import pytest

from features.errors import Unavailable
from serving.predictor import VersionHolder


def shown(predictor):
    _, answers = predictor.reader_of("recommender")
    return [item["product_id"] for item in answers.answer(["1"], 10, [])[0]["items"]]


@pytest.fixture
def predictor(tmp_path, readers):
    return VersionHolder([tmp_path / "home", tmp_path / "packed"], readers, poll_seconds=0.02)


def test_nothing_published_is_not_ready(predictor):
    predictor.refresh()
    assert not predictor.ready
    with pytest.raises(Unavailable, match="foresell train all"):
        predictor.reader_of("recommender")


def test_a_new_version_replaces_the_old_one_as_a_whole(tmp_path, predictor, publish_by_hand):
    publish_by_hand(tmp_path / "home", "v1", "milk")
    assert predictor.refresh()
    publish_by_hand(tmp_path / "home", "v2", "bread")
    assert predictor.refresh()
    assert shown(predictor) == ["bread"]


def test_an_unchanged_version_is_not_loaded_again(tmp_path, predictor, publish_by_hand):
    publish_by_hand(tmp_path / "home", "v1")
    predictor.refresh()
    assert not predictor.refresh()


def test_who_holds_an_answerer_keeps_it_while_the_version_changes(
    tmp_path, predictor, publish_by_hand
):
    folder = publish_by_hand(tmp_path / "home", "v1", "milk")
    predictor.refresh()
    _, held = predictor.reader_of("recommender")
    publish_by_hand(tmp_path / "home", "v2", "bread")
    predictor.refresh()
    shutil.rmtree(folder)
    assert held.answer(["1"], 1, [])[0]["items"][0]["product_id"] == "milk"


@pytest.mark.parametrize("broken", ["version.json", "recommender/products.txt"])
def test_a_bad_version_is_refused_once_and_the_old_one_goes_on_answering(
    tmp_path, predictor, publish_by_hand, caplog, broken
):
    publish_by_hand(tmp_path / "home", "v1", "milk")
    predictor.refresh()
    folder = publish_by_hand(tmp_path / "home", "v2", "bread")
    (folder / broken).unlink()
    assert not predictor.refresh()
    assert not predictor.refresh()
    assert shown(predictor) == ["milk"]
    assert caplog.text.count("refused published version v2") == 1


def test_why_a_version_is_refused_is_logged_without_what_stands_in_it(
    tmp_path, publish_by_hand, caplog
):
    def read(folder):
        raise ValueError(f"cannot read {(folder / 'products.txt').read_text()}")

    publish_by_hand(tmp_path, "v1", "secret-1")
    assert not VersionHolder([tmp_path], {"recommender": read}, poll_seconds=60).refresh()
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_what_a_refused_version_lacks_is_logged(tmp_path, predictor, publish_by_hand, caplog):
    folder = publish_by_hand(tmp_path / "home", "v1")
    (folder / "version.json").unlink()
    predictor.refresh()
    assert "There is no complete published version 'v1'" in caplog.text


def test_a_version_that_was_still_being_copied_is_served_once_it_is_whole(
    tmp_path, predictor, publish_by_hand
):
    folder = publish_by_hand(tmp_path / "home", "v1", "milk")
    copied_last = (folder / "version.json").rename(tmp_path / "version.json")
    assert not predictor.refresh()
    copied_last.rename(folder / "version.json")
    end = time.monotonic() + 5
    while not predictor.refresh() and time.monotonic() < end:
        time.sleep(0.01)
    assert shown(predictor) == ["milk"]


def test_a_good_version_after_a_bad_one_is_served(tmp_path, predictor, publish_by_hand):
    folder = publish_by_hand(tmp_path / "home", "v1")
    (folder / "version.json").write_text("{")
    predictor.refresh()
    publish_by_hand(tmp_path / "home", "v2", "bread")
    predictor.refresh()
    assert shown(predictor) == ["bread"]


def test_what_was_packed_answers_until_the_home_has_a_version(tmp_path, predictor, publish_by_hand):
    publish_by_hand(tmp_path / "packed", "v1", "packed")
    predictor.refresh()
    assert shown(predictor) == ["packed"]
    publish_by_hand(tmp_path / "home", "v1", "fresh")
    predictor.refresh()
    assert shown(predictor) == ["fresh"]


def test_a_version_published_while_serving_is_picked_up(tmp_path, predictor, publish_by_hand):
    predictor.start()
    try:
        publish_by_hand(tmp_path / "home", "v1", "milk")
        end = time.monotonic() + 5
        while not predictor.ready and time.monotonic() < end:
            time.sleep(0.01)
        assert shown(predictor) == ["milk"]
    finally:
        predictor.stop()
