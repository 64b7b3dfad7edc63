"""Plot of the explanations of one customer's prediction.

In: one row of a customer model's predictions. Out: a bar per explanation, the largest on top.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def explanation_bars(answer: Mapping[str, Any]) -> Figure:
    """Draw the explanations of a prediction with their contributions."""
    sentences = list(answer["explanations"])[::-1]
    contributions = list(answer["contributions"])[::-1]
    figure = Figure(figsize=(8, 0.7 + 0.5 * len(sentences)), layout="constrained")
    axes = figure.subplots()
    colours = ["C3" if value > 0 else "C0" for value in contributions]
    axes.barh(sentences, contributions, color=colours)
    axes.axvline(0, color="0.7", linewidth=1)
    title = f"customer {answer['customer_id']}"
    probability = answer.get("churn_probability")
    if probability is not None:
        title += f", churn probability {probability:.2f}"
    axes.set(title=title, xlabel="contribution, in log-odds")
    return figure
