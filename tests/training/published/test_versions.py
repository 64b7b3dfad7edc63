import json
from datetime import datetime

import pytest

from features.errors import InvalidInput, NotFound
from training.published import versions as published


def make_record(name: str, minute: int = 0, dataset: str = "shop") -> published.PublishedVersion:
    return published.PublishedVersion(
        version=name, dataset=dataset, created=datetime(2024, 1, 1, 0, minute), models={}
    )


def make(home, name, minute=0, dataset="shop"):
    draft = published.root(home) / f".{name}"
    (draft / "churn").mkdir(parents=True)
    (draft / "churn" / "answers.txt").write_text(name)
    return published.finish(home, draft, make_record(name, minute, dataset))


def test_nothing_is_served_before_the_first_version(tmp_path):
    assert published.current(tmp_path) is None


def test_a_complete_version_is_served_only_after_the_switch(tmp_path):
    make(tmp_path, "v1")
    published.switch(tmp_path, "v1")
    make(tmp_path, "v2")
    assert published.current(tmp_path).name == "v1"
    published.switch(tmp_path, "v2")
    assert published.current(tmp_path).name == "v2"


def test_a_record_reads_back_as_it_was_written(tmp_path):
    record = published.read(make(tmp_path, "v1"))
    assert record.model_copy(update={"files": {}}) == make_record("v1")


def test_a_version_lists_the_models_with_another_instant():
    """A champion that the nightly job does not replace keeps its own instant."""
    models = {
        name: published.PublishedModel(
            version=f"{name}/1", run_id="r", snapshot="s", as_of=datetime(2024, 1, day)
        )
        for name, day in (("churn", 8), ("value", 1), ("next-purchase", 8), ("demand", 2))
    }
    version = make_record("v1").model_copy(update={"models": models})
    others = version.other_instants("churn", ("next-purchase", "next-category", "value"))
    assert others == {"value": datetime(2024, 1, 1)}


def test_a_folder_without_a_record_is_not_a_version(tmp_path):
    with pytest.raises(NotFound, match="no complete published version"):
        published.read(tmp_path)


def test_pruning_keeps_the_newest_and_the_served_version(tmp_path):
    for minute, name in enumerate(["v1", "v2", "v3", "v4"]):
        make(tmp_path, name, minute)
    published.switch(tmp_path, "v1")
    published.prune(tmp_path, keep=2)
    left = {folder.name for folder in published.versions(tmp_path)}
    assert left == {"v1", "v3", "v4"}


@pytest.mark.parametrize("damage", ["record", "model"])
def test_an_incomplete_served_version_is_none_and_can_be_written_again(tmp_path, damage):
    def publish():
        draft = published.root(tmp_path) / ".v1"
        (draft / "churn").mkdir(parents=True)
        model = published.PublishedModel(
            version="churn/1", run_id="r", snapshot="s", as_of=datetime(2024, 1, 1)
        )
        return published.finish(
            tmp_path, draft, make_record("v1").model_copy(update={"models": {"churn": model}})
        )

    folder = publish()
    published.switch(tmp_path, "v1")
    assert published.served(tmp_path)[0] == folder
    if damage == "record":
        (folder / published.RECORD).write_text("{")
    else:
        (folder / "churn").rmdir()
    assert published.served(tmp_path) is None
    publish()
    assert published.served(tmp_path)[0] == folder


def test_an_unreadable_version_is_pruned_first(tmp_path):
    make(tmp_path, "v1", 1)
    (make(tmp_path, "v2", 2) / published.RECORD).write_text("{")
    published.switch(tmp_path, "v1")
    assert published.prune(tmp_path, keep=2) == ["v2"]


def test_versions_of_several_datasets_are_independent(tmp_path):
    make(tmp_path, "v1", dataset="shop")
    published.switch(tmp_path, "v1", "shop")
    for minute, name in enumerate(["w1", "w2", "w3"]):
        make(tmp_path, name, minute, dataset="web")
        published.switch(tmp_path, name, "web")
    assert published.datasets(tmp_path) == ["shop", "web"]
    assert published.prune(tmp_path, 1, "web") == ["w1", "w2"]
    assert published.current(tmp_path, "shop").name == "v1"
    assert published.current(tmp_path, "web").name == "w3"
    with pytest.raises(InvalidInput, match="shop, web"):
        published.current(tmp_path)
    published.withdraw(tmp_path, "web")
    assert published.served(tmp_path)[1].dataset == "shop"


def test_versions_of_older_code_beside_the_datasets_are_deleted(tmp_path):
    kept = make(tmp_path, "v2")
    make(tmp_path, "v1").replace(published.root(tmp_path) / "v1")
    (published.root(tmp_path) / published.MANIFEST).write_text("v1\n")
    published.drop_former_layout(tmp_path)
    assert list(published.root(tmp_path).iterdir()) == [kept.parent]


@pytest.mark.parametrize("former", [{}, {"format": 1}])
def test_a_version_in_the_files_of_older_code_is_refused(tmp_path, former):
    folder = make(tmp_path, "v1")
    content = json.loads((folder / published.RECORD).read_text())
    del content["format"]
    (folder / published.RECORD).write_text(json.dumps(content | former))
    with pytest.raises(InvalidInput, match="foresell train all"):
        published.read(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"../v1\n", b"a\nb"])
def test_a_damaged_manifest_names_the_remedy_and_is_replaced_by_the_next_version(tmp_path, content):
    make(tmp_path, "v1")
    manifest = published.dataset_root(tmp_path, "shop") / published.MANIFEST
    manifest.write_bytes(content)
    with pytest.raises(InvalidInput, match="foresell train all"):
        published.current(tmp_path, "shop")
    assert published.served(tmp_path, "shop") is None
    make(tmp_path, "v2", 1)
    published.switch(tmp_path, "v2", "shop")
    assert published.current(tmp_path, "shop").name == "v2"
