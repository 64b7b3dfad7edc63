"""What a backtest measures besides the scores of a task: paired gains, time, and absurd numbers."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Floats
from training.contract import Score, Task
from training.metrics import bootstrap_interval

PAIRED_DRAWS = 300
# Entities whose predictions are timed.
TIMED = 100


def paired_gains(per_case: Mapping[str, Mapping[str, Floats]], model: str) -> list[Score]:
    """Compare the model with each baseline case by case.

    Parameters
    ----------
    per_case
        By method and metric, values in the same order of cases; NaN where a case does not count.
    model
        The method that is compared with all others.

    Returns
    -------
    list of Score
        For each metric on the slice `against=<baseline>`: <metric>_gain, the mean difference,
        and <metric>_gain_low and _high, its 95 % bootstrap interval over cases.
    """
    scores = []
    for method, baseline in per_case.items():
        if method == model:
            continue
        for metric, values in per_case[model].items():
            gain = values - baseline[metric]
            counted = gain[~np.isnan(gain)]
            if not len(counted):
                continue
            low, high = bootstrap_interval(counted, draws=PAIRED_DRAWS)
            gains = {"gain": float(counted.mean()), "gain_low": low, "gain_high": high}
            scores += [
                Score(f"against={method}", f"{metric}_{name}", value, len(counted))
                for name, value in gains.items()
            ]
    return scores


def share_not_finite(predicted: pl.DataFrame) -> float:
    """Return the share of a frame's numbers that are NaN or infinite."""
    numbers = predicted.select(pl.selectors.float())
    finite = sum(int(column.is_finite().fill_null(value=True).sum()) for column in numbers)
    total = numbers.height * numbers.width
    return 1 - finite / total if total else 0.0


def probe(
    task: Task,
    model: Any,
    dataset: Dataset,
    as_of: datetime,
    ids: pl.DataFrame,
    predicted: pl.DataFrame,
) -> tuple[float, float]:
    """Return the CPU seconds of predicting a hundred entities, and the share that is not finite.

    The features of the entities were computed before, so that the model alone is timed.
    """
    started = time.process_time()
    model.predict(dataset, as_of, ids.head(TIMED), **task.request)
    return time.process_time() - started, share_not_finite(predicted)


def summarise_probes(probes: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the least time of some probes, and the largest share that is not finite."""
    seconds, shares = zip(*probes, strict=True) if probes else ((0.0,), (0.0,))
    return min(seconds), max(shares)
