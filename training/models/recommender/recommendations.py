"""Scores of candidates as lists: who is shown which product at which place, and why.

Candidates with a score a kind of list in; frames with the columns of the recommender's answers
out. The recommender answers with them, and its baselines list the popular from here.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.models.recommender.inputs.interactions import Interactions, find_sorted
from training.models.recommender.ranking.features import Block, Ranking

LISTS = pl.Schema(
    {
        "customer_id": pl.String,
        "rank": pl.Int32,
        "product_id": pl.String,
        "score": pl.Float64,
        "reason": pl.String,
        "month": pl.Float64,
        "explore": pl.Float64,
    }
)
POPULAR = "popular"
# So many of the best of each other kind of list stand in the answers whatever their rank.
OF_EACH_KIND = 20


def listed(
    ranking: Ranking, block: Block, scores: Mapping[str, NDArray[np.float64]], length: int
) -> pl.DataFrame:
    """List a block's candidates: the first `length` by `now`, and the best of other kinds.

    Parameters
    ----------
    scores
        By kind of list, NaN where there is none.

    Returns
    -------
    polars.DataFrame
        The columns of `LISTS`, in the order of candidates.
    """
    known = ranking.histories
    new = known.find(block.rows, block.cols) < 0
    words = np.array([source.reason for source in ranking.sources])
    frame = named(known, block).with_columns(
        pl.Series("score", scores["now"]),
        pl.Series("reason", words[ranking.reasons(block)].astype(object), pl.String),
        pl.Series("month", scores["month"]),
        pl.Series("fresh", find_sorted(known.fresh, block.cols) >= 0),
        pl.Series("explore", np.where(new, scores["explore"], np.nan)).fill_nan(None),
    )
    places = {
        name: pl.col(name).rank("ordinal", descending=True).over("customer_id")
        for name in ("score", "month", "explore")
    }
    newest = pl.col("month").rank("ordinal", descending=True).over("customer_id", "fresh")
    return (
        frame.with_columns(places["score"].alias("rank"))
        .filter(
            (pl.col("rank") <= length)
            | (places["month"] <= OF_EACH_KIND)
            | (places["explore"] <= OF_EACH_KIND)
            | (pl.col("fresh") & (newest <= OF_EACH_KIND))
        )
        .select(list(LISTS))
        .cast(LISTS)
    )


def popular_list(known: Interactions, length: int) -> pl.DataFrame:
    """List the most popular products; scores are the share of the last 28 days' baskets."""
    cols = known.most_popular(length)
    total = max(float(known.customer["customer_baskets_28d"].sum()), 1.0)
    share = known.by_product("baskets_28d")[cols] / total
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(cols) + 1, dtype=np.int32),
            "product_id": pl.Series(known.products[cols].astype(object), dtype=pl.String),
            "score": share,
            "reason": pl.Series([POPULAR] * len(cols), dtype=pl.String),
            "month": share,
            "explore": share,
        }
    )


def named(known: Interactions, block: Block) -> pl.DataFrame:
    """Ids of a block's customers and products, one row a candidate."""
    return pl.DataFrame(
        {
            "customer_id": known.customers[block.rows].astype(object),
            "product_id": known.products[block.cols].astype(object),
        },
        {"customer_id": pl.String, "product_id": pl.String},
    )
