"""How a model stands beside its baselines, from the rows of a backtest."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from features.dataset import Dataset
from training.backtest import FORESELL, SCHEMA, Report
from training.registry import TASKS
from training.standing import UNJUDGED, compare, judge

CHURN = TASKS["churn"]  # less is better
RECOMMENDER = TASKS["recommender"]  # more is better


def report(task, gains, level=0.5) -> Report:
    """A backtest with differences from baselines and half-widths of their intervals, by fold."""
    key = (task.name, "shop")
    rows = []
    folds = max(len(of_baseline) for of_baseline in gains.values())
    for fold in range(folds):
        place = (*key, fold, "2024-01-01")
        primary = (task.primary_slice, task.primary)
        rows.append((*place, FORESELL, *primary, level, 100))
        for baseline, of_baseline in gains.items():
            gain, half = of_baseline[fold]
            rows.append((*place, baseline, *primary, level - gain, 100))
            paired = {"gain": gain, "gain_low": gain - half, "gain_high": gain + half}
            rows += [
                (*place, FORESELL, f"against={baseline}", f"{task.primary}_{name}", value, 100)
                for name, value in paired.items()
            ]
    return Report(
        task,
        Dataset("shop", "none", {}),
        {"horizon_days": 28},
        [datetime(2024, 1, 1) + timedelta(days=28 * fold) for fold in range(folds)],
        pl.DataFrame(rows, schema=SCHEMA, orient="row"),
        {},
        {},
    )


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (-0.05, "ahead of bg_nbd by 9.1 % [7.3, 10.9] in log_loss over 1 window of 28 days"),
        (
            0.05,
            "behind bg_nbd by 11.1 % [8.9, 13.3] in log_loss over 1 window of 28 days; it "
            "answers all the same",
        ),
        (0.001, "level with bg_nbd (-0.2 % [-2.2, 1.8]) in log_loss over 1 window of 28 days"),
    ],
)
def test_the_words_name_the_baseline_the_share_and_its_interval(gain, words):
    standing = judge(report(CHURN, {"bg_nbd": [(gain, 0.01)]}))
    assert standing.words == words
    assert standing.behind == (("bg_nbd",) if gain == 0.05 else ())


def test_where_more_is_better_a_negative_difference_is_behind():
    assert judge(report(RECOMMENDER, {"ease": [(-0.05, 0.01)]})).behind == ("ease",)


def test_a_model_is_behind_only_where_the_folds_agree():
    one = report(CHURN, {"bg_nbd": [(0.05, 0.01)]})
    three = report(CHURN, {"bg_nbd": [(0.05, 0.01), (-0.02, 0.01), (0.01, 0.01)]})
    assert judge(one).behind == ("bg_nbd",)
    assert judge(three).behind == ()


def test_more_folds_that_agree_narrow_the_interval():
    one = compare(report(CHURN, {"bg_nbd": [(0.05, 0.01)]}))[0]
    three = compare(report(CHURN, {"bg_nbd": [(0.05, 0.01)] * 3}))[0]
    assert three.high - three.low < one.high - one.low


def test_the_best_baseline_and_all_that_are_better_beyond_noise_are_named():
    standing = judge(
        report(CHURN, {"best": [(0.06, 0.07)], "certain": [(0.05, 0.01)], "worse": [(-0.1, 0.01)]})
    )
    assert standing.behind == ("certain",)
    assert "best" in standing.words
    assert "worse" not in standing.words


def test_a_baseline_without_an_error_has_no_share_to_be_compared_by():
    standing = judge(report(CHURN, {"bg_nbd": [(0.5, 0.01)]}))
    assert standing.judged
    assert standing.words.startswith("judged without a baseline to compare with")


def test_a_sentence_names_the_version():
    assert UNJUDGED.describe("churn/1") == "churn/1 is not judged yet"
