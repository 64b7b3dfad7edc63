"""Contributions of features to a forecast in; sums by reason, on the log scale and in units, out.

The model multiplies: a reason's sum on the log scale is the logarithm of the factor by which it
moves the forecast.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.typing import Floats

# The open share that a closed period counts with: zero has no logarithm.
_LEAST_SHARE = 1e-6
# The first word of a feature's name is its reason; a feature with none of these is `other`.
REASONS = ("level", "trend", "season", "holiday", "promotion", "price", "other")


def sum_by_reason(
    parts: Sequence[pl.DataFrame],
    level: Floats,
    weekday_share: Floats,
    level_bias: float,
    mean: Floats,
) -> dict[str, Floats]:
    """Sum contributions by reason on the log scale; the sums add up to the log of `mean`.

    Parameters
    ----------
    parts
        By booster, `Booster.contributions` to the log of the mean over level and weekday share.
    level, weekday_share
        Of each row: the recent level, and the weekday's share of it.
    level_bias
        Factor by which the forecasts of all series are corrected; a part of `trend`.
    mean
        The forecast of each row. What the contributions leave of it is `other`: the mean of the
        boosters is not the mean of their logarithms.
    """
    sums = {reason: np.zeros(len(mean)) for reason in REASONS}
    for part in parts:
        for name in part.columns:
            sums[reason_of_feature(name)] += part.get_column(name).to_numpy() / len(parts)
    sums["level"] = sums["level"] + np.log(level)
    sums["season"] = sums["season"] + np.log(weekday_share)
    sums["trend"] = sums["trend"] + np.log(level_bias)
    sums["other"] = sums["other"] + np.log(mean) - sum(sums.values())
    return sums


def with_closures(sums: dict[str, Floats], open_share: Floats) -> dict[str, Floats]:
    """Add the open share of each row's period to `holiday`; a closed one has a small share."""
    return {**sums, "holiday": sums["holiday"] + np.log(np.maximum(open_share, _LEAST_SHARE))}


def reason_of_feature(feature: str) -> str:
    """Return the reason that a feature belongs to; the booster's base value is `level`."""
    word = "level" if feature == "base" else feature.split("_")[0]
    return word if word in REASONS else "other"


def to_units(sums: dict[str, Floats]) -> dict[str, Floats]:
    """Turn sums on the log scale into units that add up to the mean.

    The level is exp(level). The other reasons share the rest in proportion to their logarithms:
    a factor's share is its logarithm times the logarithmic mean of level and forecast.
    Source: the logarithmic mean Divisia index (Ang 2004), which leaves no residual.
    """
    level = np.exp(sums["level"])
    rest: Floats = np.sum([sums[reason] for reason in REASONS if reason != "level"], axis=0)
    # (e^x - 1) / x, which is 1 at 0.
    weight = level * np.where(np.abs(rest) < 1e-9, 1.0, np.expm1(rest) / np.where(rest, rest, 1.0))
    shares = {reason: sums[reason] * weight for reason in REASONS}
    return {**shares, "level": level}
