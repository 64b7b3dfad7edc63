"""Figures of predicted spend: spend and predictions in, deciles and concentration out."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats


def draw(spent: Floats, value: Floats) -> dict[str, Figure]:
    """Draw both figures from observed and predicted spend."""
    return {"deciles": deciles(spent, value), "concentration": concentration(spent, value)}


def deciles(spent: Floats, value: Floats, bins: int = 10) -> Figure:
    """Draw mean predicted and observed spend by tenths of the customers, ordered by prediction."""
    parts = [part for part in np.array_split(np.argsort(value, kind="stable"), bins) if len(part)]
    tenths = np.arange(1, len(parts) + 1)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.bar(tenths - 0.2, [value[part].mean() for part in parts], width=0.4, label="predicted")
    axes.bar(tenths + 0.2, [spent[part].mean() for part in parts], width=0.4, label="spent")
    axes.set(
        xticks=tenths,
        xlabel="tenth of the customers, by predicted spend",
        ylabel="mean spend",
        title="Value by decile, active customers",
    )
    axes.legend()
    return figure


def concentration(spent: Floats, value: Floats) -> Figure:
    """Draw the share of all spend of the customers with the highest predictions."""
    customers = np.arange(1, len(spent) + 1) / len(spent)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="at random")
    for label, order in (("by predicted value", value), ("by what was spent", spent)):
        share = np.cumsum(spent[np.argsort(-order, kind="stable")]) / max(spent.sum(), 1e-12)
        axes.plot(customers, share, label=label)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="share of customers",
        ylabel="share of all spend",
        title="Concentration of revenue, active customers",
    )
    axes.legend(loc="lower right")
    return figure
