"""Loading and replacing published versions."""

import shutil
import time

import pytest

from features.errors import InvalidInput, NotFound, Unavailable
from serving.predictor import VersionHolder
from training.published.pending import announced


def shown(versions):
    _, reader = versions.reader_of("recommender")
    return [item["product_id"] for item in reader.answer(["1"], 10, [])[0]["items"]]


@pytest.fixture
def versions(tmp_path, readers):
    return VersionHolder([tmp_path / "home", tmp_path / "packed"], readers, poll_seconds=0.02)


def test_without_a_published_version_it_is_not_ready(versions):
    versions.refresh()
    assert not versions.ready
    with pytest.raises(Unavailable, match="foresell train all"):
        versions.reader_of("recommender")


def test_a_model_that_is_being_trained_is_to_be_asked_for_again(
    tmp_path, versions, publish_by_hand
):
    home = tmp_path / "home"
    home.mkdir()
    with announced(home, ["recommender", "churn"]):
        with pytest.raises(Unavailable, match="being trained \\(recommender, churn"):
            versions.reader_of("recommender")
        publish_by_hand(home, "v1")
        versions.refresh()
        assert shown(versions)
        with pytest.raises(Unavailable, match="churn model is being trained; ask again"):
            versions.reader_of("churn")
    with pytest.raises(Unavailable, match="Run `foresell train churn`"):
        versions.reader_of("churn")


def test_a_new_version_replaces_the_old_one(tmp_path, versions, publish_by_hand):
    publish_by_hand(tmp_path / "home", "v1", "milk")
    assert versions.refresh()
    publish_by_hand(tmp_path / "home", "v2", "bread")
    assert versions.refresh()
    assert shown(versions) == ["bread"]


def test_an_unchanged_version_is_not_loaded_again(tmp_path, versions, publish_by_hand):
    publish_by_hand(tmp_path / "home", "v1")
    versions.refresh()
    assert not versions.refresh()


def test_a_reader_in_use_stays_valid_while_the_version_changes(tmp_path, versions, publish_by_hand):
    folder = publish_by_hand(tmp_path / "home", "v1", "milk")
    versions.refresh()
    _, reader = versions.reader_of("recommender")
    publish_by_hand(tmp_path / "home", "v2", "bread")
    versions.refresh()
    shutil.rmtree(folder)
    assert reader.answer(["1"], 1, [])[0]["items"][0]["product_id"] == "milk"


@pytest.mark.parametrize("deleted", ["version.json", "recommender/products.txt"])
def test_an_invalid_version_is_refused_once_and_the_old_one_stays_in_service(
    tmp_path, versions, publish_by_hand, caplog, deleted
):
    publish_by_hand(tmp_path / "home", "v1", "milk")
    versions.refresh()
    folder = publish_by_hand(tmp_path / "home", "v2", "bread")
    (folder / deleted).unlink()
    assert not versions.refresh()
    assert not versions.refresh()
    assert shown(versions) == ["milk"]
    assert caplog.text.count("refused published version v2") == 1


def test_the_cause_of_a_refusal_is_logged_without_the_content_of_files(
    tmp_path, publish_by_hand, caplog
):
    def load(folder):
        raise ValueError(f"cannot read {(folder / 'products.txt').read_text()}")

    publish_by_hand(tmp_path, "v1", "secret-1")
    assert not VersionHolder([tmp_path], {"recommender": load}, poll_seconds=60).refresh()
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_the_missing_record_of_a_refused_version_is_logged(
    tmp_path, versions, publish_by_hand, caplog
):
    folder = publish_by_hand(tmp_path / "home", "v1")
    (folder / "version.json").unlink()
    versions.refresh()
    assert "There is no complete published version 'v1'" in caplog.text


def test_a_version_is_served_once_its_copy_is_complete(tmp_path, versions, publish_by_hand):
    folder = publish_by_hand(tmp_path / "home", "v1", "milk")
    copied_last = (folder / "version.json").rename(tmp_path / "version.json")
    assert not versions.refresh()
    copied_last.rename(folder / "version.json")
    end = time.monotonic() + 5
    while not versions.refresh() and time.monotonic() < end:
        time.sleep(0.01)
    assert shown(versions) == ["milk"]


def test_a_valid_version_after_an_invalid_one_is_served(tmp_path, versions, publish_by_hand):
    folder = publish_by_hand(tmp_path / "home", "v1")
    (folder / "version.json").write_text("{")
    versions.refresh()
    publish_by_hand(tmp_path / "home", "v2", "bread")
    versions.refresh()
    assert shown(versions) == ["bread"]


def test_the_packed_version_is_served_until_the_home_has_one(tmp_path, versions, publish_by_hand):
    publish_by_hand(tmp_path / "packed", "v1", "packed")
    versions.refresh()
    assert shown(versions) == ["packed"]
    publish_by_hand(tmp_path / "home", "v1", "fresh")
    versions.refresh()
    assert shown(versions) == ["fresh"]


