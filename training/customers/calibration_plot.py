"""Calibration plot: predicted probabilities and binary outcomes in, a figure out."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats


def draw_calibration(
    outcome: Floats,
    probability: Floats,
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    bins: int = 10,
) -> Figure:
    """Draw the observed share against the mean probability, in bins of equal count.

    Parameters
    ----------
    outcome
        1 where the event happened, else 0.
    probability
        The predicted probability of the event.
    xlabel, ylabel, title
        Texts of the figure.
    bins
        Number of bins at most.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    predicted = np.array([probability[part].mean() for part in parts])
    observed = np.array([outcome[part].mean() for part in parts])
    error = np.sqrt(observed * (1 - observed) / np.array([len(part) for part in parts]))
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar(predicted, observed, yerr=1.96 * error, fmt="o-", capsize=2)
    limit = min(1.0, 1.15 * max(predicted.max(), (observed + 1.96 * error).max(), 0.05))
    axes.set(xlim=(0, limit), ylim=(0, limit), xlabel=xlabel, ylabel=ylabel, title=title)
    return figure
