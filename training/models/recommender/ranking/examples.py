"""Past instants as examples of candidates: how they looked, and what came of them.

A dataset and an `as_of` go in; features of candidates at earlier cuts, with what customers then
bought, come out. Nothing at or after `as_of` is read. The recommender's ranker learns from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from features.interactions.builder import next_baskets
from features.typing import Floats
from training.models.recommender.inputs.interactions import MIN_LINES, find_sorted
from training.models.recommender.ranking.features import Ranking

# Days of history that the oldest cut has to have before it.
MIN_HISTORY_DAYS = 28


@dataclass(frozen=True)
class Examples:
    """Candidates with what came of them.

    Attributes
    ----------
    taste, moment
        Features, aligned.
    worth
        What a hit would have been worth in the next basket, 0 to 1; see `next_baskets`.
    in_next, in_window
        Whether it was in the next basket, and in any of the horizon.
    new
        Whether the customer had never bought it.
    size
        The customer's mean number of products in a basket.
    """

    taste: pl.DataFrame
    moment: pl.DataFrame
    worth: Floats
    in_next: NDArray[np.bool_]
    in_window: NDArray[np.bool_]
    new: NDArray[np.bool_]
    size: Floats

    @classmethod
    def at(
        cls,
        dataset: Dataset,
        ranking: Ranking,
        cut: datetime,
        horizon_days: int,
        *,
        customers: int,
        negative_share: float,
        seed: int,
    ) -> "Examples | None":
        """Lay candidates at a cut beside what was bought from it on; None where nobody bought.

        Parameters
        ----------
        ranking
            Of the cut.
        customers
            At most so many are learnt from, an even pick.
        negative_share
            Share of the candidates that were not bought that is kept.
        """
        known = ranking.histories
        bought = next_baskets(dataset, cut, horizon_days).collect().to_polars()
        buyers = known.codes(bought.get_column("customer_id"))
        ids = bought.get_column("product_id").to_numpy().astype(str)
        products = find_sorted(known.products, ids)
        keys = buyers * known.shape[1] + products
        # What has no code must not pass for another customer's product.
        order = np.argsort(keys, kind="stable")
        order = order[((buyers >= 0) & (products >= 0))[order]]
        keys = keys[order]
        # What was not bought is found at -1: one more at the end, worth nothing.
        in_next = np.append(bought.get_column("is_next").to_numpy()[order], False)
        worth = np.append(bought.get_column("worth").to_numpy()[order], 0.0)
        rng = np.random.default_rng([seed, to_day(cut)])
        learned = np.unique(buyers[buyers >= 0])
        if len(learned) > customers:
            even = np.linspace(0, len(learned) - 1, customers)
            learned = learned[even.astype(np.int64)]
        parts = []
        for block in ranking.blocks(learned):
            at = find_sorted(keys, block.rows * known.shape[1] + block.cols)
            keep = (at >= 0) | (rng.random(len(at)) < negative_share)
            if not keep.any():  # so few candidates that none was drawn
                keep[:] = True
            hit, rows = at[keep], block.rows[keep]
            parts.append(
                cls(
                    ranking.taste(block, keep),
                    ranking.moment(block, keep),
                    worth[hit],
                    in_next[hit],
                    hit >= 0,
                    known.find(rows, block.cols[keep]) < 0,
                    known.customer["customer_size"][rows].astype(np.float64),
                )
            )
        return together(parts) if any(len(part.worth) for part in parts) else None


def learning_cuts(
    dataset: Dataset, as_of: datetime, horizon_days: int, count: int, further: int = 0
) -> list[datetime]:
    """Choose up to `count` cuts whose horizons had ended by `as_of`, newest first.

    They are a horizon apart, half a one where the history is too short for so many; up to
    `further` older ones follow where it reaches.

    Raises
    ------
    MissingData
        If none has `MIN_HISTORY_DAYS` before it.
    """
    first = dataset.days[0]
    enough = to_day(as_of) - first >= horizon_days * count + MIN_HISTORY_DAYS
    # A horizon apart, rolling origins learn from the same cuts and share their features.
    step = horizon_days if enough else max(horizon_days // 2, 1)
    newest = as_of - timedelta(days=horizon_days)
    cuts = [newest - timedelta(days=step * k) for k in range(count + further)]
    usable = [cut for cut in cuts if to_day(cut) - first >= MIN_HISTORY_DAYS]
    if not usable:
        raise MissingData(
            f"Dataset {dataset.name} has {to_day(as_of) - first} days of orders before "
            f"{as_of.date()}, but {horizon_days + MIN_HISTORY_DAYS} are needed to learn "
            "from; choose a later as_of, or a shorter horizon.",
            field="orders",
        )
    return usable


def together(parts: Sequence[Examples | None]) -> Examples:
    """Lay examples end to end; a kind of promotion that one lacks is not planned there.

    Raises
    ------
    MissingData
        If there are none.
    """
    found = [part for part in parts if part is not None]
    if not found:
        raise MissingData(
            "There is nothing to learn from: after no cut did a customer with a history buy again "
            "within the horizon, at a time when some product was new or had been sold "
            f"{MIN_LINES} times; choose a longer horizon, or a later as_of.",
            field="orders",
        )
    return Examples(
        _end_to_end([part.taste for part in found]),
        _end_to_end([part.moment for part in found]),
        np.concatenate([part.worth for part in found]),
        np.concatenate([part.in_next for part in found]),
        np.concatenate([part.in_window for part in found]),
        np.concatenate([part.new for part in found]),
        np.concatenate([part.size for part in found]),
    )


def complete(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Put features in order; a kind of promotion that is not planned now is zero."""
    absent = [pl.lit(0.0, pl.Float32).alias(name) for name in columns if name not in frame.columns]
    return frame.with_columns(absent).select(columns)


def _end_to_end(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    columns = sorted({column for frame in frames for column in frame.columns})
    return pl.concat(complete(frame, columns) for frame in frames)
