"""Training examples of the ranker: candidates at past cutoffs, and whether they were bought.

A dataset and an `as_of` in; features of candidates at earlier cutoffs with their outcomes out.
Nothing at or after `as_of` is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from features.interactions.builder import next_baskets
from features.typing import Bools, Floats, Ints
from training.models.recommender.inputs.interactions import MIN_LINES, Interactions, find_sorted
from training.models.recommender.ranking.features import Ranking

# Days of orders that the oldest cutoff needs before it.
MIN_HISTORY_DAYS = 28


@dataclass(frozen=True)
class Examples:
    """Candidates with their outcomes.

    Attributes
    ----------
    static, context
        Features, with aligned rows.
    in_next, in_window
        Whether it was in the next basket, and in any basket of the horizon.
    new
        Whether the customer had not bought it before.
    basket_size
        The customer's mean number of products in a basket.
    """

    static: pl.DataFrame
    context: pl.DataFrame
    in_next: Bools
    in_window: Bools
    new: Bools
    basket_size: Floats

    @classmethod
    def build(
        cls,
        dataset: Dataset,
        ranking: Ranking,
        cutoff: datetime,
        horizon_days: int,
        *,
        customers: int,
        negative_share: float,
        seed: int,
    ) -> Self | None:
        """Label the candidates at a cutoff; None if no candidate was bought or sampled.

        Parameters
        ----------
        ranking
            At the cutoff.
        customers
            Largest number of customers, evenly spaced among those who bought in the horizon.
        negative_share
            Share of the candidates that were not bought to sample.
        """
        interactions = ranking.interactions
        outcomes = Outcomes.collect(dataset, interactions, cutoff, horizon_days)
        rng = np.random.default_rng([seed, to_day(cutoff)])
        learned = outcomes.customers
        if len(learned) > customers:
            learned = learned[np.linspace(0, len(learned) - 1, customers).astype(np.int64)]
        parts = []
        for block in ranking.blocks(learned, discontinued=True):
            position = find_sorted(outcomes.keys, block.rows * interactions.shape[1] + block.cols)
            keep = (position >= 0) | (rng.random(len(position)) < negative_share)
            if not keep.any():  # the sample of very few candidates may be empty
                keep[:] = True
            position, rows = position[keep], block.rows[keep]
            parts.append(
                cls(
                    ranking.static_features(block, keep),
                    ranking.context_features(block, keep),
                    outcomes.in_next[position],
                    position >= 0,
                    interactions.find(rows, block.cols[keep]) < 0,
                    interactions.customer_features["customer_size"][rows].astype(np.float64),
                )
            )
        if not any(len(part.in_next) for part in parts):
            return None
        return cls.concatenate(parts)

    @classmethod
    def concatenate(cls, parts: Sequence[Self | None]) -> Self:
        """Join examples; a kind of promotion that a part lacks was not planned then.

        Raises
        ------
        MissingData
            If there are no examples.
        """
        examples = [part for part in parts if part is not None]
        if not examples:
            raise MissingData(
                "There are no training examples: after no cutoff did a customer with earlier "
                "purchases buy again within the horizon, at a time when some product was new or "
                f"had been sold {MIN_LINES} times; choose a longer horizon, or a later as_of.",
                field="orders",
            )
        return cls(
            _concatenate([part.static for part in examples]),
            _concatenate([part.context for part in examples]),
            np.concatenate([part.in_next for part in examples]),
            np.concatenate([part.in_window for part in examples]),
            np.concatenate([part.new for part in examples]),
            np.concatenate([part.basket_size for part in examples]),
        )


@dataclass(frozen=True)
class Outcomes:
    """Purchases within the horizon after a cutoff.

    Attributes
    ----------
    customers
        Codes of the customers who bought, ascending.
    keys
        Customer code x products + product code of each purchase, ascending.
    in_next
        Aligned with `keys`; one more entry at the end, no purchase, for position -1.
    """

    customers: Ints
    keys: Ints
    in_next: Bools

    @classmethod
    def collect(
        cls, dataset: Dataset, interactions: Interactions, cutoff: datetime, horizon_days: int
    ) -> Self:
        """Collect the purchases of products with a code by customers with a code."""
        bought = next_baskets(dataset, cutoff, horizon_days).collect().to_polars()
        buyers = interactions.customer_codes(bought.get_column("customer_id"))
        ids = bought.get_column("product_id").to_numpy().astype(str)
        products = find_sorted(interactions.products, ids)
        keys = buyers * interactions.shape[1] + products
        # A product without a code, -1, would get the key of another customer's product.
        order = np.argsort(keys, kind="stable")
        order = order[((buyers >= 0) & (products >= 0))[order]]
        return cls(
            np.unique(buyers[buyers >= 0]),
            keys[order],
            np.append(bought.get_column("is_next").to_numpy()[order], False),
        )


def _concatenate(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Stack frames of features; missing values are NaN, so null is a column that a frame lacks."""
    return pl.concat(frames, how="diagonal").fill_null(0.0)


def training_cutoffs(
    dataset: Dataset, as_of: datetime, horizon_days: int, count: int
) -> list[datetime]:
    """Choose up to `count` cutoffs whose horizons ended by `as_of`, newest first.

    They are a horizon apart, or half a horizon if the dataset is too short for so many.

    Raises
    ------
    MissingData
        If no cutoff has `MIN_HISTORY_DAYS` before it.
    """
    first = dataset.days[0]
    enough = to_day(as_of) - first >= horizon_days * count + MIN_HISTORY_DAYS
    # A horizon apart, rolling origins share cutoffs and their features.
    step = horizon_days if enough else max(horizon_days // 2, 1)
    newest = as_of - timedelta(days=horizon_days)
    cutoffs = [newest - timedelta(days=step * k) for k in range(count)]
    usable = [cutoff for cutoff in cutoffs if to_day(cutoff) - first >= MIN_HISTORY_DAYS]
    if not usable:
        raise MissingData(
            f"Dataset {dataset.name} has {to_day(as_of) - first} days of orders before "
            f"{as_of.date()}, but {horizon_days + MIN_HISTORY_DAYS} are needed to learn "
            "from; choose a later as_of, or a shorter horizon.",
            field="orders",
        )
    return usable
