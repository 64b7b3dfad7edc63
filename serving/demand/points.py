"""Periods of an answer about demand: arrays of one series in, a dictionary per period out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.typing import Floats
from training.models.demand.contributions import REASONS

Point = dict[str, Any]


def forecast_points(
    dates: Sequence[str], values: Floats, quantiles: Sequence[float], decimals: int | None
) -> list[Point]:
    """Return the points of a forecast.

    Parameters
    ----------
    dates
        First day of each period, ISO; as many as `values` has rows, or more.
    values
        Shape (periods, 1 + quantiles): the mean, then the quantiles. Under a plan two more: the
        mean under the recorded plan, and the difference.
    decimals
        Decimals of the numbers; full precision for None.
    """
    end = 1 + len(quantiles)
    points = []
    for date, numbers in zip(dates, _to_list(values, decimals), strict=False):
        point: Point = {
            "date": date,
            "mean": numbers[0],
            "quantiles": [
                {"level": level, "units": units}
                for level, units in zip(quantiles, numbers[1:end], strict=True)
            ],
        }
        if len(numbers) > end:
            point["mean_recorded_plan"], point["difference"] = numbers[end:]
        points.append(point)
    return points


def add_explanations(points: Sequence[Point], units: Floats, decimals: int | None) -> None:
    """Add to each point its units by reason, of shape (periods, `REASONS`)."""
    for point, row in zip(points, _to_list(units, decimals), strict=False):
        point["explanation"] = [
            {"reason": reason, "units": value} for reason, value in zip(REASONS, row, strict=True)
        ]


def _to_list(values: Floats, decimals: int | None) -> list[list[float]]:
    rounded = values if decimals is None else np.round(values, decimals)
    rows: list[list[float]] = rounded.tolist()
    return rows
