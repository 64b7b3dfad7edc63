"""Studies are begun, interrupted and resumed, on a model that is evaluated at once."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from training import tuning
from training.contract import Space
from training.registry import TASKS

OPTIONS = {"horizon_days": 7}
END = datetime(2024, 6, 3)


@dataclass
class Straight:
    """A model whose loss equals its option."""

    horizon_days: int
    loss: float = 0.9


TASK = replace(TASKS["churn"], model=Straight, tunable={"loss": Space(0.1, 1.0)})


class Store:
    """A tracking store that stores nothing but the studies beside it."""

    def __init__(self, mlruns):
        self.mlruns = mlruns

    @contextmanager
    def run(self, *_, **__):
        yield

    def log_params(self, params): ...

    def log_metrics(self, figures): ...


@pytest.fixture
def tune(mlruns, monkeypatch):
    """Tune on records that end some weeks after END, possibly interrupted in the first trial."""

    def set_up(task, dataset, as_of, **_):
        return SimpleNamespace(options=OPTIONS, folds=1)

    def run(name, trials, *, weeks=0, interrupted=False):
        def backtest(*_, params, **__):
            if interrupted:
                raise KeyboardInterrupt
            # Losses are higher on later days, whatever the options.
            return SimpleNamespace(primary=lambda _: params["loss"] + weeks)

        monkeypatch.setattr(tuning, "set_up", set_up)
        monkeypatch.setattr(tuning, "folds_to_judge", lambda *_: 1)
        monkeypatch.setattr(tuning, "backtest", backtest)
        return tuning.tune(TASK, shop(name, weeks), Store(mlruns), trials=trials, reported_folds=1)

    return run


def shop(name, weeks=0):
    end = END + timedelta(weeks=weeks)
    return SimpleNamespace(name=name, snapshot="none", end=end, days=(19000, 19800))


def test_interrupted_defaults_are_evaluated_by_the_next_run(tune):
    with pytest.raises(KeyboardInterrupt):
        tune("interrupted", 1, interrupted=True)
    study = tune("interrupted", 1)
    assert [trial.params for trial in tuning.complete_trials(study)] == [{"loss": 0.9}]
    assert tuning.default_value(study) == 0.9
    assert len(tuning.complete_trials(tune("interrupted", 1))) == 2


def test_newer_days_are_a_separate_study_and_the_newest_admissible_one_counts(tune, mlruns):
    tune("growing", 3)
    assert tuning.default_value(tune("growing", 1, weeks=1)) == 1.9

    def best(before):
        return tuning.best_params(mlruns, shop("growing"), TASK, OPTIONS, before)

    assert best(END) == {"loss": 0.9}
    assert best(END - timedelta(weeks=1))["loss"] < 0.9
    assert best(END - timedelta(weeks=2)) == {}


def test_the_default_country_shares_the_study_of_versions_without_one(tune, mlruns):
    tune("abroad", 1)

    def best(country):
        options = {**OPTIONS, "country": country}
        return tuning.best_params(mlruns, shop("abroad"), TASK, options, END)

    assert best("US") == {"loss": 0.9}
    assert best("NL") == {}
