"""Figures of churn predictions: outcomes and probabilities in, calibration and lift out."""

import numpy as np
from matplotlib.figure import Figure

from features.typing import Floats
from training.customers.calibration_plot import draw_calibration


def draw(churned: Floats, probability: Floats) -> dict[str, Figure]:
    """Draw both figures from outcomes (0 or 1) and churn probabilities."""
    return {
        "calibration": calibration(churned, probability),
        "lift": lift(churned, probability),
    }


def calibration(churned: Floats, probability: Floats) -> Figure:
    """Draw the share of churned customers against the churn probability."""
    return draw_calibration(
        churned,
        probability,
        xlabel="churn probability",
        ylabel="share that churned",
        title="Calibration, active customers",
    )


def lift(churned: Floats, probability: Floats) -> Figure:
    """Draw the share of churned customers among those with the highest probabilities."""
    order = np.argsort(-probability, kind="stable")
    reached = np.cumsum(churned[order]) / max(churned.sum(), 1)
    contacted = np.arange(1, len(reached) + 1) / len(reached)
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="at random")
    axes.plot(contacted, reached, label="by churn probability")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="share of customers contacted",
        ylabel="share of churners reached",
        title="Lift, active customers",
    )
    axes.legend(loc="lower right")
    return figure
