"""Figures of the recommender: hits by rank and by generator, accuracy against diversity.

Hits by customer and evaluation tables in; Matplotlib figures out.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from features.typing import Bools, Ints


def draw(parts: Mapping[str, tuple[Bools, Ints]]) -> dict[str, Figure]:
    """Draw all figures of an evaluation.

    Parameters
    ----------
    parts
        By part of the basket: hits by rank, shape (customers, ranks), and the number of products
        that could have been hit; customers with none are left out of the part.
    """
    return {"recall_by_k": recall_by_k(parts), "hits_by_rank": hits_by_rank(parts)}


def recall_by_k(parts: Mapping[str, tuple[Bools, Ints]]) -> Figure:
    """Draw the share of the next basket among the first k products, for every k."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, (hits, sizes) in parts.items():
        some = sizes > 0
        if some.any():
            recall = (hits[some].cumsum(axis=1) / sizes[some][:, None]).mean(axis=0)
            axes.plot(np.arange(1, len(recall) + 1), recall, label=name)
    axes.set(
        xlabel="products shown (k)",
        ylabel="recall of the next basket",
        title="Recall by length of the list",
        xscale="log",
    )
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def hits_by_rank(parts: Mapping[str, tuple[Bools, Ints]], ranks: int = 20) -> Figure:
    """Draw the share of customers whose next basket held the product at each rank."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, (hits, _) in parts.items():
        rate = hits[:, :ranks].mean(axis=0)
        axes.plot(np.arange(1, len(rate) + 1), rate, "o-", markersize=3, label=name)
    axes.set(xlabel="rank", ylabel="share bought", title="Bought in the next basket, by rank")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def reasons(shares: pl.DataFrame) -> Figure:
    """Draw each reason's share of the products shown, and of the hits.

    Parameters
    ----------
    shares
        reason, shown, hits: shares of all ranks and of all hits.
    """
    ordered = shares.sort("shown")
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    position = np.arange(ordered.height)
    axes.barh(position + 0.2, ordered.get_column("shown"), 0.4, label="of products shown")
    axes.barh(position - 0.2, ordered.get_column("hits"), 0.4, label="of hits")
    axes.set_yticks(position, ordered.get_column("reason").to_list())
    axes.set(xlabel="share", title="Products shown and hits, by reason")
    axes.legend(loc="lower right")
    return figure


def diversity_tradeoff(curve: pl.DataFrame) -> Figure:
    """Draw accuracy against the distance within a list, one point per setting of diversity."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    distance, accuracy = (curve.get_column(c) for c in ("distance within a list", "NDCG@10"))
    axes.plot(distance, accuracy, "o-")
    for x, y, setting in zip(distance, accuracy, curve.get_column("diversity"), strict=True):
        axes.annotate(f"{setting:g}", (x, y), textcoords="offset points", xytext=(5, 5))
    axes.set(
        xlabel="distance between the products of a list",
        ylabel="NDCG@10 of the next basket",
        title="Accuracy against diversity",
    )
    axes.set_ylim(bottom=0)
    return figure
