"""Figures of the time to the next purchase: curves, quantiles and outcomes in, figures out."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.typing import Floats
from training.customers.purchase_curves import PurchaseCurves

# Days of the probabilities that `category_probabilities` shows, longest bar first.
WITHIN_DAYS = (30, 14, 7)


def draw(
    days: Floats,
    horizon_days: int,
    probabilities: dict[int, Floats],
    quantiles: dict[float, Floats],
) -> dict[str, Figure]:
    """Draw survival curves and the calibration of quantiles.

    Parameters
    ----------
    days
        Days to the purchase; the horizon where none was observed.
    horizon_days
        Days of follow-up.
    probabilities
        P(purchase within so many days), by days.
    quantiles
        Predicted quantiles, by level.
    """
    return {
        "survival": survival(days, horizon_days, probabilities, quantiles),
        "quantile_calibration": quantile_calibration(days, horizon_days, quantiles),
    }


def survival(
    days: Floats,
    horizon_days: int,
    probabilities: dict[int, Floats],
    quantiles: dict[float, Floats],
) -> Figure:
    """Draw predicted and observed survival by thirds of the predicted median.

    Follow-up reaches the horizon for all customers, so the observed share without a purchase is
    the Kaplan-Meier estimate.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    grid = np.arange(horizon_days + 1)
    order = np.argsort(quantiles[0.5], kind="stable")
    for number, part in enumerate(np.array_split(order, 3)):
        observed = [(days[part] > day).mean() for day in grid]
        label = ("soonest third", "middle third", "latest third")[number]
        axes.step(grid, observed, where="post", color=f"C{number}", label=f"{label}, observed")
        predicted = [1 - probability[part].mean() for probability in probabilities.values()]
        axes.plot(
            list(probabilities), predicted, "o", color=f"C{number}", label=f"{label}, predicted"
        )
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
    """Draw the share of purchases before each predicted quantile.

    Customers whose quantile equals the horizon are excluded: follow-up ends before it can be
    exceeded.
    """
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    included = {level: quantile < horizon_days for level, quantile in quantiles.items()}
    shares = {
        level: (days[rows] <= quantiles[level][rows]).mean()
        for level, rows in included.items()
        if rows.any()
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


def purchase_curves(names: Sequence[str], curves: PurchaseCurves) -> Figure:
    """Draw P(purchase within d days) up to the end of follow-up, one line a name; a dot at q50."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    days = range(1, curves.follow_up_days + 1)
    within = np.stack([np.zeros(len(curves)), *map(curves.within, days)])
    axes.plot([0, *days], within, label=names)
    for number, median in enumerate(curves.expected_days()):
        if median <= days[-1]:
            axes.plot([median], [0.5], "o", color=f"C{number}")
    axes.set(
        xlim=(0, None),
        ylim=(0, 1),
        xlabel="days from as_of",
        ylabel="probability to have bought",
        title="Days until the next purchase",
    )
    axes.legend()
    return figure


def category_probabilities(answers: pl.DataFrame, customer_id: str) -> Figure:
    """Draw one customer's P(purchase within 7, 14, 30 days) by category, the soonest on top."""
    rows = answers.filter(pl.col("customer_id") == customer_id).sort("p_within_14", "category")
    figure = Figure(figsize=(8, 1.2 + 0.28 * rows.height), layout="constrained")
    axes = figure.subplots()
    for days, shade in zip(WITHIN_DAYS, ("0.85", "0.6", "C0"), strict=True):
        probabilities = rows.get_column(f"p_within_{days}").to_numpy()
        axes.barh(
            rows.get_column("category").to_list(), probabilities, color=shade, label=f"{days} days"
        )
    axes.set(xlim=(0, 1), xlabel="probability to buy within", title=f"Customer {customer_id}")
    axes.legend(loc="lower right")
    return figure
