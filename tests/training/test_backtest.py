from dataclasses import replace
from datetime import datetime

import polars as pl
import pytest

from features.errors import InvalidInput, MissingData
from training.backtest import FORESELL, Report, backtest, rolling_origins
from training.registry import TASKS
from training.tuning import tuning_origins


@pytest.fixture(scope="module")
def report(journey) -> Report:
    task = TASKS["churn"]
    options = task.options(journey)
    origins = rolling_origins(journey, options, 2, journey.end)
    return backtest(task, journey, origins, options)


def test_origins_are_the_last_windows_of_one_horizon_each(journey):
    origins = rolling_origins(journey, {"horizon_days": 28}, 3, journey.end)
    assert origins == [datetime(2017, 10, 9), datetime(2017, 11, 6), datetime(2017, 12, 4)]


def test_a_history_too_short_for_the_folds_is_refused(journey):
    with pytest.raises(InvalidInput, match="fewer folds"):
        rolling_origins(journey, {"horizon_days": 28}, 14, journey.end)


def test_an_instant_within_a_day_is_refused(journey):
    """Records of that morning would be both known and evaluated."""
    with pytest.raises(
        InvalidInput, match=r"as_of = 2017-12-04T09:30:00 .* as_of = 2017-12-04"
    ) as e:
        rolling_origins(journey, {"horizon_days": 28}, 2, datetime(2017, 12, 4, 9, 30))
    assert e.value.field == "as_of"


def test_tuning_sees_only_days_before_the_first_reported_origin(journey):
    reported = rolling_origins(journey, {"horizon_days": 28}, 3, journey.end)
    last = tuning_origins(TASKS["churn"], journey, {"horizon_days": 28}, 3, journey.end)[-1]
    assert (reported[0] - last).days >= 28


def test_tuning_needs_what_the_model_needs_before_the_first_reported_origin(journey):
    with pytest.raises(MissingData, match="churn 28 days ahead cannot be judged"):
        tuning_origins(TASKS["churn"], journey, {"horizon_days": 28}, 12, journey.end)


def test_every_method_is_evaluated_on_the_same_cases(report):
    cases = report.rows.group_by("fold", "slice", "metric").agg(pl.col("n").n_unique())
    assert (cases.get_column("n") == 1).all()


def test_the_report_has_a_row_for_the_model_and_every_baseline_in_every_fold(report):
    primary = report.rows.filter(metric="log_loss", slice="activity=active")
    methods = {FORESELL, *TASKS["churn"].baselines}
    for fold in (0, 1):
        assert set(primary.filter(fold=fold).get_column("method")) == methods


def test_the_ratio_is_the_models_metric_over_the_best_baselines(report):
    best = min(report.primary(name) for name in TASKS["churn"].baselines)
    assert report.ratio() == pytest.approx(report.primary(FORESELL) / best)


def test_figures_are_drawn_from_the_last_fold(report):
    assert report.figures()


def test_no_method_sees_the_window_that_it_is_evaluated_on(report, journey, rewritten):
    orders = journey.table("orders").to_native()
    origin = report.origins[-1]
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < origin))
    task = report.task
    ids = task.population(past, origin, report.options)
    for name in task.baselines:
        baseline = task.baselines[name](**report.options).fit(past, origin)
        predicted = baseline.predict(past, origin, ids)
        assert predicted.equals(report.predictions[name]), name


def test_windows_in_which_nothing_happened_raise_with_a_remedy(report):
    empty = replace(report, rows=report.rows.filter(pl.col("slice") != "activity=active"))
    for call in (lambda: empty.primary(FORESELL), empty.best_baseline, empty.ratio):
        with pytest.raises(MissingData, match=r"churn .* nothing happened .* more folds or"):
            call()


def test_a_fold_in_which_nothing_happened_is_left_out_of_the_mean(report):
    half = replace(report, rows=report.rows.filter(pl.col("fold") == 1))
    assert half.primary(FORESELL) == report.by_fold(FORESELL)[1]
