"""What moved one customer's answer: a bar a reason, the heaviest on top."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure


def explanation_bars(answer: Mapping[str, Any]) -> Figure:
    """Draw the reasons of one row of a customer model's answers, with what each moved."""
    reasons, moved = list(answer["explanations"])[::-1], list(answer["contributions"])[::-1]
    figure = Figure(figsize=(8, 0.7 + 0.5 * len(reasons)), layout="constrained")
    axes = figure.subplots()
    axes.barh(reasons, moved, color=["C3" if value > 0 else "C0" for value in moved])
    axes.axvline(0, color="0.7", linewidth=1)
    said = answer.get("churn_probability")
    title = f"customer {answer['customer_id']}"
    if said is not None:
        title += f", churn probability {said:.2f}"
    axes.set(title=title, xlabel="moved, in log-odds")
    return figure
