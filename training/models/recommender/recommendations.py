"""Recommendations as frames: which customer is shown which product at which rank, and why.

Scores of candidates by list in; frames with the columns of `SCHEMA` out.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from features.typing import Bools, Floats
from training.models.recommender.inputs.interactions import Interactions, find_sorted
from training.models.recommender.ranking.features import Block, Ranking

SCHEMA = pl.Schema(
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
# Products of `month`, of `explore` and of new products that are kept whatever their rank.
TOP_OF_OTHER_LISTS = 20


def recommendation_frame(
    ranking: Ranking, block: Block, scores: Mapping[str, Floats], length: int
) -> pl.DataFrame:
    """Return a block's first `length` candidates by `now`, and the best of the other lists.

    Parameters
    ----------
    scores
        By list, one value per candidate; NaN where the list cannot be ranked.

    Returns
    -------
    polars.DataFrame
        The columns of `SCHEMA`, in the order of candidates.
    """
    interactions = ranking.interactions
    new_to_customer = interactions.find(block.rows, block.cols) < 0
    codes = np.array([generator.reason for generator in ranking.generators])
    reasons = codes[ranking.best_generators(block)].astype(object)
    is_new_product = find_sorted(interactions.new_products, block.cols) >= 0
    frame = pair_ids(interactions, block).with_columns(
        pl.Series("score", scores["now"]),
        pl.Series("reason", reasons, pl.String),
        pl.Series("month", scores["month"]),
        pl.Series("new_product", is_new_product),
        pl.Series("explore", np.where(new_to_customer, scores["explore"], np.nan)).fill_nan(None),
    )
    ranks = {
        name: pl.col(name).rank("ordinal", descending=True).over("customer_id")
        for name in ("score", "month", "explore")
    }
    newest = pl.col("month").rank("ordinal", descending=True).over("customer_id", "new_product")
    return (
        frame.with_columns(ranks["score"].alias("rank"))
        .filter(
            (pl.col("rank") <= length)
            | (ranks["month"] <= TOP_OF_OTHER_LISTS)
            | (ranks["explore"] <= TOP_OF_OTHER_LISTS)
            | (pl.col("new_product") & (newest <= TOP_OF_OTHER_LISTS))
        )
        .select(list(SCHEMA))
        .cast(SCHEMA)
    )


def popular_list(
    interactions: Interactions, length: int, discontinued: Bools | None = None
) -> pl.DataFrame:
    """Return the most popular products; scores are shares of the last 28 days' baskets."""
    cols = interactions.most_popular(interactions.shape[1])
    cols = (cols if discontinued is None else cols[~discontinued[cols]])[:length]
    baskets = max(float(interactions.customer_features["customer_baskets_28d"].sum()), 1.0)
    share = interactions.sum_by_product("baskets_28d")[cols] / baskets
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(cols) + 1, dtype=np.int32),
            "product_id": pl.Series(interactions.products[cols].astype(object), dtype=pl.String),
            "score": share,
            "reason": pl.Series([POPULAR] * len(cols), dtype=pl.String),
            "month": share,
            "explore": share,
        }
    )


def pair_ids(interactions: Interactions, block: Block) -> pl.DataFrame:
    """Return customer_id and product_id of a block's candidates."""
    return pl.DataFrame(
        {
            "customer_id": interactions.customers[block.rows].astype(object),
            "product_id": interactions.products[block.cols].astype(object),
        },
        {"customer_id": pl.String, "product_id": pl.String},
    )
