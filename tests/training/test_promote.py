from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from features.errors import InvalidInput, NotFound
from training.promote import check_promotable, promote, roll_back
from training.registered import CHAMPION, PREVIOUS, ROLLED_BACK, Version


def version(number: int, **params) -> Version:
    return Version(
        task="churn",
        number=number,
        run_id=f"run {number}",
        as_of=datetime(2024, 1, 1),
        snapshot="none",
        options={"horizon_days": 28},
        params=params,
        code="none",
        folder=Path(),
        primary=(),
        created=datetime(2024, 1, 1),
    )


class Store:
    """Registry of one task in memory: its versions and aliases."""

    def __init__(self, champion: Version | None = None, *others: Version):
        self.versions = {one.number: one for one in (champion, *others) if one is not None}
        self.aliases = {} if champion is None else {CHAMPION: champion.number}
        self.tags = defaultdict(dict)

    @property
    def number(self):
        return self.aliases.get(CHAMPION)

    def version(self, dataset, task, alias=CHAMPION):
        if alias not in self.aliases:
            raise NotFound(f"no {alias}")
        return self.versions[self.aliases[alias]]

    def tag(self, run_id, tags):
        self.tags[run_id] |= tags

    def champion(self, dataset, task):
        return self.versions.get(self.number)

    def numbered(self, dataset, task, number):
        return self.versions[number]

    def set_alias(self, dataset, task, alias, number):
        assert (dataset, task) == ("shop", "churn")
        self.aliases[alias] = number

    def remove_alias(self, dataset, task, alias):
        del self.aliases[alias]


def test_the_promoted_version_is_champion_and_its_run_has_the_reason():
    store = Store(version(1), version(2))
    promote(store, "shop", version(2), "better")
    assert store.aliases == {CHAMPION: 2, PREVIOUS: 1}
    assert store.tags["run 2"]["promoted"].endswith(": better")


def test_without_force_only_a_version_that_passed_the_gate_is_promoted_by_hand():
    with pytest.raises(InvalidInput, match=r"no challenge yet.*--force --reason"):
        check_promotable(version(2), version(1), force=False)
    check_promotable(version(2), version(1), force=True)
    check_promotable(replace(version(2), gate="passed: better"), version(1), force=False)
    with pytest.raises(InvalidInput, match="champion already"):
        check_promotable(version(2), version(2), force=True)


def test_the_champion_before_the_present_one_is_champion_again_after_a_rollback():
    store = Store(version(1), version(2))
    promote(store, "shop", version(2), "better")
    former, replaced = roll_back(store, "shop", "churn", reason="complaints")
    assert (former.number, replaced.number) == (1, 2)
    assert store.number == 1
    assert store.tags["run 2"][ROLLED_BACK].endswith("by churn/1: complaints")
    with pytest.raises(NotFound):
        roll_back(store, "shop", "churn")


def test_a_rollback_may_name_the_version():
    store = Store(version(3), version(1), version(2))
    roll_back(store, "shop", "churn", 1)
    assert store.number == 1
    with pytest.raises(InvalidInput, match="champion already"):
        roll_back(store, "shop", "churn", 1)


def test_a_rollback_to_files_of_other_code_is_refused():
    old = replace(version(1), format=1)
    store = Store(version(2), old)
    with pytest.raises(InvalidInput, match="foresell train churn"):
        roll_back(store, "shop", "churn", 1)
    assert store.number == 2
