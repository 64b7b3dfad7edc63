"""Evaluation that the models of the time to the next purchase share.

Days to the next purchase and predictions go in; both joined in one frame, pinball losses and
figures come out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.typing import Floats
from training import metrics
from training.customers.survival import QUANTILES, WITHIN_DAYS, quantile_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Quantile levels by their columns.
LEVELS = {quantile_name(level): level for level in QUANTILES}


def join_outcomes(
    entities: pl.DataFrame,
    keys: Sequence[str],
    days_to_next: pl.Series,
    predictions: pl.DataFrame,
    horizon_days: int,
) -> pl.DataFrame:
    """Join outcomes and predictions; both are clipped at the horizon.

    A quantile that is null lies beyond the horizon. An entity without a prediction gets the
    opposite of its outcome, so that a method cannot gain by leaving entities out.

    Parameters
    ----------
    entities
        The evaluated entities, one row each.
    keys
        The columns that identify an entity.
    days_to_next
        Whole days to the next purchase, in the order of `entities`; null if there was none.
    predictions
        The columns `keys`, q10, q50, q90 and `p_within_<days>`.
    horizon_days
        Days of follow-up.

    Returns
    -------
    polars.DataFrame
        `entities` with `days` (to the middle of the day of purchase; the horizon if censored),
        `bought` and the predictions.
    """
    outcomes = entities.with_columns(
        (days_to_next + 0.5).fill_null(horizon_days).alias("days"),
        days_to_next.is_not_null().alias("bought"),
    )
    probabilities = [f"p_within_{days}" for days in WITHIN_DAYS]
    predicted = predictions.select(
        *keys, *(pl.col(level).fill_null(horizon_days) for level in LEVELS), *probabilities
    )
    joined = outcomes.join(predicted, on=keys, how="left", maintain_order="left")
    wrong = pl.when(pl.col("days") < horizon_days / 2).then(float(horizon_days)).otherwise(0.0)
    return joined.with_columns(
        *(pl.col(name).fill_null(wrong).clip(0, horizon_days) for name in LEVELS),
        *(
            pl.col(f"p_within_{days}").fill_null((pl.col("days") > days).cast(pl.Float64))
            for days in WITHIN_DAYS
        ),
    )


def pinball(outcomes: pl.DataFrame) -> float:
    """Return the pinball loss averaged over the quantiles, in days."""
    return float(pinball_losses(outcomes).mean())


def pinball_losses(outcomes: pl.DataFrame) -> Floats:
    """Return the pinball loss of each row, averaged over the quantiles, in days."""
    days = outcomes.get_column("days").to_numpy()
    losses = [
        metrics.pinball_losses(days, outcomes.get_column(name).to_numpy(), level)
        for name, level in LEVELS.items()
    ]
    return np.asarray(np.mean(losses, axis=0))


def draw(outcomes: pl.DataFrame, horizon_days: int) -> "dict[str, Figure]":
    """Draw survival curves and the calibration of quantiles from joined outcomes."""
    from training.customers import survival_plots  # matplotlib is slow to import

    return survival_plots.draw(
        outcomes.get_column("days").to_numpy(),
        horizon_days,
        {days: outcomes.get_column(f"p_within_{days}").to_numpy() for days in WITHIN_DAYS},
        {level: outcomes.get_column(name).to_numpy() for name, level in LEVELS.items()},
    )
