"""The promotion gate on planted challengers: backtests with known cases, no model is fitted."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from features.dataset import Dataset
from training.backtest import FORESELL, SCHEMA, Report
from training.registry import TASKS
from training.retraining.bounds import Bounds
from training.retraining.gate import decide
from training.retraining.guards import Candidate

CHURN = TASKS["churn"]  # less is better
RECOMMENDER = TASKS["recommender"]  # more is better
GROUPS = ("spending=low", "spending=high")
CASES = 400


def report(losses, task=CHURN, extra=(), **fields) -> Report:
    """A backtest with these losses of cases by fold; the first half of the cases spends little."""
    rows = []
    for fold, values in enumerate(losses):
        place = (task.name, "shop", fold, "2024-01-01", FORESELL)
        half = len(values) // 2
        names = (task.primary_slice, *GROUPS)
        parts = zip(names, (values, values[:half], values[half:]), strict=True)
        rows += [(*place, name, task.primary, float(v.mean()), len(v)) for name, v in parts]
        rows += [
            (*place, task.primary_slice, metric, value, len(values))
            for metric, value in {"ece": 0.02, **dict(extra)}.items()
        ]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    origins = [datetime(2024, 1, 1) + timedelta(days=28 * fold) for fold in range(len(losses))]
    shop = Dataset("shop", "none", {})
    return Report(
        task, shop, {"horizon_days": 28}, origins, frame, {}, {}, losses=list(losses), **fields
    )


def losses(level=0.3, folds=3, seed=0, noise=0.1, cases=CASES):
    random = np.random.default_rng(seed)
    return [level + noise * random.normal(size=cases) for _ in range(folds)]


def shifted(cases, by, **of_part):
    moved = [fold + by for fold in cases]
    for fold in moved:
        fold[: len(fold) // 2] += of_part.get("low", 0.0)
    return moved


CHAMPION = losses()


def verdict(challenger: Report, champion: Report | None = None, *, newer=True, **options):
    champion = champion or report(CHAMPION)
    return decide(
        Candidate(challenger, **options.pop("new", {})),
        Candidate(champion, **options.pop("old", {})),
        newer=newer,
        **options,
    )


def test_a_better_challenger_is_promoted_on_the_same_records():
    decided = verdict(report(shifted(CHAMPION, -0.02)), newer=False)
    assert decided.promoted
    assert decided.reason.startswith("better: mean log_loss")
    assert decided.comparison.cases == 3 * CASES


def test_a_worse_challenger_is_refused():
    shuffled = [np.random.default_rng(fold).permutation(1.3 * c) for fold, c in enumerate(CHAMPION)]
    decided = verdict(report(shuffled))
    assert not decided.promoted
    assert decided.reason.startswith("worse beyond noise")


def test_where_more_is_better_the_signs_turn():
    champion = report(CHAMPION, RECOMMENDER)
    assert verdict(report(shifted(CHAMPION, 0.02), RECOMMENDER), champion, newer=False).promoted
    assert not verdict(report(shifted(CHAMPION, -0.02), RECOMMENDER), champion).promoted


def test_an_equal_challenger_is_promoted_with_newer_records_only():
    same = report(CHAMPION)
    assert verdict(same, same, newer=True).promoted
    refused = verdict(same, same, newer=False)
    assert (refused.promoted, refused.reason[:10]) == (False, "not better")


def test_leaked_future_is_refused_as_implausible():
    decided = verdict(report(shifted(CHAMPION, -0.25)))
    assert not decided.promoted
    assert "implausibly better" in decided.reason
    assert [guard.name for guard in decided.failing] == ["plausibility"]


def test_leaked_future_in_new_code_is_measured_by_the_record_of_the_old_code():
    leaky = report(shifted(CHAMPION, -0.25))
    decided = verdict(leaky, leaky, old={"recorded": (0.31, 0.29)})
    assert not decided.promoted
    assert "implausibly better" in decided.reason
    collapsed = report(shifted(CHAMPION, 0.3))
    assert "record" in {
        g.name for g in verdict(collapsed, collapsed, old={"recorded": (0.3,)}).failing
    }


def test_one_broken_department_is_refused_by_its_slice():
    decided = verdict(report(shifted(CHAMPION, -0.05, low=0.1)))
    assert not decided.promoted
    assert [guard.name for guard in decided.failing] == ["slices"]
    assert "spending=low is worse by" in decided.reason


def test_slices_of_few_cases_do_not_refuse():
    few = Bounds(slice_cases=CASES)
    assert verdict(report(shifted(CHAMPION, -0.05, low=0.1)), bounds=few).promoted


def test_a_miscalibrated_challenger_is_refused():
    decided = verdict(report(shifted(CHAMPION, -0.01), extra={"ece": 0.2}))
    assert [guard.name for guard in decided.failing] == ["calibration"]
    assert "calibration: ece 0.2000" in decided.reason


@pytest.mark.parametrize(
    ("metric", "value", "guard"), [("coverage_80", 0.6, "coverage"), ("bias", -0.3, "bias")]
)
def test_intervals_and_levels_have_bounds_unless_the_champion_is_no_better(metric, value, guard):
    bad = report(shifted(CHAMPION, -0.01), extra={metric: value})
    assert [each.name for each in verdict(bad).failing] == [guard]
    as_bad = report(CHAMPION, extra={metric: value + 0.01})
    assert verdict(bad, as_bad).promoted


def test_a_slow_challenger_is_refused():
    slow = report(shifted(CHAMPION, -0.01), predict_seconds=0.9)
    decided = verdict(slow, report(CHAMPION, predict_seconds=0.1))
    assert [guard.name for guard in decided.failing] == ["latency"]
    assert decided.failing[0].value == pytest.approx(9)


def test_a_large_challenger_is_refused():
    better = report(shifted(CHAMPION, -0.01))
    decided = verdict(better, new={"size": 40_000_000}, old={"size": 10_000_000})
    assert [guard.name for guard in decided.failing] == ["size"]
    assert verdict(better, new={"size": 4_000_000}, old={"size": 1_000_000}).promoted


def test_predictions_that_are_not_finite_are_refused_even_without_a_champion():
    broken = report(CHAMPION, not_finite=0.01)
    assert not verdict(broken).promoted
    alone = decide(Candidate(broken), None, newer=True)
    assert (alone.promoted, alone.reason) == (
        False,
        "1.00% of the predicted numbers are NaN or infinite",
    )


def test_without_a_champion_other_guards_are_reported_and_do_not_refuse():
    first = decide(Candidate(report(CHAMPION, extra={"ece": 0.2})), None, newer=True)
    assert (first.promoted, first.reason) == (True, "there was no champion")
    assert [guard.name for guard in first.failing] == ["calibration"]


def against(cases, baseline_loss, **fields):
    """A backtest whose baseline has a loss that is certain."""
    made = report(cases, **fields)
    rows = []
    for fold, values in enumerate(cases):
        place = ("churn", "shop", fold, "2024-01-01")
        primary = (CHURN.primary_slice, CHURN.primary)
        rows.append((*place, "recency", *primary, baseline_loss, CASES))
        gain = float(values.mean()) - baseline_loss
        rows += [
            (*place, FORESELL, "against=recency", f"log_loss_{name}", gain, CASES)
            for name in ("gain", "gain_low", "gain_high")
        ]
    extra = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return replace(made, rows=pl.concat([made.rows, extra]))


def test_falling_behind_a_baseline_that_the_champion_is_ahead_of_is_refused():
    level = report(CHAMPION).primary(FORESELL)
    behind = against(shifted(CHAMPION, -0.001), level - 0.01)
    assert verdict(behind).promoted  # the champion is behind as well
    decided = verdict(behind, report(shifted(CHAMPION, -0.02)))
    assert "baselines" in {guard.name for guard in decided.failing}


def population(scale=1.0, cold=0.1):
    random = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "spend_28": scale * random.gamma(2, size=2_000),
            "basis": np.where(random.random(2_000) < cold, "population", "history"),
        }
    )


def test_extreme_drift_and_a_wave_of_new_customers_are_refused():
    def failing(now):
        options = {"new": {"population": now}, "old": {"population": population()}}
        return [guard.name for guard in verdict(report(CHAMPION), **options).failing]

    assert failing(population()) == []
    assert failing(population(scale=3)) == ["drift"]
    assert failing(population(cold=0.4)) == ["cold start"]


def test_a_single_fold_never_promotes_a_changed_model_on_a_marginal_difference():
    champion = losses(folds=1, noise=0.001)
    marginal = report(shifted(champion, -0.001))
    assert not verdict(marginal, report(champion)).promoted
    assert verdict(report(shifted(champion, -0.01)), report(champion)).promoted


def test_a_single_fold_without_cases_promotes_only_what_is_clearly_better():
    def without_cases(by):
        return replace(report(shifted(losses(folds=1), by)), losses=())

    champion = without_cases(0)
    assert not verdict(without_cases(-0.02), champion).promoted
    assert verdict(without_cases(-0.04), champion).promoted


def test_without_a_fold_to_compare_by_the_champion_stays():
    assert not verdict(report([]), report([])).promoted


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("has_cases", [True, False])
def test_of_equal_models_at_most_one_in_twenty_is_promoted_by_chance(folds, has_cases):
    promoted = 0
    replays = 60
    for seed in range(replays):
        pair = [report(losses(folds=folds, seed=2 * seed + model, cases=100)) for model in (0, 1)]
        new, old = pair if has_cases else [replace(each, losses=()) for each in pair]
        promoted += verdict(new, old, newer=False).promoted
    assert promoted <= 0.05 * replays
