"""Publishing one model after another, with small tasks that write one file each."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from training import publish as publishing
from training.published import versions as published
from training.registered import Version
from training.standing import Standing


def version(task: str, number: int = 1) -> Version:
    return Version(
        task=task,
        number=number,
        run_id=f"{task}-{number}",
        as_of=datetime(2018, 1, 1),
        snapshot="none",
        options={},
        params={},
        code="none",
        folder=Path(),
        primary=(),
        created=datetime(2024, 1, 1),
    )


@pytest.fixture
def publish(home, journey, tmp_path, monkeypatch):
    """Publish versions into a new home; `publish.written` has the folders that were written."""
    (tmp_path / "datasets").symlink_to(home / "datasets")
    champions, written, broken = {}, [], set()

    def write(name):
        def into(*words):
            written.append(name)
            if name in broken:
                raise ZeroDivisionError
            (words[-1] / "content").write_text(name)

        return into

    tasks = {
        name: SimpleNamespace(
            name=name,
            model=SimpleNamespace(load=lambda folder: None),
            publish=write(name),
            companions={
                companion: SimpleNamespace(publish=write(companion)) for companion in companions
            },
        )
        for name, companions in (("demand", ()), ("churn", ("profile",)), ("value", ()))
    }
    monkeypatch.setattr(publishing, "TASKS", tasks)
    monkeypatch.setattr(publishing, "champions", lambda *_: dict(champions))
    opened = replace(journey, snapshot="none")
    tracker = SimpleNamespace(
        set_alias=lambda _, task, __, number: champions.update({task: version(task, number)}),
        remove_alias=lambda _, task, __: champions.pop(task),
    )

    def run(*versions, **options):
        champions.update({one.task: one for one in versions})
        return publishing.publish(tmp_path, tracker, journey.name, opened=opened, **options)

    return SimpleNamespace(
        run=run, home=tmp_path, written=written, broken=broken, champions=champions
    )


def test_only_the_new_model_is_written_and_the_others_are_links(publish):
    publish.run(version("churn"), keep=9)
    inodes = {
        name: (published.current(publish.home) / name / "content").stat().st_ino
        for name in ("churn", "profile")
    }
    publish.written.clear()
    second = publish.run(version("value"), keep=9)
    assert publish.written == ["value"]
    folder = published.current(publish.home)
    assert {name: (folder / name / "content").stat().st_ino for name in inodes} == inodes
    assert folder.name == second


def test_versions_that_one_job_replaces_do_not_displace_the_former(publish):
    former = publish.run(version("demand"), version("churn"))
    passing = None
    for task in ("demand", "churn", "value"):
        passing = publish.run(version(task, 2), replaces=passing)
    names = {folder.name for folder in published.versions(publish.home)}
    assert names == {former, passing}


def test_the_same_champions_are_published_once(publish):
    first = publish.run(version("demand"))
    assert publish.run(replaces=first) == first
    assert publish.written == ["demand"]
    assert published.current(publish.home).name == first


def labels(publish) -> dict[str, str]:
    """The versions that are served, by task."""
    _, record = published.served(publish.home)
    return {task: model.version for task, model in record.models.items()}


def test_a_champion_that_cannot_be_written_gives_way_to_the_served_version(publish):
    publish.run(version("churn"), version("demand"))
    publish.broken.add("profile")
    failed = []
    publish.run(version("churn", 2), version("demand", 2), failed=lambda *why: failed.append(why))
    assert labels(publish) == {"churn": "churn/1", "demand": "demand/2"}
    assert [task for task, _ in failed] == ["churn"]
    assert publish.champions["churn"].number == 1
    assert (published.current(publish.home) / "profile" / "content").is_file()


def test_a_first_champion_that_cannot_be_written_is_no_champion(publish):
    publish.broken.add("value")
    assert publish.run(version("value"), version("demand"), failed=lambda *_: None)
    assert labels(publish) == {"demand": "demand/1"}
    assert "value" not in publish.champions


def test_where_no_champion_can_be_written_the_served_version_stays(publish):
    publish.broken.add("demand")
    assert publish.run(version("demand"), failed=lambda *_: None) is None
    assert published.current(publish.home) is None
    publish.broken.clear()
    first = publish.run(version("demand"))
    publish.broken.add("demand")
    assert publish.run(version("demand", 2), failed=lambda *_: None) == first
    with pytest.raises(ZeroDivisionError):
        publish.run(version("demand", 3))
    assert published.current(publish.home).name == first


def test_a_model_that_was_judged_meanwhile_is_published_as_a_link_with_the_words(publish):
    first = publish.run(version("demand"))
    publish.written.clear()
    behind = Standing(judged=True, behind=("naive",), words="behind naive")
    second = publish.run(replace(version("demand"), standing=behind), replaces=first)
    assert publish.written == []
    folder, record = published.served(publish.home)
    assert folder.name == second != first
    assert record.standing(["demand"]) == {"judged": True, "behind": ["demand/1 is behind naive"]}


def test_a_model_that_an_older_version_has_is_linked_again(publish):
    """As after a rollback: nothing is computed again."""
    first = publish.run(version("churn"), version("demand"), keep=9)
    publish.run(version("churn", 2), keep=9)
    publish.written.clear()
    assert publish.run(version("churn"), keep=9) == first
    assert publish.written == []
    assert published.read_intact(published.current(publish.home)) is not None


def test_damaged_files_are_written_again_instead_of_linked(publish):
    publish.run(version("churn"), version("demand"))
    damaged = published.current(publish.home) / "churn" / "content"
    damaged.write_text("Churn")
    publish.written.clear()
    publish.run(version("churn"), version("demand"))
    assert publish.written == ["churn", "profile"]
    assert (published.current(publish.home) / "churn" / "content").read_text() == "churn"
