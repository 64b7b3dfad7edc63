"""What predicted spend looks like: said against spent by decile, and who brings the revenue."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats


def draw(spent: Floats, value: Floats) -> dict[str, Figure]:
    """Draw both figures from what was spent and what was predicted."""
    return {"deciles": deciles(spent, value), "concentration": concentration(spent, value)}


def deciles(spent: Floats, value: Floats, bins: int = 10) -> Figure:
    """Draw mean spend, predicted and come true, of tenths of the customers by prediction."""
    parts = [part for part in np.array_split(np.argsort(value, kind="stable"), bins) if len(part)]
    at = np.arange(1, len(parts) + 1)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(at - 0.2, [value[part].mean() for part in parts], width=0.4, label="predicted")
    axes.bar(at + 0.2, [spent[part].mean() for part in parts], width=0.4, label="spent")
    axes.set(
        xticks=at,
        xlabel="tenth of the customers, by predicted spend",
        ylabel="mean spend",
        title="Value by decile, active customers",
    )
    axes.legend()
    return figure


def concentration(spent: Floats, value: Floats) -> Figure:
    """Draw the share of all spend brought by the customers with the highest predictions."""
    asked = np.arange(1, len(spent) + 1) / len(spent)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="at random")
    for label, by in (("by predicted value", value), ("by what was spent", spent)):
        share = np.cumsum(spent[np.argsort(-by, kind="stable")]) / max(spent.sum(), 1e-12)
        axes.plot(asked, share, label=label)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="share of customers",
        ylabel="share of all spend",
        title="Who brings the revenue, active customers",
    )
    axes.legend(loc="lower right")
    return figure
