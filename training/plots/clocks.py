"""When a customer buys again: the chance by each day, of anything and category by category."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.typing import Floats

WITHIN = (30, 14, 7)


def days_to_next(curves: Mapping[str, Floats]) -> Figure:
    """Draw P(purchase within d days), d = 1 to the horizon, a line a name; a dot at the median."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        days = np.arange(len(curve) + 1)
        chance = np.concatenate([[0.0], curve])
        axes.plot(days, chance, color=f"C{number}", label=name)
        if chance[-1] >= 0.5:
            median = float(np.interp(0.5, chance, days))
            axes.plot([median], [0.5], "o", color=f"C{number}")
    axes.set(
        xlim=(0, None),
        ylim=(0, 1),
        xlabel="days from as_of",
        ylabel="chance to have bought",
        title="Days until the next purchase",
    )
    axes.legend()
    return figure


def category_clock(answers: pl.DataFrame, customer_id: str) -> Figure:
    """Draw one customer's chances by category within 7, 14 and 30 days, the soonest on top."""
    mine = answers.filter(pl.col("customer_id") == customer_id).sort("p_within_14", "category")
    figure = Figure(figsize=(8, 1.2 + 0.28 * mine.height), layout="constrained")
    axes = figure.subplots()
    for days, shade in zip(WITHIN, ("0.85", "0.6", "C0"), strict=True):
        chances = mine.get_column(f"p_within_{days}").to_numpy()
        axes.barh(mine.get_column("category").to_list(), chances, color=shade, label=f"{days} days")
    axes.set(xlim=(0, 1), xlabel="chance to buy within", title=f"Customer {customer_id}")
    axes.legend(loc="lower right")
    return figure
