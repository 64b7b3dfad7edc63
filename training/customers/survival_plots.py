"""What next-purchase predictions look like: curves and quantiles against what happened."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats


def draw(
    days: Floats, horizon_days: int, chances: dict[int, Floats], quantiles: dict[float, Floats]
) -> dict[str, Figure]:
    """Draw both figures.

    Parameters
    ----------
    days
        Days to the purchase, the horizon where none was seen.
    horizon_days
        The follow-up.
    chances
        P(purchase within so many days), by days.
    quantiles
        Predicted quantiles, by their level.
    """
    return {
        "survival": survival(days, horizon_days, chances, quantiles),
        "quantile_calibration": quantile_calibration(days, horizon_days, quantiles),
    }


def survival(
    days: Floats, horizon_days: int, chances: dict[int, Floats], quantiles: dict[float, Floats]
) -> Figure:
    """Draw who has not bought yet, by thirds of the predicted median: what was said, what came.

    All are followed to the horizon, so the share left is the Kaplan-Meier curve.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    grid = np.arange(horizon_days + 1)
    order = np.argsort(quantiles[0.5], kind="stable")
    for number, part in enumerate(np.array_split(order, 3)):
        left = [(days[part] > day).mean() for day in grid]
        label = ("soonest third", "middle third", "latest third")[number]
        axes.step(grid, left, where="post", color=f"C{number}", label=f"{label}, happened")
        said = [1 - chance[part].mean() for chance in chances.values()]
        axes.plot(list(chances), said, "o", color=f"C{number}", label=f"{label}, predicted")
    axes.set(
        xlim=(0, horizon_days),
        ylim=(0, 1),
        xlabel="days from as_of",
        ylabel="share without a purchase",
        title="Survival curves",
    )
    axes.legend(fontsize="small")
    return figure


def quantile_calibration(days: Floats, horizon_days: int, quantiles: dict[float, Floats]) -> Figure:
    """Draw the share of purchases that came before each predicted quantile.

    Customers whose quantile lies at the horizon are left out: whether it was exceeded is not
    seen.
    """
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    seen = {level: quantile < horizon_days for level, quantile in quantiles.items()}
    shares = {
        level: (days[within] <= quantiles[level][within]).mean()
        for level, within in seen.items()
        if within.any()
    }
    axes.plot(list(shares), list(shares.values()), "o-")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="quantile",
        ylabel="share of purchases",
        title="Quantile calibration",
    )
    return figure
