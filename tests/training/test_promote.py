from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidInput, NotFound
from training import promote as promotion
from training.promote import gate, promote, roll_back
from training.registered import CHAMPION, PREVIOUS, Version
from training.registry import TASKS

CHURN = TASKS["churn"]  # less is better
RECOMMENDER = TASKS["recommender"]  # more is better
SHOP = SimpleNamespace(name="shop")

figures = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


def version(number: int, **params) -> Version:
    return Version(
        task="churn",
        number=number,
        run_id="none",
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

    @property
    def number(self):
        return self.aliases.get(CHAMPION)

    def version(self, dataset, task, alias=CHAMPION):
        if alias not in self.aliases:
            raise NotFound(f"no {alias}")
        return self.versions[self.aliases[alias]]

    def numbered(self, dataset, task, number):
        return self.versions[number]

    def set_alias(self, dataset, task, alias, number):
        assert (dataset, task) == ("shop", "churn")
        self.aliases[alias] = number

    def remove_alias(self, dataset, task, alias):
        del self.aliases[alias]


def backtest(losses: list[float]):
    return SimpleNamespace(by_fold=lambda method: losses, origins=[datetime(2024, 1, 1)])


@pytest.fixture
def champion_losses(monkeypatch):
    """Losses of the champion's options in a backtest on the challenger's folds."""
    losses = []
    report = SimpleNamespace(by_fold=lambda method: losses)
    monkeypatch.setattr(promotion, "backtest", lambda *_, **__: report)
    return losses


def test_without_a_report_every_version_is_promoted():
    store = Store(version(1))
    assert promote(CHURN, SHOP, store, version(2)).promoted
    assert store.number == 2


def test_the_first_version_passes_the_gate():
    store = Store()
    verdict = promote(CHURN, SHOP, store, version(2), report=backtest([0.9]))
    assert (verdict.promoted, verdict.reason) == (True, "there was no champion")
    assert store.number == 2


@pytest.mark.parametrize(("loss", "promoted"), [(0.2, True), (0.9, False)])
def test_the_gate_compares_with_the_champions_options_on_the_same_folds(
    champion_losses, loss, promoted
):
    champion_losses[:] = [0.3, 0.31]
    store = Store(version(1))
    verdict = promote(CHURN, SHOP, store, version(2, rounds=9), report=backtest([loss, loss]))
    assert verdict.promoted == promoted
    assert store.number == (2 if promoted else 1)


def test_a_challenger_that_is_better_everywhere_is_promoted():
    assert gate(CHURN, [0.27, 0.28, 0.29], [0.28, 0.29, 0.30]).promoted
    assert gate(RECOMMENDER, [0.21, 0.22, 0.23], [0.20, 0.21, 0.22]).promoted


def test_a_challenger_that_is_worse_everywhere_is_refused_with_both_means():
    verdict = gate(CHURN, [0.30, 0.31, 0.32], [0.28, 0.29, 0.30])
    assert not verdict.promoted
    assert "0.3100" in verdict.reason
    assert "0.2900" in verdict.reason


def test_a_difference_within_the_noise_over_folds_does_not_refuse_a_challenger():
    assert gate(CHURN, [0.30, 0.27, 0.291], [0.28, 0.29, 0.290]).promoted


@given(figures)
def test_equal_metrics_are_never_worse(values):
    assert gate(CHURN, values, values).promoted
    assert gate(RECOMMENDER, values, values).promoted


@given(figures, figures)
def test_of_two_versions_at_least_one_may_replace_the_other(first, second):
    assert gate(CHURN, first, second).promoted or gate(CHURN, second, first).promoted


def test_without_a_fold_to_compare_by_the_champion_stays():
    assert not gate(CHURN, [], []).promoted


def test_the_champion_before_the_present_one_is_champion_again_after_a_rollback():
    store = Store(version(1), version(2))
    promote(CHURN, SHOP, store, version(2))
    assert store.aliases == {CHAMPION: 2, PREVIOUS: 1}
    former, replaced = roll_back(store, "shop", "churn")
    assert (former.number, replaced.number) == (1, 2)
    assert store.number == 1
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
