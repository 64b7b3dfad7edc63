"""Contributions of features to a forecast in, reasons that add up to it out; used by `demand`.

The model multiplies: a reason's part of the logarithm of the mean says by which factor it
moves the forecast. Beside it stands what that is in units.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.typing import Floats

# The first word of a feature's name is its reason; what has none of these is other.
REASONS = ("level", "trend", "season", "holiday", "promotion", "price", "other")


def reasons(
    parts: Sequence[pl.DataFrame], level: Floats, habit: Floats, drift: float, mean: Floats
) -> dict[str, Floats]:
    """Sum contributions by reason, on the log scale; they add up to the log of `mean`.

    Parameters
    ----------
    parts
        Of each booster, `Booster.contributions` to the log of the mean over level and habit.
    level, habit, drift, mean
        Each row's level, its weekday's share of it, by how much all series drift of late, and
        each row's forecast. What the boosters' contributions leave of the
        forecast, such as that the mean of the boosters is not that of their logarithms, is
        other.
    """
    sums = {reason: np.zeros(len(mean)) for reason in REASONS}
    for part in parts:
        for name in part.columns:
            sums[reason_of(name)] += part.get_column(name).to_numpy() / len(parts)
    sums["level"] = sums["level"] + np.log(level)
    sums["season"] = sums["season"] + np.log(habit)
    sums["trend"] = sums["trend"] + np.log(drift)
    sums["other"] = sums["other"] + np.log(mean) - sum(sums.values())
    return sums


def reason_of(feature: str) -> str:
    """Name the reason that a feature belongs to; where all rows begin is a part of the level."""
    word = "level" if feature == "base" else feature.split("_")[0]
    return word if word in REASONS else "other"


def in_units(sums: dict[str, Floats]) -> dict[str, Floats]:
    """Turn reasons on the log scale into units that add up to the mean.

    The level stands for itself. The others share the rest in proportion to their logarithms:
    a factor's share is its logarithm times the logarithmic mean of level and forecast.
    Source: the logarithmic mean Divisia index (Ang 2004), which leaves no residual.
    """
    level = np.exp(sums["level"])
    rest: Floats = np.sum([sums[reason] for reason in REASONS if reason != "level"], axis=0)
    # (e^x - 1) / x, which is 1 at 0.
    weight = level * np.where(np.abs(rest) < 1e-9, 1.0, np.expm1(rest) / np.where(rest, rest, 1.0))
    shares = {reason: sums[reason] * weight for reason in REASONS}
    return {**shares, "level": level}