def test_a_version_published_while_serving_is_picked_up(tmp_path, versions, publish_by_hand):
    versions.start()
    try:
        publish_by_hand(tmp_path / "home", "v1", "milk")
        end = time.monotonic() + 5
        while not versions.ready and time.monotonic() < end:
            time.sleep(0.01)
        assert shown(versions) == ["milk"]
    finally:
        versions.stop()


def test_a_dataset_that_is_published_later_does_not_take_over(tmp_path, readers, publish_by_hand):
    for dataset in (None, "shop"):
        home = tmp_path / str(dataset)
        versions = VersionHolder([home], readers, 60, dataset)
        publish_by_hand(home, "v1", "milk", dataset="shop")
        assert versions.refresh()
        publish_by_hand(home, "w1", "bread", dataset="web")
        assert not versions.refresh()
        assert shown(versions) == ["milk"]


def test_a_named_dataset_is_awaited_although_another_is_published(
    tmp_path, readers, publish_by_hand
):
    versions = VersionHolder([tmp_path], readers, 60, "shop")
    publish_by_hand(tmp_path, "w1", "bread", dataset="web")
    assert not versions.refresh()
    with pytest.raises(Unavailable):
        versions.current()
    assert shown(versions.load("web")) == ["bread"]


def test_other_datasets_are_loaded_on_request_and_replaced_like_the_default(
    tmp_path, readers, publish_by_hand
):
    publish_by_hand(tmp_path, "v1", "milk", dataset="shop")
    publish_by_hand(tmp_path, "w1", "bread", dataset="web")
    versions = VersionHolder([tmp_path], readers, 0.02, preferred="shop")
    versions.refresh()
    assert shown(versions) == ["milk"]
    assert versions.loaded("shop") is versions
    assert versions.loaded("web") is None
    web = versions.load("web")
    assert versions.loaded("web") is web
    with pytest.raises(NotFound, match="shop, web"):
        versions.load("../shop")
    versions.start()
    publish_by_hand(tmp_path, "w2", "tea", dataset="web")
    until = time.monotonic() + 20
    while shown(web) != ["tea"] and time.monotonic() < until:
        time.sleep(0.01)
    versions.stop()
    assert (shown(web), shown(versions)) == (["tea"], ["milk"])


def test_one_of_several_datasets_must_be_named_if_none_is_the_default(
    tmp_path, readers, publish_by_hand
):
    publish_by_hand(tmp_path, "v1", "milk", dataset="shop")
    publish_by_hand(tmp_path, "w1", "bread", dataset="web")
    versions = VersionHolder([tmp_path], readers, 60, preferred="other")
    assert not versions.refresh()
    assert versions.ready
    with pytest.raises(InvalidInput, match="shop, web"):
        versions.current()


def test_a_version_with_a_changed_file_is_refused(tmp_path, versions, publish_by_hand):
    publish_by_hand(tmp_path / "home", "v1", "milk")
    versions.refresh()
    folder = publish_by_hand(tmp_path / "home", "v2", "bread")
    (folder / "recommender" / "products.txt").write_text("bears")
    assert not versions.refresh()
    assert shown(versions) == ["milk"]
    assert "products.txt" in versions.fault


def test_a_served_version_is_given_up_if_its_files_are_damaged_in_place(
    tmp_path, versions, publish_by_hand, caplog
):
    file = publish_by_hand(tmp_path / "home", "v1", "milk") / "recommender" / "products.txt"
    versions.refresh()
    intact = file.read_bytes()
    file.write_text("mil")
    versions.refresh()
    versions.refresh()
    assert not versions.ready
    with pytest.raises(Unavailable, match=r"products.txt.*foresell rollback"):
        versions.reader_of("recommender")
    assert caplog.text.count("nothing stays in service") == 1
    file.write_bytes(intact)
    end = time.monotonic() + 5
    while not versions.refresh() and time.monotonic() < end:
        time.sleep(0.01)
    assert shown(versions) == ["milk"]


def test_files_that_are_touched_but_not_changed_stay_in_service(
    tmp_path, versions, publish_by_hand
):
    file = publish_by_hand(tmp_path / "home", "v1", "milk") / "recommender" / "products.txt"
    versions.refresh()
    file.touch()
    versions.refresh()
    assert versions.fault is None
    assert shown(versions) == ["milk"]


def test_a_damaged_manifest_does_not_end_the_watch(tmp_path, versions, publish_by_hand):
    folder = publish_by_hand(tmp_path / "home", "v1", "milk")
    versions.start()
    try:
        (folder.parent / "manifest").write_bytes(b"\xff\xfe")
        end = time.monotonic() + 5
        while versions.fault is None and time.monotonic() < end:
            time.sleep(0.01)
        assert "manifest" in versions.fault
        assert shown(versions) == ["milk"]
        publish_by_hand(tmp_path / "home", "v2", "bread")
        while shown(versions) != ["bread"] and time.monotonic() < end:
            time.sleep(0.01)
        assert shown(versions) == ["bread"]
        assert versions.watching
        assert versions.fault is None
    finally:
        versions.stop()
