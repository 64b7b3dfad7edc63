"""What churn predictions look like: said against happened, and who is caught first."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats


def draw(churned: Floats, p: Floats) -> dict[str, Figure]:
    """Draw both figures from what happened (0 or 1) and the probabilities."""
    return {"calibration": calibration(churned, p), "lift": lift(churned, p)}


def calibration(
    churned: Floats,
    p: Floats,
    bins: int = 10,
    *,
    said: str = "churn probability",
    came: str = "share that churned",
    title: str = "Calibration, active customers",
) -> Figure:
    """Draw the share of whom it came true against the probability, in bins of equal count."""
    parts = [part for part in np.array_split(np.argsort(p, kind="stable"), bins) if len(part)]
    promised = np.array([p[part].mean() for part in parts])
    happened = np.array([churned[part].mean() for part in parts])
    error = np.sqrt(happened * (1 - happened) / np.array([len(part) for part in parts]))
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar(promised, happened, yerr=1.96 * error, fmt="o-", capsize=2)
    limit = min(1.0, 1.15 * max(promised.max(), (happened + 1.96 * error).max(), 0.05))
    axes.set(
        xlim=(0, limit),
        ylim=(0, limit),
        xlabel=said,
        ylabel=came,
        title=title,
    )
    return figure


def lift(churned: Floats, p: Floats) -> Figure:
    """Draw the share of churners found among the customers with the highest probabilities."""
    found = np.cumsum(churned[np.argsort(-p, kind="stable")]) / max(churned.sum(), 1)
    asked = np.arange(1, len(found) + 1) / len(found)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="at random")
    axes.plot(asked, found, label="by churn probability")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="share of customers contacted",
        ylabel="share of churners reached",
        title="Lift, active customers",
    )
    axes.legend(loc="lower right")
    return figure
